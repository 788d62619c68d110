"""Rules an issue must or should meet before it is sent, one function each.

A new check is one function and one line here. `block` refuses a send, `warn` can be accepted by an editor's name
(see `accept`), `info` only informs. None of these asks the network.
"""

from __future__ import annotations

from newsletter.checks import access, content, dates, inbox, links, mail, punctuation, settings, writing
from newsletter.checks.accept import accept, softened
from newsletter.checks.finding import Check, Finding, Level
from newsletter.checks.proof import Proof

__all__ = ["CHECKS", "Check", "Finding", "Level", "Proof", "accept", "run"]

CHECKS: tuple[Check, ...] = (
    # the writing
    punctuation.space_runs,
    punctuation.no_break_spaces,
    writing.glued_words,
    writing.glued_link,
    punctuation.space_before_mark,
    punctuation.doubled_mark,
    punctuation.broken_hyphen,
    punctuation.unbalanced_quotes,
    punctuation.mixed_quotes,
    writing.odd_capitals,
    writing.repeated_word,
    writing.placeholder,
    writing.broken_characters,
    writing.markup_shown,
    writing.bare_address,
    writing.mixed_thousands,
    # what the issue holds
    content.skeleton_text,
    content.unsourced_update,
    content.vague_link,
    content.repeated_link,
    content.repeated_text,
    content.photo_credit,
    content.picture_alt,
    content.picture_missing,
    content.picture_format,
    content.picture_heavy,
    content.lead_missing,
    content.updates_missing,
    content.empty_section,
    content.unsorted_subjects,
    content.repeated_label,
    content.long_update,
    content.long_paragraph,
    # its days and numbers
    dates.period_order,
    dates.period_overlap,
    dates.period_missing,
    dates.title_date,
    dates.title_number,
    dates.number_sequence,
    dates.slug_date,
    dates.event_order,
    dates.event_past,
    dates.source_date,
    dates.translation_missing,
    # its links
    links.link_shortener,
    links.link_redirect,
    links.link_userinfo,
    links.link_number_host,
    links.link_private_host,
    links.link_mixed_script,
    links.link_other_host,
    links.link_http,
    links.link_tracking,
    links.link_session,
    links.link_anchor,
    # the finished mail
    mail.mail_large,
    mail.mail_clipped,
    mail.styles_large,
    mail.styles_nested,
    inbox.subject_too_long,
    inbox.subject_long,
    inbox.subject_reply,
    inbox.subject_shouting,
    inbox.preheader_missing,
    inbox.preheader_repeats,
    mail.unsubscribe_hidden,
    mail.preferences_missing,
    mail.text_links,
    mail.image_query,
    mail.tracking_pixel,
    mail.foreign_resource,
    mail.hidden_text,
    mail.online_missing,
    mail.address_missing,
    mail.token_misplaced,
    mail.doctype_missing,
    # for readers who listen or enlarge
    access.heading_order,
    access.heading_empty,
    access.language_missing,
    access.image_alt,
    access.link_empty,
    access.layout_table,
    # newsletter.yaml
    settings.url_unencrypted,
    settings.reply_to_missing,
    settings.bounce_missing,
    settings.no_reply,
    settings.free_mail_sender,
    settings.bounce_domain,
)


def run(proof: Proof) -> tuple[Finding, ...]:
    """Apply every check. Findings come sorted by file (the issue first), line and code.

    A warning that an editor has accepted comes back as info, with the name and the day.
    Raises FaultsError when the record of what was accepted cannot be read.
    """
    found = {finding for check in CHECKS for finding in check(proof)}
    ordered = sorted(found, key=lambda f: (f.file != proof.file.file, f.file, f.line, f.code, f.message))
    return softened(proof.file, ordered)
