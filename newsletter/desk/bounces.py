"""Takes in what came back to the bounce address: from a Maildir into the ledger and the book, each message once."""

from __future__ import annotations

import datetime as dt
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from newsletter.database.engine import Engine
from newsletter.database.opened import opened
from newsletter.desk.project import Clock, Desk
from newsletter.errors import NewsletterError
from newsletter.mailing import bounces, reports
from newsletter.mailing.bounces import Returned
from newsletter.source import display
from newsletter.subscribers.book import Book

ROUND = 500  # messages, after which the other chores have their turn


@dataclass(frozen=True)
class Maildir:
    """A folder that a mail server delivers to: a file a message, in new/ until somebody has looked, then in cur/.

    Of the flags behind a name's ':2,' S says that the message has been seen (D. J. Bernstein's page on maildir).
    """

    root: Path

    def waiting(self) -> Iterator[Path]:
        """Go through the messages that nobody has seen, the oldest of each folder first. Raises NewsletterError."""
        for folder in ("new", "cur"):
            try:
                names = sorted(path.name for path in (self.root / folder).iterdir())
            except OSError as error:
                raise NewsletterError(
                    f"{display(self.root)}: the Maildir that newsletter.yaml names under 'bounces' cannot be read:"
                    f" {folder}: {error.strerror}"
                ) from None
            for name in names:
                path = self.root / folder / name
                if not name.startswith(".") and "S" not in _flags(name) and path.is_file():
                    yield path

    def put_away(self, path: Path) -> None:
        """Mark a message as seen."""
        flags = "".join(sorted({*_flags(path.name), "S"}))
        path.rename(self.root / "cur" / f"{path.name.partition(':')[0]}:2,{flags}")


def _flags(name: str) -> str:
    return name.partition(":2,")[2]


@dataclass(frozen=True)
class Intake:
    """What a message needs to be taken in; `counted` are those that nothing followed from, by their reason."""

    box: Maildir
    keep: bool
    bounce: str
    secret: bytes
    engine: Engine
    book: Book
    clock: Clock
    counted: Counter[str] = field(default_factory=Counter)

    def take(self, path: Path) -> Iterator[str]:
        """Take in one message, and yield what it says of a reader. Only when that is stored, the message goes."""
        with path.open("rb") as handle:
            data = handle.read(bounces.MAX_BYTES)
            arrived = dt.datetime.fromtimestamp(os.fstat(handle.fileno()).st_mtime, dt.UTC)
        copy = bounces.whose(self.engine, self.secret, bounces.marks_in(data, self.bounce), self.clock())
        said = bounces.read(data) if copy else Returned()
        told = bounces.feedback(said, copy, arrived) if copy else None
        if copy and told:
            reports.apply(self.engine, self.book, (told,), self.clock())
            how = " for good" if told.hard else ""
            yield " ".join(f"{copy.mailing}: reader {copy.reader} {told.report}{how} {told.status}".split())
        else:
            self.counted["of passing events" if said.understood else "not understood" if copy else "not ours"] += 1
        if said.understood and not self.keep:
            path.unlink()
        else:
            self.box.put_away(path)


def fetch(desk: Desk, clock: Clock, stop: Callable[[], bool]) -> Iterator[str]:
    """Take in at most 500 messages; yield a line for each that says something of a reader, then one for the others.

    A crash between storing and removing repeats a message, which changes nothing. Raises NewsletterError when the
    settings, the Maildir or a message in it cannot be used; the other messages are taken in before that.
    """
    settings = desk.project.settings
    if settings.bounces is None:
        return
    if settings.bounce is None:
        raise NewsletterError(f"{desk.project.file}: 'bounces' needs a 'bounce' address, which the marks are put into")
    box = Maildir(desk.project.root / settings.bounces.maildir)
    waiting = tuple(itertools.islice(box.waiting(), ROUND))
    if not waiting:
        return
    with opened(desk.project.database(), desk.project.root) as engine:
        secret = desk.project.secret()
        book = Book(engine, clock, secret)
        intake = Intake(box, settings.bounces.keep, settings.bounce, secret, engine, book, clock)
        yield from _take_all(intake, waiting, stop)


def _take_all(intake: Intake, waiting: Iterable[Path], stop: Callable[[], bool]) -> Iterator[str]:
    failed = None
    for path in itertools.takewhile(lambda _: not stop(), waiting):
        try:
            yield from intake.take(path)
        except FileNotFoundError:
            continue  # somebody else has taken it
        except OSError as error:
            failed = NewsletterError(f"{display(path)}: this message cannot be taken in: {error.strerror}")
    if intake.counted:
        yield "messages without consequence: " + ", ".join(f"{n} {why}" for why, n in sorted(intake.counted.items()))
    if failed is not None:
        raise failed
