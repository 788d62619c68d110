"""Shows how far a send is: a bar on a terminal, elsewhere a line every few seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from newsletter.cli.show import duration

if TYPE_CHECKING:
    from newsletter.mailing.dispatch import Progress, Told

EVERY = 5.0  # seconds between two lines


class Lines:
    """Says now and then how far a send is, how fast, and how long it still takes."""

    def __init__(self, say: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._now = now
        self._start: tuple[float, int] | None = None
        self._last = now()

    def __call__(self, progress: Progress) -> None:
        """Take down how far it is, and say so when the last line is some seconds old."""
        now = self._now()
        if self._start is None:
            self._start = (now, progress.done)
        if now - self._last < EVERY:
            return
        self._last = now
        rate = (progress.done - self._start[1]) / max(now - self._start[0], 0.001)
        left = f", {duration((progress.total - progress.done) / rate)} left" if rate else ""
        self._say(f"{progress.done:,} of {progress.total:,}, {rate:,.0f} a second{left}")


@contextmanager
def progress() -> Iterator[Told]:
    """Show progress on stderr while a send is under way."""
    if not sys.stderr.isatty():
        yield Lines(lambda line: click.echo(line, err=True))
        return
    from rich import progress  # noqa: PLC0415 - only where somebody looks
    from rich.console import Console  # noqa: PLC0415 - the same

    shown = (
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TaskProgressColumn(),
        progress.TextColumn("{task.fields[rate]}"),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*shown, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("sending", total=None, rate="")

        def told(now: Progress) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, completed=now.done, total=now.total, rate=f"{speed:,.0f}/s" if speed else "")

        yield told
