from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from sqlalchemy import func, select

from newsletter.database.engine import reading
from newsletter.errors import FaultsError, NewsletterError
from newsletter.issue.countries import Countries
from newsletter.subscribers import sheet, tables
from newsletter.subscribers.book import Book
from newsletter.subscribers.importing import Remark, Report, import_file
from newsletter.subscribers.model import Reason, Status

NOTE = "signed up at the May conference"
NOW = dt.datetime(2016, 4, 1, 9, 30, 15, tzinfo=dt.UTC)


def resolve(name: str) -> str:
    keys = {"burundi": "BDI", "bdi": "BDI", "syria": "SYR", "syr": "SYR"}
    try:
        return keys[name.casefold()]
    except KeyError:
        raise NewsletterError(f"no country is called '{name}'; did you mean 'Syria'?") from None


def run(book: Book, path: Path, **more) -> Report:
    return import_file(book, path, list_name="weekly", consent_note=NOTE, resolve=resolve, **more)


@pytest.fixture
def given(book: Book, tmp_path: Path):
    """Import a file with this content."""

    def given_(content: str | bytes, name: str = "readers.csv", **more) -> Report:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return run(book, path, **more)

    return given_


def said(report: Report) -> list[tuple[int, str, str]]:
    return [(one.line, one.level, one.message) for one in report.remarks]


def everyone(book: Book) -> dict[str, tuple[str, str, str, tuple[str, ...]]]:
    return {
        entry.reader.address: (entry.reader.name, entry.reader.language, entry.status("weekly").value, entry.follows())
        for entry in book.entries()
    }


def counts(report: Report) -> dict[str, int]:
    names = ("added", "updated", "unchanged", "kept_out", "duplicates", "refused")
    return {name: getattr(report, name) for name in names if getattr(report, name)}


def test_readers_of_a_plain_file_are_on_the_list_with_what_they_follow(book: Book, given) -> None:
    report = given("email,name,language,follows\nann@example.org,Ann,FR,Syria;burundi; SYR\nbob@example.org,,,\n")
    assert counts(report) == {"added": 2}
    assert report.written
    assert report.remarks == report.faults == ()
    assert everyone(book) == {
        "ann@example.org": ("Ann", "fr", "active", ("BDI", "SYR")),
        "bob@example.org": ("", "", "active", ()),
    }


def test_consent_is_kept_for_each_reader_with_file_and_line(book: Book, given) -> None:
    given("email\nann@example.org\n\nbob@example.org\n", name="conference.csv")
    with reading(book.engine) as connection:
        rows = connection.execute(select(tables.consent).order_by(tables.consent.c.id)).all()
        assert book.log.verify(connection) == ()
    assert [(row.at, row.action, row.list, row.evidence) for row in rows] == [
        (NOW, "joined", "weekly", f"{NOTE} (conference.csv, line 2)"),
        (NOW, "joined", "weekly", f"{NOTE} (conference.csv, line 4)"),
    ]


def test_an_import_without_a_word_on_consent_is_refused(book: Book, tmp_path: Path) -> None:
    (tmp_path / "readers.csv").write_text("email\nann@example.org\n")
    with pytest.raises(NewsletterError, match="say where consent came from"):
        import_file(book, tmp_path / "readers.csv", list_name="weekly", consent_note="", resolve=resolve)


def test_importing_twice_changes_nothing_the_second_time(book: Book, given, clock) -> None:
    content = "email,name,follows\nann@example.org,Ann,Syria\nbob@example.org,Bob,\n"
    given(content)
    before = list(book.entries())
    clock.turn(days=30)
    assert counts(given(content)) == {"unchanged": 2}
    assert list(book.entries()) == before


def test_a_later_file_updates_what_it_says_and_keeps_the_rest_and_the_first_opt_in(book: Book, given, clock) -> None:
    given("email,name,language,follows\nann@example.org,Ann,en,Syria\n")
    clock.turn(days=30)
    report = given("email,name,language,follows\nANN@example.org,Ann Berg,,\n")
    assert counts(report) == {"updated": 1}
    entry = book.show(1)
    assert (entry.reader.address, entry.reader.name, entry.reader.language) == ("ann@example.org", "Ann Berg", "en")
    assert entry.subscriptions[0].follows == ("SYR",)
    assert entry.subscriptions[0].joined_at == NOW
    given("email,follows\nann@example.org,Burundi\n")
    assert book.show(1).follows() == ("BDI",)


