"""One process that does what is due: each chore in its time, whatever becomes of the others."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from newsletter.desk import service
from newsletter.desk.service import Chore, Shift
from newsletter.errors import NewsletterError

NOON = dt.datetime(2016, 4, 22, 12, tzinfo=dt.UTC)
ALWAYS = dt.timedelta(0)


def good(shift: Shift) -> Iterator[str]:
    yield f"good: at {shift.clock():%H:%M}"


def refused(shift: Shift) -> Iterator[str]:
    del shift
    yield "refused: begun"
    raise NewsletterError("the mailbox of ann@example.org cannot be opened")


def faulty(shift: Shift) -> Iterator[str]:
    del shift
    yield from ()
    raise ZeroDivisionError("ann@example.org")


def test_a_failing_chore_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    told: list[str] = []
    chores = [Chore("refused", ALWAYS, refused), Chore("faulty", ALWAYS, faulty), Chore("good", ALWAYS, good)]
    assert not service.run(tmp_path, 1, told.append, once=True, chores=chores, now=lambda: NOON)
    assert told[0] == "refused: begun"
    assert told[1] == "refused: the mailbox of (address) cannot be opened"
    assert told[2].startswith("faulty: a fault in the program: ZeroDivisionError at test_desk_service.py:")
    assert told[3] == "good: at 12:00"


def test_every_chore_has_its_own_rhythm_and_says_the_same_thing_once(tmp_path: Path) -> None:
    told: list[str] = []
    now = [NOON]
    shift = Shift(tmp_path, lambda: now[0], lambda: len(told) > 6)

    def rounds(number: int) -> None:
        for _ in range(number):
            for chore in (Chore("daily", dt.timedelta(days=1), good), Chore("refused", ALWAYS, refused)):
                service.do(shift, chore, told.append)
            now[0] += dt.timedelta(hours=1)

    rounds(3)
    said = "refused: the mailbox of (address) cannot be opened"
    assert told == ["good: at 12:00", "refused: begun", said, "refused: begun", "refused: begun"]
    now[0] += dt.timedelta(hours=21)
    rounds(1)
    assert told[5:] == ["good: at 12:00", "refused: begun"]
    rounds(5)
    assert len(told) == 7  # asked to stop


def test_what_has_mended_is_told_again_when_it_breaks_again(tmp_path: Path) -> None:
    told: list[str] = []
    shift = Shift(tmp_path, lambda: NOON, lambda: False)
    for work in (refused, good, refused):
        service.do(shift, Chore("mailbox", ALWAYS, work), told.append)
    assert told.count("mailbox: the mailbox of (address) cannot be opened") == 2
