"""Keeps Mailchimp's audience at what a batch needs: its fields, the readers with their values, a segment of them.

Nothing here sends mail, and everything may be done twice. Paths as in Mailchimp's OpenAPI 3.0.55.
"""

from __future__ import annotations

import datetime as dt
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from newsletter.providers.base import Outcome, Recipient, one_line
from newsletter.providers.mailchimp_calls import Calls, NotYetError, RefusedError
from newsletter.providers.mailchimp_merge import Fields

GROUP = 500  # members of one request, at most
SETTLING = 60.0  # seconds; Mailchimp works through what it was told a little later

_GONE = ("unsubscribed", "cleaned")
_MEMBER = re.compile(r"members\.(?:item:)?([0-9]{1,3})\b")  # how an error says which member of a request it means
# Mailchimp keeps an address away for some time when it joins many audiences at once; any other error is for good.
_FOR_NOW = re.compile(r"signups for now|try again|temporar", re.IGNORECASE)

Fate = tuple[Outcome, str]
_Item = TypeVar("_Item")


class Audience:
    """One audience, by its id. Several threads may use it at once."""

    def __init__(self, calls: Calls, audience: str) -> None:
        self._calls, self._path, self._id = calls, f"lists/{audience}", audience
        self._known: frozenset[str] = frozenset()
        self._lock = threading.Lock()

    def sync(self, recipients: Sequence[Recipient], fields: Fields) -> dict[int, Fate]:
        """Bring in readers with their values; return who cannot be mailed, and why.

        Who is unsubscribed or cleaned there stays so: these two lists are read first, and nobody on them is touched.
        """
        self._ensure(fields.names())
        gone = self._gone()
        fates: dict[int, Fate] = {}
        members: list[tuple[Recipient, dict[str, Any]]] = []
        for one in recipients:
            status = gone.get(one.address.lower())
            if status is not None:
                fates[one.reader] = (Outcome.REJECTED, f"mailchimp has this address as {status}")
                continue
            values = fields.values(one)
            members.append((one, {"email_address": one.address, "status": "subscribed", "merge_fields": values}))
        for group in _groups(members):
            fates |= self._bring(group)
        return fates

    def segment(self, name: str, addresses: Iterable[str], since: dt.datetime) -> int:
        """Return the static segment of that name, made after `since`, with exactly these members."""
        wanted = {address.lower(): address for address in addresses}
        segment, present = self._segment(name, since)
        if present.keys() != wanted.keys():
            missing = [wanted[key] for key in wanted if key not in present]
            surplus = [present[key] for key in present if key not in wanted]
            for what, whom in (("members_to_add", missing), ("members_to_remove", surplus)):
                for group in _groups(whom):
                    self._calls.ask("POST", f"{self._path}/segments/{segment}", {what: group})
            present = self._members(segment)
        if present.keys() != wanted.keys():
            odd = len(present.keys() ^ wanted.keys())
            raise NotYetError(f"mailchimp has not brought the segment up to date yet ({odd} readers)", SETTLING)
        return segment

    def outsiders(self, name: str, addresses: Iterable[str], since: dt.datetime) -> frozenset[str]:
        """Return which addresses were not brought into the segment of that name: its campaign did not reach them.

        Whoever has left Mailchimp meanwhile is in no segment any more either, and does not count as one of them.
        """
        segment = self._find(name, since)
        if segment is None:  # the campaign was not made by us, or its segment was deleted: nothing is known
            return frozenset()
        inside = self._members(segment)
        missing = frozenset(address for address in addresses if address.lower() not in inside)
        gone = self._gone() if missing else {}
        return frozenset(address for address in missing if address.lower() not in gone)

    def _ensure(self, names: Mapping[str, str]) -> None:
        """Make the fields that the audience does not have. Another sender may be at it too."""
        with self._lock:
            if names.keys() <= self._known:
                return
            self._known = self._tags()
            for tag, name in names.items():
                if tag in self._known:
                    continue
                body = {"tag": tag, "name": name, "type": "text", "required": False, "public": False}
                try:
                    self._calls.ask("POST", f"{self._path}/merge-fields", body)
                except RefusedError:
                    if tag not in self._tags():
                        raise
            self._known |= names.keys()

    def _tags(self) -> frozenset[str]:
        found = self._calls.pages(f"{self._path}/merge-fields", "merge_fields", fields="merge_fields.tag,total_items")
        return frozenset(str(field.get("tag")) for field in found)

    def _gone(self) -> dict[str, str]:
        asked = "members.email_address,members.status,total_items"
        return {
            str(member.get("email_address")).lower(): status
            for status in _GONE
            for member in self._calls.pages(f"{self._path}/members", "members", status=status, fields=asked)
        }

    def _bring(self, group: Sequence[tuple[Recipient, dict[str, Any]]]) -> dict[int, Fate]:
        """Bring in up to GROUP readers. Those whom a 400 names are left out, and the rest is brought in again."""
        fates: dict[int, Fate] = {}
        left = list(group)
        while left:
            body = {"members": [member for _, member in left], "update_existing": True}
            try:
                said = self._calls.ask("POST", self._path, body, skip_merge_validation="true")
            except RefusedError as error:
                named = dict(_named(error.problem, [one.address for one, _ in left]))
                if not named:
                    raise
                fates |= {left[place][0].reader: (Outcome.REJECTED, words) for place, words in named.items()}
                left = [one for place, one in enumerate(left) if place not in named]
                continue
            return fates | _errors(said, {one.address.lower(): one.reader for one, _ in left})
        return fates

    def _find(self, name: str, since: dt.datetime) -> int | None:
        found = self._calls.pages(
            f"{self._path}/segments",
            "segments",
            type="static",
            since_created_at=since.isoformat(timespec="seconds"),
            fields="segments.id,segments.name,total_items",
        )
        return next((one["id"] for one in found if one.get("name") == name and isinstance(one.get("id"), int)), None)

    def _segment(self, name: str, since: dt.datetime) -> tuple[int, dict[str, str]]:
        known = self._find(name, since)
        if known is not None:
            return known, self._members(known)
        made = self._calls.ask("POST", f"{self._path}/segments", {"name": name, "static_segment": []}).get("id")
        if not isinstance(made, int):
            raise NotYetError("mailchimp made a segment and did not say which")
        return made, {}

    def _members(self, segment: int) -> dict[str, str]:
        """Return who of a segment can be mailed, by address in lower case."""
        path = f"{self._path}/segments/{segment}/members"
        found = self._calls.pages(path, "members", fields="members.email_address,total_items")
        addresses = (str(member.get("email_address")) for member in found)
        return {address.lower(): address for address in addresses}


