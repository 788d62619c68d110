"""The database on the command line: looked over, and copied from one kind to the other."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from click.testing import Result
from postgres import Cluster

from newsletter import config
from newsletter.database.engine import open_database, reading, writing
from newsletter.mailing import lease, ledger
from newsletter.subscribers import tables
from newsletter.subscribers.book import Book

Run = Callable[..., Result]
CONSENT = ("--consent", "asked at the spring assembly")
FILE = "sqlite:///subscribers/newsletter.db"


@pytest.fixture
def url(postgres: Cluster):
    with postgres.lent() as lent:
        yield lent


def use(url: str) -> config.Project:
    settings = Path("newsletter.yaml")
    lines = [line for line in settings.read_text().splitlines() if not line.startswith("database:")]
    settings.write_text("\n".join([*lines, f"database: {url}", ""]))
    return config.load(Path.cwd())


def everything(url: str) -> tuple[object, ...]:
    """What a project has in a database, as its rooms tell it, and the number the next reader would get."""
    project = use(url)
    engine = open_database(project.database(), project.root)
    book = Book(engine, lambda: dt.datetime.now(dt.UTC), project.secret())
    with reading(engine) as connection:
        assert book.log.verify(connection) == ()
        log = [tuple(row) for row in connection.execute(tables.consent.select().order_by(tables.consent.c.id))]
    found = ledger.status(engine)
    assert [ledger.verify(engine, one.mailing) for one in found] == [()] * len(found)
    readers = list(book.entries())
    number = book.add("next@example.org", list_name="press", consent_note="x", dry_run=True).entry.reader.id
    engine.dispose()
    return readers, log, found, number


@pytest.fixture
def filled(run: Run) -> None:
    """Readers, of whom the last one was erased, and a mailing."""
    assert run("subscribers", "import", "subscribers/sample.csv", *CONSENT).exit_code == 0
    assert run("subscribers", "add", "ann@example.org", "--timezone", "Asia/Dubai", *CONSENT).exit_code == 0
    assert run("subscribers", "remove", "ann@example.org").exit_code == 0
    sent = run("send", "2016-04-22", "--yes", "--no-test")
    assert sent.exit_code == 0, sent.output


@pytest.mark.usefixtures("filled")
def test_a_copy_goes_to_the_server_and_back_with_everything_in_it(run: Run, url: str) -> None:
    there = run("database", "copy", "--to", url)
    assert there.exit_code == 0, there.output
    assert there.stdout.splitlines()[-1] == f"Now write in newsletter.yaml: database: {url}"
    assert "1 mailing, compared and the same" in there.stdout
    before = everything(FILE)
    assert everything(url)[:-1] == before[:-1]
    back = run("database", "copy", "--to", "sqlite:///back.db")
    assert back.exit_code == 0, back.output
    assert back.stdout.splitlines()[-1] == "Now write in newsletter.yaml: database: sqlite:///back.db"
    assert everything("sqlite:///back.db")[:-1] == before[:-1]
    checked = run("database", "check")
    assert checked.exit_code == 0, checked.output
    assert checked.stdout.endswith("rows, 1 mailing: sound\n")


@pytest.mark.usefixtures("filled")
def test_a_number_of_an_erased_reader_is_not_given_again_after_a_copy(run: Run, url: str) -> None:
    assert run("database", "copy", "--to", url).exit_code == 0
    from_file = everything(FILE)[-1]
    assert everything(url)[-1] == from_file


@pytest.mark.usefixtures("filled")
def test_nothing_is_copied_into_a_database_that_holds_something(run: Run, url: str) -> None:
    own = run("database", "copy", "--to", FILE)
    assert own.exit_code == 2
    assert own.stderr.endswith("newsletter.db is the project's own database; name another one\n")
    assert run("database", "copy", "--to", url).exit_code == 0
    again = run("database", "copy", "--to", url)
    assert again.exit_code == 2
    assert again.stderr.startswith(f"{url}: this database is not empty ('")
    wrong = run("database", "copy", "--to", "mysql://user:hunter2@db/x")
    assert wrong.stderr.startswith("--to: 'mysql' is not supported; write ")


@pytest.mark.usefixtures("filled")
def test_nothing_is_copied_while_somebody_sends(run: Run, url: str) -> None:
    project = use(FILE)
    engine = open_database(project.database(), project.root)
    with writing(engine) as connection:
        held = lease.enlist(connection, lease.this_process(), dt.datetime.now(dt.UTC))
    refused = run("database", "copy", "--to", url)
    assert refused.exit_code == 75
    assert refused.stderr.startswith("somebody is sending (pid ")
    with writing(engine) as connection:
        lease.release(connection, held, dt.datetime.now(dt.UTC))
    engine.dispose()
    assert run("database", "copy", "--to", url).exit_code == 0


@pytest.mark.usefixtures("filled")
def test_the_address_may_be_a_secret_that_no_line_shows(run: Run, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", url.replace("keeper@", "keeper:hunter2@"))
    done = run("database", "copy", "--to", "env:DATABASE_URL")
    assert done.exit_code == 0, done.output
    assert done.stdout.endswith("Now write in newsletter.yaml: database: env:DATABASE_URL\n")
    use("env:DATABASE_URL")
    assert run("subscribers", "show", "1").exit_code == 0
    assert run("database", "check").stdout.startswith(f"{url}: ")
    assert "hunter2" not in done.output


@pytest.mark.usefixtures("filled")
def test_a_log_that_was_tampered_with_is_found_and_said(run: Run, url: str) -> None:
    assert run("database", "copy", "--to", url).exit_code == 0
    use(url)
    with psycopg.connect(url) as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute("UPDATE consent SET list = 'press' WHERE id = 2")
    found = run("database", "check")
    assert found.exit_code == 1
    assert found.stderr == "consent log: row 2 is not what was written\n"
    assert found.stdout.endswith(": 1 fault\n")
