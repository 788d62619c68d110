"""The values of the readers' book."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict


class Status(StrEnum):
    """How a reader stands with a list. `rank` grows with finality, so that events in any order end alike."""

    PENDING = "pending"
    ACTIVE = "active"
    BOUNCED = "bounced"
    LEFT = "left"
    COMPLAINED = "complained"

    @property
    def ended(self) -> bool:
        """Whether no mail goes out any more."""
        return self not in (Status.PENDING, Status.ACTIVE)

    @property
    def rank(self) -> int:
        """A later event changes a status only to one of a higher rank; coming back takes new consent."""
        return tuple(Status).index(self)


class Reason(StrEnum):
    """Why an address must not be mailed, in growing weight."""

    BOUNCED = "bounced"
    MANUAL = "manual"
    COMPLAINED = "complained"
    ERASED = "erased"

    @property
    def rank(self) -> int:
        """A weightier reason takes the place of a lighter one."""
        return tuple(Reason).index(self)


# What a reader is called as a whole, first match first: one list that still goes to them decides.
_OVERALL = (Status.ACTIVE, Status.PENDING, Status.LEFT, Status.BOUNCED, Status.COMPLAINED)


@dataclass(frozen=True, slots=True)
class Reader:
    """A person. `language` is BCP 47, or "" for the newsletter's; `timezone` an IANA name, or "" when not known."""

    id: int
    address: str
    name: str
    language: str
    timezone: str = ""


@dataclass(frozen=True, slots=True)
class Subscription:
    """A reader on a list. `follows` holds keys of countries, regions and subjects; empty means everything."""

    list: str
    status: Status
    follows: tuple[str, ...]
    joined_at: dt.datetime
    changed_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Suppressed:
    """An address that must not be mailed, and since when."""

    reason: Reason
    at: dt.datetime


class Summary(TypedDict):
    """A reader as machine-readable answers show them."""

    id: int
    address: str
    name: str
    language: str
    timezone: str
    lists: list[str]
    status: str
    follows: list[str]


@dataclass(frozen=True, slots=True)
class Entry:
    """Everything the book knows of a reader."""

    reader: Reader
    subscriptions: tuple[Subscription, ...]
    suppressed: Suppressed | None = None

    def on(self, list_name: str) -> Subscription | None:
        """Return the subscription to one list."""
        return next((one for one in self.subscriptions if one.list == list_name), None)

    def status(self, list_name: str | None = None) -> Status:
        """Return the status on one list, or over all: active if any is, else pending, left, bounced, complained."""
        found = {one.status for one in self.subscriptions if list_name in (None, one.list)}
        return next((status for status in _OVERALL if status in found), Status.LEFT)

    def follows(self, list_name: str | None = None) -> tuple[str, ...]:
        """Return what is followed on one list, or over all lists the reader is on; empty means everything."""
        chosen = [
            one for one in self.subscriptions if list_name == one.list or (not list_name and not one.status.ended)
        ]
        if any(not one.follows for one in chosen):
            return ()
        return tuple(sorted({key for one in chosen for key in one.follows}))

    def summary(self, list_name: str | None = None) -> Summary:
        """Return what `subscribers list --format json` shows; `lists` are those not left."""
        return Summary(
            id=self.reader.id,
            address=self.reader.address,
            name=self.reader.name,
            language=self.reader.language,
            timezone=self.reader.timezone,
            lists=[one.list for one in self.subscriptions if one.status is not Status.LEFT],
            status=self.status(list_name).value,
            follows=list(self.follows(list_name)),
        )


class Change(StrEnum):
    """What became of one reader that was to be added."""

    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
