"""Checks of what an inbox shows before the mail is opened: subject and preheader."""

from __future__ import annotations

import re
from collections.abc import Iterator

from newsletter.checks.finding import check
from newsletter.checks.proof import Proof, Spot

_REPLY = re.compile(r"\s*(?:re|fwd?|aw|wg|tr|rv|sv|vs|antw)\s*(?:\[\d+\])?\s*:", re.IGNORECASE)


@check("subject-too-long", "block")
def subject_too_long(proof: Proof) -> Iterator[Spot]:
    """A subject over 200 characters is cut by every mail program, and some filters take it for spam."""
    length = len(proof.edition.subject)
    if length > 200:
        yield proof.spot(
            f"the subject has {length} characters; keep it under 70, 200 is the limit", _subject_place(proof)
        )


@check("subject-long", "info")
def subject_long(proof: Proof) -> Iterator[Spot]:
    """A subject over 70 characters is cut on most screens; say the important thing first."""
    length = len(proof.edition.subject)
    if 70 < length <= 200:
        yield proof.spot(f"the subject has {length} characters; most screens show 70 or fewer", _subject_place(proof))


@check("subject-reply", "block")
def subject_reply(proof: Proof) -> Iterator[Spot]:
    """A subject that starts with Re: or Fwd: pretends to be an answer; filters and readers know that trick."""
    match = _REPLY.match(proof.edition.subject)
    if match:
        message = f"the subject starts with '{match[0].strip()}', as if it were an answer; delete that"
        yield proof.spot(message, _subject_place(proof))


@check("subject-shouting", "warn")
def subject_shouting(proof: Proof) -> Iterator[Spot]:
    """A subject all in capitals or with several exclamation marks is taken for spam."""
    subject = proof.edition.subject
    letters = [letter for letter in subject if letter.isalpha()]
    if (len(letters) > 10 and subject.isupper()) or subject.count("!") > 1:
        yield proof.spot(
            f"the subject shouts: '{subject}'; write it in small letters, without '!'", _subject_place(proof)
        )


def _subject_place(proof: Proof) -> tuple[str, ...]:
    return ("subject",) if proof.file.issue.subject else ("title",)


@check("preheader-missing", "warn")
def preheader_missing(proof: Proof) -> Iterator[Spot]:
    """Without a preheader an inbox shows whatever comes first in the mail, such as 'Read online'."""
    if not proof.edition.preheader.strip():
        yield proof.spot("the issue has no preheader and no lead to take it from; write 'preheader: ...'")


@check("preheader-repeats", "warn")
def preheader_repeats(proof: Proof) -> Iterator[Spot]:
    """The preheader says what the subject or the lead's title says already; it could say something new."""
    lead = proof.weekly.lead if proof.weekly else None
    for what, text in (
        ("subject", proof.edition.subject),
        ("title", proof.file.issue.title),
        ("lead's title", lead and lead.title),
    ):
        if text and _letters(proof.edition.preheader) == _letters(text):
            yield proof.spot(f"the preheader is the {what} again; say something new", ("preheader",))
            return


def _letters(text: str) -> str:
    return re.sub(r"\W+", "", text.casefold())