def test_a_dry_run_says_the_same_and_writes_nothing(book: Book, given) -> None:
    content = "email,name\nann@example.org,Ann\nANN@example.org,Ann\nbob@gmial.com,Bob\n"
    dry = given(content, dry_run=True)
    assert list(book.entries()) == []
    with reading(book.engine) as connection:
        assert connection.scalar(select(func.count()).select_from(tables.consent)) == 0
    wet = given(content)
    assert (dry.written, wet.written) == (False, True)
    assert said(dry) == said(wet)
    assert counts(dry) == counts(wet) == {"added": 2, "duplicates": 1}


def test_one_bad_line_keeps_the_whole_file_out_and_all_faults_are_told_at_once(book: Book, given, tmp_path) -> None:
    content = (
        "email,name,language,follows\n"
        "ann@example.org,Ann,en,Syria\n"
        "not-an-address,Bob,English!,Sirya\n"
        "\n"
        'cat@example.org,"Cat\nBcc: eve@example.org",en,\n'
        ",Nobody,en,\n"
    )
    report = given(content)
    assert list(book.entries()) == []
    assert not report.written
    assert counts(report) == {"added": 1, "refused": 3}
    assert [(line, level) for line, level, _ in said(report)] == [(3, "error")] * 3 + [(5, "error"), (7, "error")]
    messages = [message for _, _, message in said(report)]
    assert messages[0].startswith("'not-an-address' is not an address mail can be sent to")
    assert messages[1] == "'English!' is not a language; write its code, like en, fr or ar"
    assert messages[2] == "no country is called 'Sirya'; did you mean 'Syria'?"
    assert messages[3] == "the name 'Cat<U+000A>Bcc: eve@example.org' holds a line break; write it on one line"
    assert messages[4] == "there is no address; write it like name@example.org"
    assert str(report.faults[3]) == f"{tmp_path}/readers.csv:5: {messages[3]}"
    assert report.remarks[0].address == "not-an-address"


def test_bad_lines_can_be_left_out_on_purpose(book: Book, given) -> None:
    report = given("email\nann@example.org\nnobody\n", skip_errors=True)
    assert report.written
    assert counts(report) == {"added": 1, "refused": 1}
    assert list(everyone(book)) == ["ann@example.org"]


@pytest.mark.parametrize("break_", ["\r", "\n", "\r\n", "\u2028", "\x0b", "\x85"])
def test_a_line_break_in_a_name_names_file_and_line(book: Book, given, break_: str, tmp_path) -> None:
    report = given(f'email,name\r\nann@example.org,Ann\r\nbob@example.org,"Bob{break_}Bcc: x"\r\n')
    (fault,) = report.faults
    spelled = "".join(f"<U+{ord(letter):04X}>" for letter in break_)
    where = f"{tmp_path}/readers.csv:3"
    assert str(fault) == f"{where}: the name 'Bob{spelled}Bcc: x' holds a line break; write it on one line"
    assert list(book.entries()) == []


@pytest.mark.parametrize("cell", ["=1+1", "+1-1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1"])
@pytest.mark.parametrize("column", ["email", "name", "language", "timezone", "follows"])
def test_a_formula_in_any_column_that_is_read_is_refused(book: Book, given, cell: str, column: str) -> None:
    cells = {"email": "ann@example.org", "name": "Ann", "language": "en", "follows": "Syria", column: cell}
    report = given(",".join(cells) + "\n" + ",".join(f'"{one}"' for one in cells.values()) + "\n")
    assert counts(report) == {"refused": 1}
    assert any("starts like a spreadsheet formula; delete it, or write an apos" in m for _, _, m in said(report))
    assert list(book.entries()) == []


def test_a_time_zone_is_taken_by_its_iana_name_and_another_is_one_line(book: Book, given) -> None:
    given("email,timezone\nann@example.org,america/new_york\nbob@example.org,\n")
    assert [entry.reader.timezone for entry in book.entries()] == ["America/New_York", ""]
    (fault,) = given("email,timezone\ncat@example.org,GMT plus 2\n").faults
    assert str(fault).endswith(":2: 'GMT plus 2' is not a time zone; write its IANA name, like America/New_York")


def test_the_apostrophe_before_a_formula_is_taken_off_and_no_other(book: Book, given) -> None:
    given("email,name\n'+ann@example.org,'=Ann\nbob@example.org,'t Hooft\ncat@example.org,''-x\n")
    assert {address: row[0] for address, row in everyone(book).items()} == {
        "+ann@example.org": "=Ann",
        "bob@example.org": "'t Hooft",
        "cat@example.org": "'-x",
    }


