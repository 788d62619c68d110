"""Mailings on the desk: how they stand, what people do to them, and whether the ledger is right."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, Literal

from newsletter.database.opened import opened
from newsletter.desk.issue import open_issue
from newsletter.desk.posting import Posting, open_posting
from newsletter.desk.project import Desk, clock
from newsletter.edition.render import make_edition
from newsletter.errors import NewsletterError
from newsletter.mailing import control, inquiry, ledger
from newsletter.mailing.control import Act
from newsletter.mailing.ledger import MailingStatus, UnknownReader
from newsletter.mailing.person import named

Change = Literal["pause", "resume", "cancel"]

_CHANGES = {
    "pause": (control.pause, "paused; who has no copy yet waits until 'newsletter resume {name} --by NAME'"),
    "resume": (control.resume, "goes on"),
    "cancel": (control.cancel, "cancelled for good; who has no copy yet gets none"),
}


def statuses(desk: Desk, name: str | None) -> tuple[MailingStatus, ...]:
    """Return how mailings stand, newest first. Raises NewsletterError for a mailing that is not there."""
    with opened(desk.project.database(), desk.project.root) as engine:
        return ledger.status(engine, name)


def status_record(one: MailingStatus) -> Mapping[str, Any]:
    """Return what `newsletter status --format json` says of a mailing; moments are ISO 8601 in UTC."""
    values = {field.name: getattr(one, field.name) for field in fields(one)}
    return {key: value.isoformat() if isinstance(value, dt.datetime) else value for key, value in values.items()}


def law(one: MailingStatus) -> str:
    """Write the law of the ledger with a mailing's numbers."""
    parts = f"{one.accepted:,} accepted + {one.rejected:,} rejected + {one.left:,} left"
    rest = f" + {one.unknown:,} unknown + {one.pending:,} pending"
    readers = f"{one.audience:,} reader" + "s" * (one.audience != 1)
    return f"{one.mailing}: {readers} = {parts}{rest}; {standing(one)}"


def standing(one: MailingStatus) -> str:
    """Say in a word how a mailing stands."""
    return "complete" if one.complete else "not complete" if one.state == "sending" else one.state


def watch(desk: Desk, name: str | None, pause: Callable[[], None]) -> Iterator[MailingStatus]:
    """Yield how a mailing stands (the newest, by default) after each `pause`, until nothing more will come.

    Raises NewsletterError when it is not there.
    """
    with opened(desk.project.database(), desk.project.root) as engine:
        while True:
            found = ledger.status(engine, name)
            if not found:
                raise NewsletterError("nothing has been sent yet")
            yield found[0]
            if found[0].finished or found[0].state != "sending":
                return
            name = found[0].mailing
            pause()


def unknown_readers(desk: Desk, name: str) -> tuple[UnknownReader, ...]:
    """Return the readers of a mailing whose copy may or may not have left."""
    with opened(desk.project.database(), desk.project.root) as engine:
        return ledger.unknown_readers(engine, name)


def acts(desk: Desk, name: str) -> tuple[Act, ...]:
    """Return what people did to a mailing."""
    with opened(desk.project.database(), desk.project.root) as engine:
        return control.acts(engine, name)


def change(desk: Desk, name: str, what: Change, by: str) -> str:
    """Pause, resume or cancel a mailing; return the sentence that says what was done.

    Raises NewsletterError for a mailing that is not there, or with which that cannot be done any more.
    """
    do, done = _CHANGES[what]
    with opened(desk.project.database(), desk.project.root) as engine:
        new = do(engine, name, by, clock())
    return f"{name}: {'' if new else 'as before: '}{done.format(name=name)}"


@contextmanager
def open_mailing(desk: Desk, name: str) -> Iterator[Posting]:
    """Open a mailing that has begun, to go on with it. Raises as `open_posting`."""
    (one,) = statuses(desk, name)
    with open_posting(desk, one.issue, one.list) as work:
        yield work


def take_word(desk: Desk, name: str, verdicts: Mapping[int, bool], by: str) -> str:
    """Take somebody's word for who has their copy (True) and who has not; return the sentence that says it.

    Raises NewsletterError for a reader who is not unknown, and for a name that is none.
    """
    person = named(by)
    with opened(desk.project.database(), desk.project.root) as engine:
        one = control.find(engine, name)
        count = inquiry.take_word(engine, one, verdicts, person, clock())
        (now,) = ledger.status(engine, name)
    more = f"; 'newsletter send {one.issue} --list {one.list}' sends to those who have it not" if now.pending else ""
    return f"{name}: taken down of {count:,} on the word of {person}{more}"


@dataclass(frozen=True)
class Verified:
    """A mailing counted anew. `digest` is the edition's as it is now, "" when `trouble` says why there is none."""

    status: MailingStatus
    frozen: str
    digest: str
    trouble: str
    faults: tuple[str, ...]

    @property
    def changed(self) -> str:
        """Say in which way the issue is no longer what was sent; "" when it is the same."""
        if self.trouble:
            return f"the issue cannot be set as it is now: {self.trouble}"
        return "" if self.digest == self.frozen else "the issue, a template or the settings are no longer what was sent"

    @property
    def right(self) -> bool:
        """Whether every sum agrees, and the issue is the same if part of the mailing is still to be sent."""
        return not self.faults and (self.status.finished is not None or not self.changed)


def verify(desk: Desk, name: str) -> Verified:
    """Count a mailing reader by reader, and make its edition anew. Raises NewsletterError when it is not there."""
    with opened(desk.project.database(), desk.project.root) as engine:
        (one,) = ledger.status(engine, name)
        faults = ledger.verify(engine, name)
        frozen = control.find(engine, name).digest
    digest, trouble = "", ""
    try:
        digest = make_edition(open_issue(desk, one.issue), desk.project, desk.countries).digest
    except NewsletterError as error:
        trouble = str(error).partition("\n")[0]
    return Verified(one, frozen, digest, trouble, faults)


def fates(desk: Desk, name: str) -> Iterator[tuple[int, str, str]]:
    """Yield every reader of a mailing by id, with their fate and what was said of it."""
    with opened(desk.project.database(), desk.project.root) as engine:
        yield from ledger.fates(engine, name)


def verified_record(found: Verified) -> dict[str, Any]:
    """Return what `newsletter verify --format json` says, without the readers."""
    digests = {"frozen_digest": found.frozen, "digest": found.digest, "changed": found.changed}
    return {**status_record(found.status), **digests, "faults": list(found.faults), "right": found.right}
