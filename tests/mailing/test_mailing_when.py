"""Moments as people say them, in their own time zone."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest

from newsletter.errors import NewsletterError
from newsletter.mailing import when

ROME = "Europe/Rome"
NEW_YORK = "America/New_York"
FRIDAY = dt.datetime(2016, 4, 22, 12, 0, tzinfo=dt.UTC)  # 14:00 in Rome, 8:00 in New York


@pytest.mark.parametrize(
    ("text", "zone", "meant"),
    [
        ("Friday 16:00", ROME, "2016-04-22 14:00"),
        ("friday  16:00", NEW_YORK, "2016-04-22 20:00"),
        ("Friday 14:00", ROME, "2016-04-29 12:00"),  # now is not in the future
        ("Fri 9:00", ROME, "2016-04-29 07:00"),
        ("Thursday 0:05", ROME, "2016-04-27 22:05"),
        ("16:00", ROME, "2016-04-22 14:00"),
        ("13:59", ROME, "2016-04-23 11:59"),
        ("today 23:59", ROME, "2016-04-22 21:59"),
        ("tomorrow 9:00", "Pacific/Kiritimati", "2016-04-23 19:00"),  # the 23rd has begun there
        ("2016-04-22 16:00", NEW_YORK, "2016-04-22 20:00"),
        ("2016-12-24 16:00", NEW_YORK, "2016-12-24 21:00"),
        ("in 2 hours", ROME, "2016-04-22 14:00"),
        ("in 1 minute", ROME, "2016-04-22 12:01"),
        ("In 3 Days", ROME, "2016-04-25 12:00"),
        ("2016-11-06 1:30", NEW_YORK, "2016-11-06 05:30"),  # comes twice that night: the first of the two
    ],
)
def test_a_moment_is_the_next_one_that_is_meant(text: str, zone: str, meant: str) -> None:
    found = when.read(text, zone, FRIDAY)
    assert f"{found.at:%Y-%m-%d %H:%M}" == meant
    assert (found.zone, found.at.utcoffset()) == (zone, dt.timedelta(0))


def test_a_moment_is_shown_as_it_was_said() -> None:
    assert str(when.read("fri 16:00", NEW_YORK, FRIDAY)) == "Friday 2016-04-22 16:00 America/New_York"


@pytest.mark.parametrize(
    ("text", "zone", "said"),
    [
        ("today 13:00", ROME, "'today 13:00' is past in Europe/Rome; there it is Friday 2016-04-22 14:00 now"),
        ("2016-04-21 16:00", ROME, "is past"),
        ("2016-03-27 2:30", ROME, "is past"),
        (
            "2017-03-26 2:30",
            ROME,
            "there is no 02:30 on 2017-03-26 in Europe/Rome: the clocks leap over it; write 03:30",
        ),
        ("Friday 16:00", "Europe/Atlantis", "there is no time zone 'Europe/Atlantis'"),
        ("Friday 16:00", "../../etc/passwd", "there is no time zone"),
        ("Friday", ROME, "says no time; write it like 'Friday 16:00'"),
        ("Friday 24:00", ROME, "says no time"),
        ("16:60", ROME, "says no time"),
        ("in 2 weeks", ROME, "says no time"),
        ("Freitag 16:00", ROME, "names no day"),
        ("T 16:00", ROME, "names no day"),
        ("2016-02-30 16:00", ROME, "names no day"),
        ("9999-12-31 23:00", NEW_YORK, "names no day"),
        ("", ROME, "says no time"),
    ],
)
def test_what_cannot_be_meant_is_one_line(text: str, zone: str, said: str) -> None:
    with pytest.raises(NewsletterError) as caught:
        when.read(text, zone, FRIDAY)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def etc(root: Path, *, link: str | None = None, timezone: str | None = None) -> Path:
    (root / "etc").mkdir()
    if link:
        os.symlink(link, root / "etc" / "localtime")  # noqa: PTH211 - the target need not be there
    if timezone:
        (root / "etc" / "timezone").write_text(timezone + "\n")
    return root


def test_the_machines_zone_has_a_name(tmp_path: Path) -> None:
    places = [tmp_path / name for name in "abcd"]
    for place in places:
        place.mkdir()
    linked = etc(places[0], link="/usr/share/zoneinfo/Africa/Nairobi", timezone="Asia/Tokyo")
    assert when.machine_zone(linked, "") == "Africa/Nairobi"
    assert when.machine_zone(linked, ":Europe/Rome") == ROME
    assert when.machine_zone(etc(places[1], timezone="Asia/Tokyo"), "") == "Asia/Tokyo"
    assert when.machine_zone(etc(places[2]), "") == "UTC"
    with pytest.raises(NewsletterError, match="--timezone"):
        when.machine_zone(linked, "EST5EDT4,M3.2.0,M11.1.0")
    (places[3] / "zone").write_bytes(b"TZif")
    with pytest.raises(NewsletterError, match="--timezone"):
        when.machine_zone(etc(places[3], link=str(places[3] / "zone")), "")