def stop(book: Book, how: str) -> None:
    acts = {
        "left": lambda: book.leave(1, "weekly"),
        "bounced": lambda: book.bounced(1),
        "complained": lambda: book.complained(1),
        "was marked as not to be mailed": lambda: book.suppress("ann@example.org"),
        "was removed for good": lambda: book.remove(1),
    }
    acts[how]()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("left", "left on 2016-04-01; not re-subscribed"),
        ("bounced", "bounced on 2016-04-01; not added"),
        ("complained", "complained on 2016-04-01; not added"),
        ("was marked as not to be mailed", "was marked as not to be mailed on 2016-04-01; not added"),
        ("was removed for good", "was removed for good on 2016-04-01; not added"),
    ],
)
def test_a_reader_who_left_never_comes_back_by_import(book: Book, given, clock, how: str, message: str) -> None:
    content = "email,name\nann@example.org,Ann\n"
    given(content)
    stop(book, how)
    before = list(book.entries())
    clock.turn(days=40)
    for spelled in (content, "email\nANN@EXAMPLE.ORG\n", "email\nmailto:ａnn@example.org\n"):
        report = given(spelled)
        assert (30, "info", message) in [(30, level, text) for _, level, text in said(report)]
        assert counts(report) == {"kept_out": 1}
    assert list(book.entries()) == before


@pytest.mark.parametrize("how", ["bounced", "complained", "was marked as not to be mailed", "was removed for good"])
def test_nor_do_they_come_by_another_lists_import(book: Book, given, tmp_path: Path, how: str) -> None:
    given("email\nann@example.org\n")
    stop(book, how)
    report = import_file(book, tmp_path / "readers.csv", list_name="press", consent_note=NOTE, resolve=resolve)
    assert counts(report) == {"kept_out": 1}


def test_who_left_every_list_is_not_put_on_another_but_who_left_one_of_two_is(book: Book, given, tmp_path) -> None:
    given("email\nann@example.org\nbob@example.org\n")
    book.add("bob@example.org", list_name="press", consent_note=NOTE)
    book.leave(1, "weekly")
    book.leave(2, "weekly")
    report = import_file(book, tmp_path / "readers.csv", list_name="third", consent_note=NOTE, resolve=resolve)
    assert counts(report) == {"kept_out": 1, "added": 1}
    assert said(report) == [(2, "info", "left on 2016-04-01 and is on no list any more; not re-subscribed")]
    assert book.show(2).on("third").status is Status.ACTIVE


def test_an_import_does_not_confirm_for_somebody(book: Book, given) -> None:
    book.add("ann@example.org", list_name="weekly", consent_note=NOTE, status=Status.PENDING)
    report = given("email,name\nann@example.org,Ann\n")
    assert counts(report) == {"updated": 1}
    assert said(report) == [(2, "info", "has not confirmed yet; an import does not confirm")]
    assert book.show(1).status() is Status.PENDING


def test_a_file_may_say_who_left_so_that_no_later_file_brings_them_back(book: Book, given, clock) -> None:
    given("email\nann@example.org\n")
    clock.turn(days=10)
    content = (
        "email,status,joined,changed\n"
        "ann@example.org,left,,2016-04-05\n"
        "bob@example.org,LEFT,2012-01-01,2015-03-01T12:00:00+02:00\n"
        "cat@example.org,complained,,\n"
        "dan@example.org,bounced,,\n"
        "eve@example.org,pending,,\n"
    )
    report = given(content)
    assert counts(report) == {"updated": 1, "added": 4}
    assert {address: row[2] for address, row in everyone(book).items()} == {
        "ann@example.org": "left",
        "bob@example.org": "left",
        "cat@example.org": "complained",
        "dan@example.org": "bounced",
        "eve@example.org": "pending",
    }
    bob = book.show("bob@example.org").subscriptions[0]
    assert (bob.joined_at, bob.changed_at) == (
        dt.datetime(2012, 1, 1, tzinfo=dt.UTC),
        dt.datetime(2015, 3, 1, 10, tzinfo=dt.UTC),
    )
    assert book.suppressed("cat@example.org").reason is Reason.COMPLAINED
    assert book.suppressed("dan@example.org").reason is Reason.BOUNCED
    assert said(report)[0] == (2, "info", "left, says the file; kept so that no later file brings them back")
    again = given("email\nann@example.org\nbob@example.org\ncat@example.org\ndan@example.org\n")
    assert counts(again) == {"kept_out": 4}
    assert said(again)[1] == (3, "info", "left on 2015-03-01; not re-subscribed")


