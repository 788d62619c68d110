from __future__ import annotations

import csv
import io
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from newsletter.errors import NewsletterError
from newsletter.subscribers.book import Book
from newsletter.subscribers.exporting import COLUMNS, export_file, write_csv
from newsletter.subscribers.formulas import armour, disarm, is_formula
from newsletter.subscribers.importing import import_file
from newsletter.subscribers.model import Status

NOTE = "signed up at the May conference"


def rows(book: Book, *args) -> list[list[str]]:
    stream = io.StringIO(newline="")
    number = write_csv(stream, book, *args)
    found = list(csv.reader(io.StringIO(stream.getvalue(), newline="")))
    assert found[0] == list(COLUMNS)
    assert number == len(found) - 1
    return found[1:]


def add(book: Book, address: str, list_name: str = "weekly", **more) -> None:
    book.add(address, list_name=list_name, consent_note=NOTE, **more)


def test_a_row_holds_everything_of_a_subscription(book: Book) -> None:
    add(book, "ann@example.org", name="Ann", language="fr", timezone="africa/bujumbura", follows=["SYR", "BDI"])
    when = "2016-04-01T09:30:15Z"
    assert rows(book) == [
        ["ann@example.org", "Ann", "fr", "Africa/Bujumbura", "BDI; SYR", "active", when, when, "weekly"]
    ]


def test_an_export_is_by_list_and_status(book: Book) -> None:
    add(book, "a@example.org")
    add(book, "a@example.org", "press")
    add(book, "b@example.org")
    book.leave("b@example.org", "weekly")

    def chosen(*args) -> list[tuple[str, str, str]]:
        return [(row[0][0], row[8], row[5]) for row in rows(book, *args)]

    assert chosen() == [("a", "press", "active"), ("a", "weekly", "active"), ("b", "weekly", "left")]
    assert chosen("weekly") == [("a", "weekly", "active"), ("b", "weekly", "left")]
    assert chosen("weekly", Status.LEFT) == chosen(None, Status.LEFT) == [("b", "weekly", "left")]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "'=1", "x;=1+1", 'x,"=1"', "a | -b", "＝1"])
def test_a_spreadsheet_runs_no_cell_wherever_it_splits(book: Book, name: str) -> None:
    add(book, "=ann@example.org", name=name)
    stream = io.StringIO(newline="")
    write_csv(stream, book)
    for separator in ",;\t|":
        for row in csv.reader(io.StringIO(stream.getvalue(), newline=""), delimiter=separator):
            assert not [cell for cell in row if is_formula(cell.strip('" '))], row
    assert disarm(rows(book)[0][1]) == name


@given(st.text(st.sampled_from("'=+-@;,| \"ax\t＝"), max_size=12))
def test_what_is_armoured_runs_nothing_and_is_disarmed_to_what_it_was(cell: str) -> None:
    assert disarm(armour(cell)) == cell
    if not cell.startswith((" ", "\t")):
        assert not is_formula(armour(cell))


def test_a_file_is_written_for_its_owner_only_and_whole(book: Book, tmp_path: Path) -> None:
    add(book, "åke@example.org")
    path = tmp_path / "out.csv"
    path.write_text("what was here before")
    path.chmod(0o644)
    assert export_file(path, book, "weekly") == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    data = path.read_bytes()
    assert data.startswith(b"\xef\xbb\xbfemail,name,")
    assert data.count(b"\r\n") == data.count(b"\n") == 2
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["out.csv"]


def test_an_export_that_fails_leaves_the_file_before_it_and_no_other(book: Book, tmp_path: Path) -> None:
    add(book, "ann@example.org")
    with pytest.raises(NewsletterError, match=r"gone/out\.csv: cannot be written: No such file or directory"):
        export_file(tmp_path / "gone" / "out.csv", book)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(NewsletterError, match=r"folder\.csv: cannot be written: Is a directory"):
        export_file(tmp_path / "folder.csv", book)
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == []


def test_a_device_is_not_replaced_by_a_file(book: Book, tmp_path: Path) -> None:
    add(book, "ann@example.org")
    device = tmp_path / "device"
    os.mkfifo(device)
    with pytest.raises(NewsletterError, match=r"device: this is no file; leave it out to write to the terminal"):
        export_file(device, book)
    assert device.is_fifo()


@contextmanager
def new_book(opened, clock) -> Iterator[tuple[Book, Path]]:
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder)) as engine:
        yield Book(engine, clock, b"secret"), Path(folder)


# What `add` accepts as a name, with more than their share of what spreadsheets and CSV readers trip over.
NAMES = st.text(st.sampled_from("'=+-@;,|\"\\ aÅمxß１＝’\u200d🦊"), max_size=8) | st.text(
    st.characters(
        exclude_categories=["Cc", "Cs", "Cn", "Zl", "Zp"],
        exclude_characters="\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
    ),
    max_size=8,
)
LOCALS = st.from_regex(r"[a-z=+'-]{1,6}", fullmatch=True)
PEOPLE = st.lists(
    st.tuples(
        LOCALS,
        NAMES,
        st.sampled_from(["", "en", "pt-BR"]),
        st.sampled_from(["", "America/New_York"]),
        st.sets(st.sampled_from(["BDI", "SYR", "SDN-DARFUR", "western-asia"])),
        st.sampled_from(list(Status)),
    ),
    max_size=6,
    unique_by=lambda person: person[0],
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(people=PEOPLE)
def test_a_book_goes_out_and_comes_back_the_same(people, opened, clock) -> None:
    with new_book(opened, clock) as (old, folder), new_book(opened, clock) as (new, _):
        for local, name, language, zone, follows, status in people:
            address = f"{local}@example.org"
            add(old, address, name=name, language=language, timezone=zone, follows=follows)
            {Status.LEFT: old.leave, Status.BOUNCED: old.bounced, Status.COMPLAINED: old.complained}.get(
                status, old.show
            )(address)
        export_file(folder / "out.csv", old, "weekly")
        clock.turn(days=1)
        report = import_file(new, folder / "out.csv", list_name="weekly", consent_note=NOTE, resolve=str)
        assert report.faults == ()
        assert report.added == len(people)
        assert list(new.entries()) == list(old.entries())
        again = import_file(new, folder / "out.csv", list_name="weekly", consent_note=NOTE, resolve=str)
        assert again.unchanged + again.kept_out == len(people)
        assert list(new.entries()) == list(old.entries())
