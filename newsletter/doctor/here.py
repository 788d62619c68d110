"""What is on this machine: secrets, the database, the disk."""

from __future__ import annotations

import datetime as dt
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from newsletter.config import SETTINGS_FILE
from newsletter.database.engine import file_of, open_database, reading, writing
from newsletter.doctor.case import Case
from newsletter.doctor.note import Level, Note
from newsletter.errors import NewsletterError, TryLaterError
from newsletter.providers.outbox import Outbox
from newsletter.source import display

LITTLE, TOO_LITTLE = 1_000_000_000, 100_000_000  # bytes that are free on a disk
CLOCKS_APART = dt.timedelta(seconds=10)  # more is no delay of an answer any more


def examine_secret(case: Case) -> Iterator[Note]:
    """Read the secret that signs readers' links. Those of the carrier are read when it is opened."""
    try:
        case.project.secret()
    except NewsletterError as error:
        yield Note("fail", "secret", str(error), "bring it back from your copy: links in mails already sent need it")
        return
    yield Note("ok", "secret", "what signs readers' links is there, and for your eyes only")


def examine_database(case: Case) -> Iterator[Note]:
    """Open the database as every command does, look it through, and write into it without changing anything."""
    try:
        engine = open_database(case.project.database(), case.project.root)
    except NewsletterError as error:
        yield Note("fail", "database", str(error), "mend that first; nothing can be sent without it")
        return
    try:
        with reading(engine) as connection:
            if engine.dialect.name == "sqlite":
                yield from _of_file(Path(engine.url.database or ""), connection.exec_driver_sql)
            else:
                theirs = connection.exec_driver_sql("SELECT now()").scalar_one()
                yield clock_note(case.clock(), theirs, "the database")
        with writing(engine) as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = version_num")
        yield Note("ok", "database", f"{file_of(engine)} is at the newest schema and can be written")
    except TryLaterError as error:
        yield Note("warn", "database", str(error), "try again once the other program is finished")
    except NewsletterError as error:
        yield Note("fail", "database", str(error), "mend that first; nothing can be sent without it")
    finally:
        engine.dispose()


def _of_file(path: Path, execute: Callable[[str], Any]) -> Iterator[Note]:
    if execute("PRAGMA quick_check(1)").scalar() != "ok":
        yield Note("fail", "database", f"{display(path)} is damaged", "restore it from a backup")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        said = f"others on this machine can read {display(path)}, which holds your readers"
        yield Note("warn", "database", said, f"run: chmod 600 {display(path)}*")


def examine_clock(case: Case) -> Iterator[Note]:
    """See that it is not earlier than it was: what there is to know where no other clock can be seen."""
    changed = dt.datetime.fromtimestamp((case.project.root / SETTINGS_FILE).stat().st_mtime, dt.UTC)
    if case.clock() + CLOCKS_APART < changed:
        said = f"by this machine's clock, {SETTINGS_FILE} was changed in the future, at {changed:%Y-%m-%d %H:%M} UTC"
        yield Note("fail", "clock", said, "set the clock, best by NTP: dates, rates and schedules go by it")
    else:
        yield Note("ok", "clock", f"this machine's clock stands after the last change of {SETTINGS_FILE}")


def clock_note(ours: dt.datetime, theirs: dt.datetime, whose: str) -> Note:
    """Compare this machine's clock with another one."""
    apart = abs(ours - theirs)
    if apart <= CLOCKS_APART:
        return Note("ok", "clock", f"this machine's clock agrees with that of {whose}")
    said = f"this machine's clock and that of {whose} are {apart.total_seconds():,.0f} seconds apart"
    advice = "let both be set by NTP: dates, rates and schedules go by them"
    return Note("warn" if apart < 30 * CLOCKS_APART else "fail", "clock", said, advice)


def examine_disk(case: Case) -> Iterator[Note]:
    """Look at the space left where the project is, and where the outbox is."""
    places = {case.project.root}
    if isinstance(case.provider, Outbox):
        places.add(next(folder for folder in (case.provider.folder, *case.provider.folder.parents) if folder.exists()))
    for place in sorted(places):
        yield space_note(shutil.disk_usage(place).free, place)


def space_note(free: int, place: Path) -> Note:
    """Say whether so many free bytes are enough."""
    said = f"{free / 1e9:,.1f} GB are free for {display(place)}"
    if free >= LITTLE:
        return Note("ok", "disk", said)
    level: Level = "warn" if free >= TOO_LITTLE else "fail"
    return Note(level, "disk", said, "make room: a disk that fills up stops a send")