def test_the_opt_in_date_of_a_file_is_kept_for_somebody_new_only(book: Book, given) -> None:
    content = "email,joined\nann@example.org,2012-05-04\n"
    given(content)
    assert book.show(1).subscriptions[0].joined_at == dt.datetime(2012, 5, 4, tzinfo=dt.UTC)
    assert counts(given("email,joined\nann@example.org,2009-05-04\n")) == {"unchanged": 1}


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("status", "enabled", "there is no status 'enabled'; write one of pending, active, bounced, left, complained"),
        ("joined", "4 May", "'4 May' is not a date; write it like 2016-04-22"),
        ("changed", "2016-05-01", "'2016-05-01' is in the future; write when it was"),
    ],
)
def test_a_status_or_date_that_cannot_be_is_refused(given, column: str, cell: str, message: str) -> None:
    report = given(f"email,{column}\nann@example.org,{cell}\n")
    assert said(report) == [(2, "error", message)]


def test_lines_of_another_list_are_not_taken(given) -> None:
    report = given("email,list\nann@example.org,weekly\nbob@example.org,press\n")
    assert counts(report) == {"added": 1, "kept_out": 1}
    assert said(report) == [(3, "info", "is on the list 'press' here; not added")]


@pytest.mark.parametrize("letter", ["\x1b", "\x07", "\t", "\u2028", "\u202e", "\ud7ff"])
@pytest.mark.parametrize("column", ["follows", "list", "language", "status", "joined"])
def test_a_report_repeats_no_letter_that_a_terminal_obeys(given, column: str, letter: str) -> None:
    report = given(f'email,{column}\nann@example.org,"a{letter}[2Jb"\n')
    ((line, _, message),) = said(report)
    assert line == 2
    assert message.isprintable()
    assert f"<U+{ord(letter):04X}>" in message


def test_one_address_twice_in_a_file_is_told_and_a_contradiction_refused(book: Book, given) -> None:
    report = given("email,status\nann@example.org,\nANN@example.org,active\n")
    assert said(report) == [(3, "warning", "the same address as in line 2; that line is read")]
    report = given("email,status\nbob@example.org,\ncat@example.org,\nBOB@example.org,left\n")
    assert said(report) == [
        (4, "error", "'left' here and 'active' in line 2 for one address; delete one line"),
    ]
    assert list(everyone(book)) == ["ann@example.org"]


def test_a_slip_and_an_unreachable_address_are_warned_about_and_taken(given) -> None:
    report = given("email\nann@gmail.con\njürgen@example.org\n")
    assert counts(report) == {"added": 2}
    assert said(report) == [
        (2, "warning", "did you mean gmail.com?"),
        (3, "warning", "this address is reachable only by SMTPUTF8, which many servers do not speak"),
    ]


