"""What the tests of this room say of a case."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable

from newsletter.doctor.case import Case
from newsletter.doctor.note import Note

NOON = dt.datetime(2016, 4, 22, 12, tzinfo=dt.UTC)

MakeCase = Callable[..., Case]


def levels(notes: Iterable[Note]) -> list[tuple[str, str]]:
    return [(note.level, note.what) for note in notes]
