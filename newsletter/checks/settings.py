"""Checks of newsletter.yaml: who sends, where answers and bounces go."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from newsletter.checks.finding import check
from newsletter.checks.proof import Proof, Spot

_FREE_MAIL = re.compile(
    r"(?:gmail|googlemail|outlook|hotmail|live|msn|yahoo|ymail|aol|icloud|me|mac|proton|protonmail|gmx|web|mail|yandex|qq|163)"
    r"\.(?:com|net|org|de|fr|co\.uk|ru|me|ch)"
)
_NO_REPLY = re.compile(r"(?:no|do-?not|dont)[-_.]?reply", re.IGNORECASE)


@check("url-unencrypted", "block")
def url_unencrypted(proof: Proof) -> Iterator[Spot]:
    """Readers' pages and one-click unsubscribe need https: RFC 8058 asks for it, and so does readers' safety."""
    url = urlsplit(proof.project.settings.url)
    if url.scheme != "https" and url.hostname not in ("localhost", "127.0.0.1", "::1"):
        yield proof.setting(f"the newsletter's url is {proof.project.settings.url}; it must start with https://", "url")


@check("reply-to-missing", "info")
def reply_to_missing(proof: Proof) -> Iterator[Spot]:
    """Without 'reply_to' readers' answers go to the sender's address; see that somebody reads them there."""
    if not proof.project.settings.reply_to:
        yield proof.setting("there is no 'reply_to'; answers go to the sender's address")


@check("bounce-missing", "info")
def bounce_missing(proof: Proof) -> Iterator[Spot]:
    """Without 'bounce' nobody learns which addresses no longer exist, and providers think less of the sender."""
    if not proof.project.settings.bounce:
        yield proof.setting("there is no 'bounce'; returned mail goes to the sender's address")


@check("no-reply", "warn")
def no_reply(proof: Proof) -> Iterator[Spot]:
    """A sender called no-reply tells readers not to answer; answers make a newsletter welcome to filters, too."""
    settings = proof.project.settings
    for key, address in (("sender", settings.sender.address), ("reply_to", settings.reply_to)):
        if address and _NO_REPLY.match(address):
            yield proof.setting(f"'{address}' tells readers not to answer; give an address that somebody reads", key)


@check("free-mail-sender", "warn")
def free_mail_sender(proof: Proof) -> Iterator[Spot]:
    """Mail in the name of a free-mail address, sent by someone else's server, is refused by most inboxes (DMARC)."""
    domain = proof.project.settings.domain.lower()
    if _FREE_MAIL.fullmatch(domain):
        yield proof.setting(f"the sender's address is at {domain}; send from a domain of your own", "sender")


@check("bounce-domain", "info")
def bounce_domain(proof: Proof) -> Iterator[Spot]:
    """The bounce address is in another domain than the sender's, so SPF does not speak for the sender (DMARC)."""
    settings = proof.project.settings
    ours = settings.domain.lower()
    theirs = (settings.bounce or settings.sender.address).rpartition("@")[2].lower()
    if not (theirs == ours or theirs.endswith(f".{ours}") or ours.endswith(f".{theirs}")):
        yield proof.setting(f"bounces go to {theirs}, the sender is at {ours}; use one domain for both", "bounce")