def test_names_and_keys_of_the_real_countries_are_resolved_alike(
    book: Book, countries: Countries, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("email,follows\nann@example.org,Burma; BDI;International Criminal Court;Darfur\n")
    import_file(book, tmp_path / "a.csv", list_name="weekly", consent_note=NOTE, resolve=countries.follow)
    keys = book.show(1).follows()
    assert len(keys) == 4
    (tmp_path / "b.csv").write_text(f"email,follows\nann@example.org,{'; '.join(keys)}\n")
    again = import_file(book, tmp_path / "b.csv", list_name="weekly", consent_note=NOTE, resolve=countries.follow)
    assert (again.unchanged, again.remarks) == (1, ())


# The files that break importers -----------------------------------------------------------------------------------


@pytest.fixture
def nasty(book: Book, shared: Path):
    def nasty_(name: str, **more) -> Report:
        return run(book, shared / "data" / "csv" / f"nasty_{name}", **more)

    return nasty_


def test_nasty_byte_order_mark(book: Book, nasty) -> None:
    assert counts(nasty("bom.csv")) == {"added": 1}
    assert everyone(book) == {"hedda@example.org": ("Hedda Hall", "", "active", ())}


def test_nasty_utf_16(book: Book, nasty) -> None:
    assert counts(nasty("utf16.csv")) == {"added": 1}
    assert everyone(book) == {"u16@example.org": ("Åke", "", "active", ())}


def test_nasty_windows_1252_with_semicolons(book: Book, nasty) -> None:
    report = nasty("latin1.csv")
    assert list(everyone(book)) == ["lea@example.org"]
    assert said(report) == [
        (1, "warning", "this file is not UTF-8 and was read as Windows-1252; look whether names are right"),
        (1, "info", "not read: 'Prénom', 'Nom'; an import reads email, name, language, timezone, follows"),
    ]


def test_nasty_tabs(book: Book, nasty) -> None:
    report = nasty("tab.tsv")
    assert everyone(book) == {"filippa@example.org": ("Filippa Falk", "", "active", ())}
    assert said(report) == [(1, "info", "not read: 'Phone'; an import reads email, name, language, timezone, follows")]


def test_nasty_ragged_and_blank_lines(book: Book, nasty) -> None:
    report = nasty("ragged_blank.csv")
    assert {address: row[0] for address, row in everyone(book).items()} == {
        "kalla@example.org": "Kalla Kry",
        "lisa@example.org": "Lisa Lo",
        "mona@example.org": "Mona My",
    }
    assert said(report) == [(4, "warning", "this line has more cells than the header; not read: EXTRA, CELLS")]


def test_nasty_wrapped_addresses_and_doubled_headers(book: Book, nasty) -> None:
    report = nasty("angle_mailto_dupheader.csv")
    assert everyone(book) == {"NEA.NORD@example.org": ("Nea Nord", "", "active", ())}
    assert said(report) == [
        (1, "info", "more than one column is called 'email'; the first is read"),
        (2, "warning", "the second 'email' column is not read: mailto:olle@example.org"),
    ]


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("brevo_contacts_semicolon.csv", "EMAIL_BLACKLISTED"),
        ("buttondown_subscribers.csv", "subscriber_type"),
        ("ghost_members.csv", "subscribed_to_emails"),
        ("phplist_export.csv", "Confirmed"),
        ("substack_email_list.example.csv", "email_disabled"),
    ],
)
def test_a_column_of_another_system_that_tells_who_left_is_not_passed_over(
    book: Book, shared: Path, given, name: str, column: str
) -> None:
    content = (shared / "data" / "csv" / name).read_bytes()
    with pytest.raises(FaultsError) as caught:
        given(content)
    (fault,) = caught.value.faults
    assert fault.line == 1
    assert fault.message.startswith(f"the column '{column}' may say who must not be mailed, and is not read;")
    assert list(book.entries()) == []


def test_a_column_that_tells_who_left_is_passed_over_beside_one_that_is_read(book: Book, given) -> None:
    report = given("email,status,unsubscribed_at\nann@example.org,left,2016-03-01\nbob@example.org,active,\n")
    assert counts(report) == {"added": 2}
    assert [row[2] for row in everyone(book).values()] == ["left", "active"]


@pytest.mark.parametrize("column", ["subscribed_at", "State", "Opted in", "confirmed_at", "tags"])
def test_a_column_that_tells_nothing_of_the_kind_is_left_alone(given, column: str) -> None:
    assert counts(given(f"email,{column}\nann@example.org,x\n")) == {"added": 1}


def test_nasty_header_in_another_language_is_one_line(nasty) -> None:
    with pytest.raises(FaultsError) as caught:
        nasty("excel_sep_hint_crlf.csv")
    assert str(caught.value).endswith(
        "nasty_excel_sep_hint_crlf.csv:2: no column is called 'email'; the first line must name the columns,"
        " and has 'Namn', 'E-post', 'Mobil'"
    )


def test_nasty_separator_line(book: Book, shared: Path, given) -> None:
    content = (shared / "data" / "csv" / "nasty_excel_sep_hint_crlf.csv").read_bytes()
    report = given(content.replace(b"Namn;E-post", b"Name;E-mail") + b"broken;b@;\r\n")
    assert said(report)[1][:2] == (5, "error")
    given(content.replace(b"Namn;E-post", b"Name;E-mail"))
    assert {address: row[0] for address, row in everyone(book).items()} == {
        "britt@example.org": "Britt Berg",
        "curt@example.org": "Curt Co",
    }


def test_nasty_formulas(book: Book, nasty) -> None:
    report = nasty("formula.csv")
    assert [(fault.line, fault.file.rpartition("/")[2]) for fault in report.faults] == [
        (line, "nasty_formula.csv") for line in (2, 3, 4, 5)
    ]
    assert all("formula" in fault.message for fault in report.faults)
    assert list(book.entries()) == []


