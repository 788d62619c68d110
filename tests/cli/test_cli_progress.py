"""How far a send is, where there is no terminal to draw a bar on."""

from __future__ import annotations

import pytest

from newsletter.cli.progress import Lines
from newsletter.cli.show import duration
from newsletter.mailing.dispatch import Progress


def test_a_line_comes_every_few_seconds_with_rate_and_time_left() -> None:
    said: list[str] = []
    now = [100.0]
    lines = Lines(said.append, lambda: now[0])
    for second in range(13):
        now[0] = 100.0 + second
        lines(Progress(1000 + 40 * second, 5000))
    assert said == ["1,200 of 5,000, 40 a second, 1 min 35 s left", "1,400 of 5,000, 40 a second, 1 min 30 s left"]


def test_while_nothing_goes_out_no_time_is_promised() -> None:
    said: list[str] = []
    now = [0.0]
    lines = Lines(said.append, lambda: now[0])
    for second in (0.0, 6.0):
        now[0] = second
        lines(Progress(7, 12))
    assert said == ["7 of 12, 0 a second"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (10, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
    ],
)
def test_a_time_is_written_as_people_say_it(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
