"""Freezes the audience of a mailing, against a bare INSERT ... SELECT of the same rows in the same database."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import bench
from sqlalchemy import Connection, Engine, text

from newsletter.database.engine import open_database, reading, writing
from newsletter.edition.model import Edition
from newsletter.mailing import audience
from newsletter.mailing.audience import Frozen
from newsletter.providers.base import Provider
from newsletter.providers.registry import open_provider

CARRIERS = {
    "mailgun: one body for many readers": {"name": "mailgun", "domain": "mg.example.org", "key": "file:secret.key"},
    "smtp: a message for each reader": {"name": "smtp", "host": "127.0.0.1"},
}
FOLLOWED = ("", "", "BDI SYR", "BDI", "SYR", "COD", "BDI COD SYR", "MLI")  # in turn; "" means everything
SUPPRESSED_EVERY = 50  # readers
# The columns and keys of the ledger's own table.
BARE = """
CREATE TABLE bare (
    mailing INTEGER NOT NULL REFERENCES mailing (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL, reader INTEGER NOT NULL, variant INTEGER NOT NULL,
    PRIMARY KEY (mailing, seq), UNIQUE (mailing, reader)
)"""
COPY = "INSERT INTO bare SELECT mailing, seq, reader, variant FROM delivery WHERE mailing = :mailing"
HEAD = ("database", "carrier", "readers", "frozen", "freeze", "bare INSERT ... SELECT", "times the bare one")


def main() -> None:
    readers, rounds = (20_000, 3) if bench.quick(__doc__ or "") else (1_000_000, 5)
    rows = []
    for name, database in (("SQLite", sqlite), ("PostgreSQL", postgresql)):
        with bench.sample_project() as root, database() as url:
            settings = (root / "newsletter.yaml").read_text()
            (root / "newsletter.yaml").write_text(re.sub(r"(?m)^database: .*$", f"database: {url}", settings))
            bench.enrol_many(root, readers)
            rows += [(name, *row) for row in measure(root, readers, rounds)]
    bench.table(HEAD, rows)


@contextlib.contextmanager
def sqlite() -> Iterator[str]:
    yield "sqlite:///subscribers/newsletter.db"


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """Start a server as the tests do, with its own settings but for a cache of 256 MB."""
    sys.path.insert(0, str(bench.ROOT / "tests"))
    import postgres  # noqa: PLC0415 - from the tests
    from components import component  # noqa: PLC0415 - the same

    postgres.SETTINGS["shared_buffers"] = "256MB"
    cluster = postgres.Cluster(component("postgres"))
    try:
        yield cluster.url()
    finally:
        cluster.remove()


def measure(root: Path, readers: int, rounds: int) -> Iterator[tuple[str, ...]]:
    project, edition = bench.edition_of(root)
    engine = open_database(project.database(), root)
    with writing(engine) as connection:
        vary(connection)
        connection.execute(text(BARE + (" WITHOUT ROWID" if engine.dialect.name == "sqlite" else "")))
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))  # as its own housekeeping would have done by then
    for name, settings in CARRIERS.items():
        provider = open_provider(settings, root)
        frozen, ours, bare = by_turns(engine, edition, provider, rounds)
        seconds = (f"{statistics.median(side):.2f} s" for side in (ours, bare))
        yield (name, f"{readers:,}", f"{frozen:,}", *seconds, bench.ratio(ours, bare))
    engine.dispose()


def vary(connection: Connection) -> None:
    """Give readers choices, and suppress some."""
    for number, follows in enumerate(FOLLOWED):
        values = {"follows": follows, "number": number, "of": len(FOLLOWED)}
        connection.execute(text("UPDATE subscription SET follows = :follows WHERE reader % :of = :number"), values)
    people = "reader JOIN subscription ON subscription.reader = reader.id WHERE id % :every = 0"
    suppressed = f"SELECT address_hash, 'manual', changed_at FROM {people}"  # noqa: S608 - nothing of anybody's in it
    connection.execute(
        text(f"INSERT INTO suppression (address_hash, reason, at) {suppressed}"), {"every": SUPPRESSED_EVERY}
    )


def by_turns(engine: Engine, edition: Edition, provider: Provider, rounds: int) -> tuple[int, list[float], list[float]]:
    """Freeze, and copy what was frozen, in turns; return how many readers, and both sides' seconds."""
    kept = dataclasses.replace(edition, slug="kept")
    seconds: dict[str, list[float]] = {"freeze": [], "bare": []}
    with writing(engine) as connection:
        source = audience.freeze(connection, Frozen(kept, bench.LIST, provider), dt.datetime.now(dt.UTC))

    def freeze(connection: Connection) -> None:
        audience.freeze(connection, Frozen(edition, bench.LIST, provider), dt.datetime.now(dt.UTC))

    def copy(connection: Connection) -> None:
        connection.execute(text(COPY), {"mailing": source})

    sides: list[tuple[str, Callable[[Connection], None]]] = [("freeze", freeze), ("bare", copy)]
    for round_ in range(rounds):
        for name, job in sides if round_ % 2 == 0 else reversed(sides):
            start = time.perf_counter()
            with writing(engine) as connection:
                job(connection)
            seconds[name].append(time.perf_counter() - start)
        clear(engine, source)
    with reading(engine) as connection:
        count = connection.execute(text("SELECT count(*) FROM delivery WHERE mailing = :id"), {"id": source}).scalar()
    clear(engine, 0)
    return int(count or 0), seconds["freeze"], seconds["bare"]


def clear(engine: Engine, keep: int) -> None:
    """Empty the tables for the next round."""
    with writing(engine) as connection:
        connection.execute(text("DELETE FROM bare"))
        connection.execute(text("DELETE FROM mailing WHERE id <> :keep"), {"keep": keep})


if __name__ == "__main__":
    main()
