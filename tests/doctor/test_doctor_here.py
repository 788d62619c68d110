from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest
from doctor_case import NOON, MakeCase, levels

from newsletter.config import Project
from newsletter.database.engine import drop_old_pages, open_database, reading, writing
from newsletter.database.schema import version
from newsletter.doctor import here
from newsletter.doctor.case import Case
from newsletter.doctor.note import Note

SQLITE = pytest.mark.parametrize("kind", ["sqlite"])


def at_the_real_time(case: Case) -> Case:
    return Case(case.project, case.provider, case.resolver, lambda: dt.datetime.now(dt.UTC))


def test_a_database_that_can_be_read_and_written_is_well(case: MakeCase, kind: str, database_url: str) -> None:
    notes = list(here.examine_database(at_the_real_time(case(database=database_url))))
    assert {note.level for note in notes} == {"ok"}
    assert notes[-1].what.endswith("is at the newest schema and can be written")
    clocks = [note.what for note in notes if note.topic == "clock"]
    assert clocks == (["this machine's clock agrees with that of the database"] if kind == "postgresql" else [])


def test_the_examination_changes_nothing(case: MakeCase, database_url: str, project: Project) -> None:
    engine = open_database(database_url, project.root)
    with reading(engine) as connection:
        before = version(connection)
    list(here.examine_database(case(database=database_url)))
    with reading(engine) as connection:
        assert version(connection) == before is not None
    engine.dispose()


@pytest.mark.parametrize("kind", ["postgresql"])
def test_a_clock_far_from_the_databases_fails(case: MakeCase, database_url: str) -> None:
    (note,) = [note for note in here.examine_database(case(database=database_url)) if note.topic == "clock"]
    assert (note.level, note.what.startswith("this machine's clock and that of the database are ")) == ("fail", True)


@pytest.mark.parametrize(("changed", "level"), [(-3600, "ok"), (5, "ok"), (60, "fail")])
def test_the_clock_stands_after_what_has_happened(case: MakeCase, project: Project, changed: int, level: str) -> None:
    moment = NOON.timestamp() + changed
    os.utime(project.root / "newsletter.yaml", (moment, moment))
    assert [note.level for note in here.examine_clock(case())] == [level]


@pytest.mark.parametrize(("apart", "level"), [(0, "ok"), (-10, "ok"), (11, "warn"), (-299, "warn"), (300, "fail")])
def test_clocks_may_be_some_seconds_apart(apart: int, level: str) -> None:
    note = here.clock_note(NOON, NOON + dt.timedelta(seconds=apart), "the archive")
    assert note.level == level
    assert bool(note.advice) is (level != "ok")


@SQLITE
def test_a_database_that_others_can_read_is_noted(case: MakeCase, project: Project, database_url: str) -> None:
    open_database(database_url, project.root).dispose()
    (project.root / "subscribers" / "newsletter.db").chmod(0o644)
    notes = list(here.examine_database(case(database=database_url)))
    assert [note.level for note in notes] == ["warn", "ok"]
    assert "chmod 600" in notes[0].advice


@SQLITE
@pytest.mark.parametrize("filler", [0, 17_000_000])
def test_a_damaged_database_fails_however_large(
    case: MakeCase, project: Project, database_url: str, filler: int
) -> None:
    path = project.root / "subscribers" / "newsletter.db"
    engine = open_database(database_url, project.root)
    with writing(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE filler AS SELECT zeroblob(?) AS x", (filler,))
    drop_old_pages(engine)
    engine.dispose()
    whole = path.read_bytes()
    middle = 4096 if filler == 0 else 8_192_000
    path.write_bytes(whole[:middle] + b"\xff" * 8192 + whole[middle + 8192 :])
    notes = [note for note in here.examine_database(case(database=database_url)) if note.level == "fail"]
    assert len(notes) == 1
    assert "damaged" in notes[0].what


@pytest.mark.parametrize("url", ["mysql://example.org/x", "env:NOT_SET_ANYWHERE"])
def test_a_database_that_cannot_be_opened_fails(case: MakeCase, url: str) -> None:
    assert [note.level for note in here.examine_database(case(database=url))] == ["fail"]


def test_the_secret_has_to_be_there_and_ours_alone(case: MakeCase, project: Project) -> None:
    assert [note.level for note in here.examine_secret(case())] == ["ok"]
    (project.root / "secret.key").chmod(0o644)
    (note,) = here.examine_secret(case())
    assert note.level == "fail"
    assert "others can read this secret; run: chmod 600" in note.what


def test_the_space_on_the_disk_is_told_for_the_project_and_the_outbox(case: MakeCase, tmp_path: Path) -> None:
    notes: list[Note] = list(here.examine_disk(case(provider={"name": "outbox", "folder": f"{tmp_path}/out/box"})))
    assert len(notes) == 2
    assert all(" GB are free for " in what for _, what in levels(notes))


@pytest.mark.parametrize(
    ("free", "level"), [(here.LITTLE, "ok"), (here.LITTLE - 1, "warn"), (here.TOO_LITTLE - 1, "fail")]
)
def test_little_space_is_noted_before_it_stops_a_send(free: int, level: str, tmp_path: Path) -> None:
    assert here.space_note(free, tmp_path).level == level