def _groups(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    return (items[start : start + GROUP] for start in range(0, len(items), GROUP))


def _errors(said: Mapping[str, Any], readers: Mapping[str, int]) -> dict[int, Fate]:
    """Read what Mailchimp says of single members beside a success."""
    fates: dict[int, Fate] = {}
    for error in said.get("errors") or ():
        reader = readers.get(str(error.get("email_address", "")).lower()) if isinstance(error, dict) else None
        if reader is not None:
            words = one_line(f"mailchimp: {error.get('error') or error.get('field_message') or 'refused'}")
            fates[reader] = (Outcome.DEFERRED if _FOR_NOW.search(words) else Outcome.REJECTED, words)
    return fates


def _named(problem: Mapping[str, Any], addresses: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Say which members a 400 is about: by their place in the request, or by their address in its words."""
    for error in problem.get("errors") or ():
        found = _MEMBER.match(str(error.get("field"))) if isinstance(error, dict) else None
        if found and int(found[1]) < len(addresses):
            yield int(found[1]), one_line(f"mailchimp: {error.get('message')}")
    detail = str(problem.get("detail", ""))
    words = {word.strip(".") for word in re.split(r"[\s<>\"'(),;:]+", detail.lower())}
    for place, address in enumerate(addresses):
        if address.lower() in words:
            yield place, one_line(f"mailchimp: {detail}")
