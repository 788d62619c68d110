"""The rules by which a person goes on a list, stays as they are, or is kept out."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

from newsletter.subscribers.model import Change, Entry, Reader, Reason, Status, Subscription, Suppressed


@dataclass(frozen=True, slots=True)
class Candidate:
    """A person who is to be on a list. What is empty or None was not said, and changes nothing that is known."""

    address: str
    address_hash: bytes
    evidence: str  # where consent came from
    name: str = ""
    language: str = ""
    timezone: str = ""
    follows: tuple[str, ...] | None = None
    status: Status = Status.ACTIVE
    joined_at: dt.datetime | None = None
    changed_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """What is to be stored of a candidate. `before` is None for somebody new, whose reader then has the id 0."""

    candidate: Candidate
    change: Change
    reader: Reader
    subscription: Subscription
    before: Entry | None
    message: str = ""

    @property
    def was(self) -> Subscription | None:
        """The subscription as it was."""
        return self.before.on(self.subscription.list) if self.before else None


@dataclass(frozen=True, slots=True)
class KeptOut:
    """Why a candidate does not come (back) on a list."""

    message: str


_ENDS = {Status.BOUNCED: "bounced", Status.LEFT: "left", Status.COMPLAINED: "complained"}
_REASONS = {
    Reason.BOUNCED: "bounced",
    Reason.MANUAL: "was marked as not to be mailed",
    Reason.COMPLAINED: "complained",
    Reason.ERASED: "was removed for good",
}


def why_suppressed(suppressed: Suppressed) -> str:
    """Say why and since when an address must not be mailed: 'complained on 2016-04-01'."""
    return f"{_REASONS[suppressed.reason]} on {suppressed.at:%Y-%m-%d}"


def by_import(
    candidate: Candidate, known: Entry | Suppressed | None, list_name: str, now: dt.datetime
) -> Move | KeptOut:
    """Decide for a line of a file: nobody who left, bounced, complained or was erased comes back this way."""
    stop = _stop(candidate, known, list_name)
    if stop:
        return KeptOut(stop)
    entry = known if isinstance(known, Entry) else None
    before = entry.on(list_name) if entry else None
    if entry is None or before is None:
        return _enrol(candidate, entry, list_name, now)
    after, message = replace(before, follows=_follows(candidate, before)), ""
    if candidate.status.ended and candidate.status is not before.status:
        after = replace(after, status=candidate.status, changed_at=candidate.changed_at or now)
        message = _according_to_file(candidate)
    elif before.status is Status.PENDING and candidate.status is Status.ACTIVE:
        message = "has not confirmed yet; an import does not confirm"
    return _settle(candidate, entry, after, message)


def by_hand(candidate: Candidate, entry: Entry | None, list_name: str, now: dt.datetime) -> Move:
    """Decide for one person whom somebody adds with consent given for just this: they may come back."""
    before = entry.on(list_name) if entry else None
    if entry is None or before is None:
        return _enrol(candidate, entry, list_name, now)
    after = replace(before, follows=_follows(candidate, before))
    if before.status.ended:
        after = replace(after, status=candidate.status, joined_at=now, changed_at=now)
    elif before.status is Status.PENDING and candidate.status is Status.ACTIVE:
        after = replace(after, status=candidate.status, changed_at=now)
    return _settle(candidate, entry, after, "")


def _stop(candidate: Candidate, known: Entry | Suppressed | None, list_name: str) -> str:
    suppressed = known.suppressed if isinstance(known, Entry) else known
    if suppressed:
        return f"{why_suppressed(suppressed)}; not added"
    if not isinstance(known, Entry) or not known.subscriptions:
        return ""
    here = known.on(list_name)
    if here and here.status.ended and candidate.status.rank <= here.status.rank:
        return f"{_ENDS[here.status]} on {here.changed_at:%Y-%m-%d}; not re-subscribed"
    if not here and known.status().ended:
        last = max(one.changed_at for one in known.subscriptions)
        return f"{_ENDS[known.status()]} on {last:%Y-%m-%d} and is on no list any more; not re-subscribed"
    return ""


def _enrol(candidate: Candidate, entry: Entry | None, list_name: str, now: dt.datetime) -> Move:
    ended = candidate.status.ended
    joined = candidate.joined_at or now
    changed = candidate.changed_at or (now if ended else joined)
    after = Subscription(list_name, candidate.status, candidate.follows or (), joined, changed)
    new = Reader(0, candidate.address, candidate.name, candidate.language, candidate.timezone)
    person = _person(candidate, entry.reader) if entry else new
    return Move(candidate, Change.ADDED, person, after, entry, _according_to_file(candidate) if ended else "")


def _settle(candidate: Candidate, entry: Entry, after: Subscription, message: str) -> Move:
    person = _person(candidate, entry.reader)
    same = person == entry.reader and after == entry.on(after.list)
    return Move(candidate, Change.UNCHANGED if same else Change.UPDATED, person, after, entry, message)


def _person(candidate: Candidate, before: Reader) -> Reader:
    return replace(
        before,
        name=candidate.name or before.name,
        language=candidate.language or before.language,
        timezone=candidate.timezone or before.timezone,
    )


def _follows(candidate: Candidate, before: Subscription) -> tuple[str, ...]:
    return before.follows if candidate.follows is None else candidate.follows


def _according_to_file(candidate: Candidate) -> str:
    return f"{_ENDS[candidate.status]}, says the file; kept so that no later file brings them back"