def test_nasty_invisible_characters(book: Book, nasty) -> None:
    report = nasty("invisible.csv")
    assert [fault.line for fault in report.faults] == [2, 3, 4]
    assert all(fault.message.isprintable() for fault in report.faults)
    assert list(book.entries()) == []
    report = nasty("invisible.csv", skip_errors=True)
    assert counts(report) == {"added": 3, "duplicates": 2, "refused": 3}
    assert list(everyone(book)) == ["full@example.org", "user@münchen.example", "USER@example.org"]


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"", 1, "the file is empty; its first line must name the columns, one of them 'email'"),
        (b"\n\n , ,\n", 1, "the file is empty; its first line must name the columns, one of them 'email'"),
        (b"name\nAnn\n", 1, "no column is called 'email'; the first line must name the columns, and has 'name'"),
        (b'email\nann@example.org\n"bob\n', 3, "a quotation mark is opened here and not closed"),
        (b'email,name\nann@example.org,"Ann" Berg\n', 2, "a quotation mark is opened here and not closed"),
        (b"email\n" + b"x" * 200_000 + b"\n", 2, "a cell of this line is far too long"),
        (b"email\nann@example.org\n\0\n", 3, "there is a NUL in this line"),
        (b"email,name\nann@example.org,\x81\n", 2, "the letters of this line cannot be read"),
        (b"PK\x03\x04rest", 1, "this is a spreadsheet (.xlsx or .ods), not a CSV; save the sheet as 'CSV UTF-8'"),
        (b"\xff\xfee", 1, "the letters of this line cannot be read"),
        (b"x" * 200_000, 1, "a cell of this line is far too long"),
        (b"email\n" + b"\xff\n" * 3 + b"\x9d", 5, "the letters of this line cannot be read"),
    ],
)
def test_a_file_that_is_no_table_is_one_line_with_its_place(given, content: bytes, line: int, message: str) -> None:
    with pytest.raises(FaultsError) as caught:
        given(content)
    (fault,) = caught.value.faults
    assert (fault.line, fault.message[: len(message)]) == (line, message)


def test_a_file_that_cannot_be_read_is_one_line(book: Book, tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(NewsletterError, match=r"gone\.csv: there is no such file"):
        run(book, tmp_path / "gone.csv")
    with pytest.raises(NewsletterError, match="cannot be read: Is a directory"):
        run(book, tmp_path)
    monkeypatch.setattr(sheet, "MAX_BYTES", 10)
    (tmp_path / "large.csv").write_text("email\nann@example.org\n")
    with pytest.raises(FaultsError, match="larger than"):
        run(book, tmp_path / "large.csv")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "utf-8-sig", "utf-8", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_encoding_separator_and_line_end_reads_the_same(
    book: Book, given, encoding: str, separator: str, end: str
) -> None:
    lines = [["Name", "E-Mail"], ['"Åke ""A"" Öberg"', "ake@example.org"], ["", ""], ["Bo", "bo@example.org"]]
    given(end.join(separator.join(cells) for cells in lines).encode(encoding))
    assert {address: row[0] for address, row in everyone(book).items()} == {
        "ake@example.org": 'Åke "A" Öberg',
        "bo@example.org": "Bo",
    }


def test_quoted_cells_do_not_mislead_about_the_separator(book: Book, given) -> None:
    given('"email";"name";"follows"\n"ann@example.org";"Berg, Ann";"Syria;Burundi"\n')
    assert everyone(book) == {"ann@example.org": ("Berg, Ann", "", "active", ("BDI", "SYR"))}


def test_a_large_file_is_looked_up_and_written_in_batches_and_still_all_or_nothing(book: Book, given) -> None:
    lines = [f"r{number}@example.org" for number in range(1300)]
    assert counts(given("email\n" + "\n".join(lines) + "\nbroken\n")) == {"added": 1300, "refused": 1}
    assert list(book.entries()) == []
    assert counts(given("email\n" + "\n".join(lines))) == {"added": 1300}
    assert counts(given("email\n" + "\n".join([*lines, "new@example.org"]))) == {"added": 1, "unchanged": 1300}
    with reading(book.engine) as connection:
        assert book.log.verify(connection) == ()


def test_remarks_stand_in_the_order_of_the_lines(given) -> None:
    report = given("email,phone\nann@gmail.con,1\nnobody,2\nann@gmail.con,3\n")
    assert [one.line for one in report.remarks] == [1, 2, 3, 4, 4]
    assert report.remarks[1] == Remark(2, "ann@gmail.con", "warning", "did you mean gmail.com?")
