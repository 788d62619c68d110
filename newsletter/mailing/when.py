"""Reads when a mailing is to leave, as people say it: "Friday 16:00", "tomorrow 9:00", "in 2 hours"."""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from newsletter.errors import NewsletterError

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_TIME = re.compile(r"(?:(?P<day>\S+)\s+)?(?P<hour>\d{1,2}):(?P<minute>\d{2})")
_AFTER = re.compile(r"in\s+(?P<count>\d{1,4})\s+(?P<unit>minute|hour|day)s?")
_DATE = re.compile(r"2\d{3}-\d{2}-\d{2}")
_DAY = dt.timedelta(days=1)
_EXAMPLES = "'Friday 16:00', 'tomorrow 9:00', '16:00', '2016-04-22 16:00' or 'in 2 hours'"


@dataclass(frozen=True)
class When:
    """A moment, and the IANA zone in which it was said. `at` is aware, in UTC."""

    at: dt.datetime
    zone: str

    @property
    def local(self) -> dt.datetime:
        """What the clock of the zone shows then, without an offset."""
        return self.at.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None)

    def __str__(self) -> str:
        return f"{self.local:%A %Y-%m-%d %H:%M} {self.zone}"


def read(text: str, zone: str, now: dt.datetime) -> When:
    """Return the next moment after `now` that a text means in a zone.

    A day's hour that comes twice, when the clocks go back, is the first of the two. Raises NewsletterError for a text
    that says no time, an unknown zone, a time that the clocks leap over, and one that is past.
    """
    there = find_zone(zone)
    words = " ".join(text.lower().split())
    after = _AFTER.fullmatch(words)
    if after:
        return When((now + int(after["count"]) * dt.timedelta(**{f"{after['unit']}s": 1})).astimezone(dt.UTC), zone)
    found = _TIME.fullmatch(words)
    if not found or int(found["hour"]) > 23 or int(found["minute"]) > 59:
        raise NewsletterError(f"'{text}' says no time; write it like {_EXAMPLES}")
    clock = dt.time(int(found["hour"]), int(found["minute"]))
    for day in _days(found["day"], now.astimezone(there).date(), text):
        moment = dt.datetime.combine(day, clock, there).astimezone(dt.UTC)
        if moment > now:
            _refuse_leapt(moment, dt.datetime.combine(day, clock), there)
            return When(moment, zone)
    raise NewsletterError(f"'{text}' is past in {zone}; there it is {now.astimezone(there):%A %Y-%m-%d %H:%M} now")


def _days(word: str | None, today: dt.date, text: str) -> Iterator[dt.date]:
    """Yield the days that a word may mean, the nearest first."""
    named = [n for n, name in enumerate(WEEKDAYS) if word and len(word) >= 3 and name.startswith(word)]
    if word is None:
        yield from (today, today + _DAY)
    elif word in ("today", "tomorrow"):
        yield today if word == "today" else today + _DAY
    elif named:
        ahead = today + (named[0] - today.weekday()) % 7 * _DAY
        yield from (ahead, ahead + 7 * _DAY)
    else:
        yield _date(word, text)


def _date(word: str, text: str) -> dt.date:
    try:
        if _DATE.fullmatch(word):
            return dt.date.fromisoformat(word)
    except ValueError:
        pass
    raise NewsletterError(f"'{text}' names no day; write it like {_EXAMPLES}")


def _refuse_leapt(moment: dt.datetime, said: dt.datetime, there: ZoneInfo) -> None:
    shown = moment.astimezone(there).replace(tzinfo=None)
    if shown != said:
        raise NewsletterError(
            f"there is no {said:%H:%M} on {said:%Y-%m-%d} in {there.key}: the clocks leap over it; write {shown:%H:%M}"
        )


def find_zone(name: str) -> ZoneInfo:
    """Return an IANA time zone. Raises NewsletterError for a name that is none."""
    if name not in available_timezones():
        raise NewsletterError(f"there is no time zone '{name}'; write it like America/New_York or UTC")
    return ZoneInfo(name)


def machine_zone(root: Path = Path("/"), environment: str | None = None) -> str:
    """Return the name of this machine's time zone, "UTC" where nothing is set.

    `environment` is the value of TZ, by default the process's. Raises NewsletterError when a zone is set but has no
    name.
    """
    known = available_timezones()
    said = (os.environ.get("TZ", "") if environment is None else environment).removeprefix(":")
    link = root / "etc/localtime"
    target = os.path.realpath(link).partition("zoneinfo/")[2].removeprefix("posix/")
    if said in known or (not said and target in known):
        return said or target
    try:
        written = (root / "etc/timezone").read_text("utf-8").strip()
    except OSError:
        written = ""
    if not said and written in known:
        return written
    if not said and not link.exists():
        return "UTC"
    raise NewsletterError("this machine's time zone has no name; say which is meant with --timezone")
