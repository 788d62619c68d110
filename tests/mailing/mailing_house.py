"""A small newsletter with any number of readers, for the tests of the mailing room and the senders they kill."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, delete, insert, update

from newsletter.config import Newsletter, Project
from newsletter.database.engine import open_database, writing
from newsletter.edition.model import ANY, LESS, NAME, NONE, PREFERENCES, UNSUBSCRIBE, Edition, Piece, SubjectKeys
from newsletter.mailing import ledger
from newsletter.mailing.dispatch import Order
from newsletter.mailing.ledger import MailingStatus
from newsletter.providers.base import Provider
from newsletter.source import Source
from newsletter.subscribers.tables import reader, subscription, suppression

NOON = dt.datetime(2016, 4, 22, 12, tzinfo=dt.UTC)
SECRET = "a secret only the tests know"
SUBJECTS = ("BDI", "SYR", "YEM")


def settings(**changes: Any) -> Newsletter:
    given: dict[str, Any] = {
        "name": "The Weekly",
        "sender": {"name": "The Weekly", "address": "weekly@example.org"},
        "reply_to": "editors@example.org",
        "bounce": "bounces@example.org",
        "address": ["Example Coalition", "1 Example Street"],
        "reason": "You subscribed at example.org.",
        "url": "https://news.example.org",
        "send": {"max_age": "5000d"},
        "lists": {"weekly": {"title": "The Weekly"}, "press": {"title": "Press list"}},
    }
    return Newsletter.model_validate(given | changes)


def edition(slug: str = "2016-04-22", digest: str = "ab" * 32) -> Edition:
    html = (
        Piece("<!DOCTYPE html>\n<html><body><p>Lead &amp; more. "),
        Piece("<p>Countries:</p>\n", ANY),
        *(Piece(f'<h2 style="color:#333">{key}</h2> what happened\n', f"S{n}") for n, key in enumerate(SUBJECTS)),
        Piece("<p>Nothing you follow.</p>", NONE),
        Piece("<p>There is more online.</p>", LESS),
        Piece(
            f'<p>Dear {NAME}: <a href="{PREFERENCES}">choose</a>, <a href="{UNSUBSCRIBE}">leave</a></p></body></html>\n'
        ),
    )
    text = (
        Piece("Lead\n\n"),
        Piece("Countries:\n", ANY),
        *(Piece(f"{key}\nwhat happened\n", f"S{n}") for n, key in enumerate(SUBJECTS)),
        Piece("Nothing you follow.\n", NONE),
        Piece("There is more online.\n", LESS),
        Piece(f"Dear {NAME}\nChoose: {PREFERENCES}\nLeave: {UNSUBSCRIBE}\n"),
    )
    keys = tuple(SubjectKeys(key, frozenset({key})) for key in SUBJECTS)
    return Edition(slug, "The week", "A lead", "en", html, text, keys, digest)


@dataclass
class Clock:
    """A clock that stands still until somebody waits."""

    now: dt.datetime = NOON
    waits: list[float] = field(default_factory=list)

    def __call__(self) -> dt.datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += dt.timedelta(seconds=seconds)

    @staticmethod
    def chance() -> float:
        """Leave nothing to chance: every wait is as long as it may be."""
        return 0.0

    def forward(self, **interval: float) -> None:
        self.now += dt.timedelta(**interval)


@dataclass
class House:
    """A project folder with its database; readers have ids from 1, names and addresses made from them."""

    root: Path
    settings: Newsletter = field(default_factory=settings)
    url: str = "sqlite:///newsletter.db"

    def __post_init__(self) -> None:
        self.root.mkdir(exist_ok=True)
        secret = self.root / "secret.key"
        secret.write_text(SECRET)
        secret.chmod(0o600)
        self.engine: Engine = open_database(self.url, self.root)
        self.clock = Clock()

    @property
    def project(self) -> Project:
        return Project(self.root, self.settings, Source("newsletter.yaml", b"", {}, {}))

    def enrol(self, ids: range, status: str = "active", follows: str = "", list_name: str = "weekly") -> None:
        with writing(self.engine) as connection:
            connection.execute(
                insert(reader),
                [
                    {
                        "id": n,
                        "address": f"reader{n}@example.org",
                        "address_hash": self.address_hash(n),
                        "name": f"Reader {n}",
                        "language": "",
                        "created_at": NOON,
                    }
                    for n in ids
                ],
            )
            connection.execute(
                insert(subscription),
                [
                    {
                        "reader": n,
                        "list": list_name,
                        "status": status,
                        "follows": follows,
                        "joined_at": NOON,
                        "changed_at": NOON,
                    }
                    for n in ids
                ],
            )

    @staticmethod
    def address_hash(number: int) -> bytes:
        return hashlib.sha256(str(number).encode()).digest()

    def change(self, number: int, **values: Any) -> None:
        table = subscription if values.keys() & {"status", "follows"} else reader
        key = table.c.reader if table is subscription else table.c.id
        with writing(self.engine) as connection:
            connection.execute(update(table).where(key == number).values(**values))

    def erase(self, number: int) -> None:
        with writing(self.engine) as connection:
            connection.execute(delete(reader).where(reader.c.id == number))

    def suppress(self, number: int) -> None:
        with writing(self.engine) as connection:
            row = {"address_hash": self.address_hash(number), "reason": "manual", "at": NOON}
            connection.execute(insert(suppression).values(row))

    def order(self, provider: Provider, issue: Edition | None = None, list_name: str = "weekly") -> Order:
        return Order(self.engine, self.project, issue or edition(), list_name, provider)

    def status(self) -> MailingStatus:
        """The newest mailing, after seeing that its sums agree with a count reader by reader."""
        newest = ledger.status(self.engine)[0]
        assert ledger.verify(self.engine, newest.mailing) == ()
        counts = (newest.accepted, newest.rejected, newest.left, newest.unknown, newest.pending)
        assert newest.audience == sum(counts), newest
        assert min(counts) >= 0, newest
        return newest

    def counts(self) -> dict[str, int]:
        """The counts of the newest mailing that are not 0."""
        newest = self.status()
        names = ("accepted", "rejected", "left", "unknown", "pending")
        return {name: getattr(newest, name) for name in names if getattr(newest, name)}
