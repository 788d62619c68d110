from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest
from postgres import Cluster
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Engine, insert, select, text
from sqlalchemy.exc import DBAPIError

from newsletter.database import engine as engine_module
from newsletter.database.engine import drop_old_pages, file_of, open_database, reading, writing
from newsletter.database.postgresql import described, parameters
from newsletter.database.schema import head
from newsletter.errors import NewsletterError, TryLaterError
from newsletter.subscribers.tables import consent, seal

HERE = Path()


@pytest.fixture
def url(postgres: Cluster):
    with postgres.lent() as lent:
        yield lent


@pytest.fixture
def engine(url: str):
    opened = open_database(url, HERE)
    yield opened
    opened.dispose()


@pytest.fixture
def new_url(postgres: Cluster):
    """A database that nobody has opened yet, and that a test may spoil."""
    made = postgres.url()
    yield made
    postgres.drop(made)


def name_of(url: str) -> str:
    return str(conninfo_to_dict(url)["dbname"])


def put(engine: Engine, name: str) -> None:
    with writing(engine) as connection:
        connection.execute(insert(seal), [{"name": name, "value": b"x"}])


def names(engine: Engine) -> list[str]:
    with reading(engine) as connection:
        return sorted(connection.scalars(select(seal.c.name)))


def refusal(url: str) -> NewsletterError:
    with pytest.raises(NewsletterError) as caught:
        open_database(url, HERE)
    assert "\n" not in str(caught.value)
    return caught.value


SETTINGS = ("synchronous_commit", "lock_timeout", "idle_in_transaction_session_timeout", "timezone", "client_encoding")


def test_every_connection_keeps_what_was_committed_and_waits_as_long_as_for_sqlite(engine: Engine) -> None:
    with reading(engine) as first, reading(engine) as second, writing(engine) as third:
        for connection in (first, second, third):
            found = [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in SETTINGS]
            assert found == ["on", "30s", "5min", "UTC", "UTF8"]


def test_a_role_that_waits_for_no_disk_is_overruled_and_a_stricter_one_is_not(postgres: Cluster, url: str) -> None:
    for said, kept in (("off", "on"), ("remote_apply", "remote_apply"), ("local", "local")):
        postgres.do(f"ALTER DATABASE {name_of(url)} SET synchronous_commit = '{said}'")
        engine = open_database(url, HERE)
        with reading(engine) as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == kept
        engine.dispose()
    postgres.do(f"ALTER DATABASE {name_of(url)} RESET synchronous_commit")


def test_a_reading_transaction_is_a_snapshot_that_writes_nothing(engine: Engine) -> None:
    with reading(engine) as connection:
        assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "repeatable read"
    with (
        pytest.raises(NewsletterError, match="the database can only be read: a standby, or set so by its keeper"),
        reading(engine) as connection,
    ):
        connection.execute(insert(seal), [{"name": "a", "value": b""}])
    put(engine, "a")  # the connection that was for reading can write again
    assert names(engine) == ["a"]


def test_socket_and_port_lead_to_the_same_database_under_both_schemes(postgres: Cluster, engine: Engine) -> None:
    put(engine, "here")
    name = str(engine.url.database)
    for address in (postgres.by_port(name), postgres.address(name).replace("postgresql://", "postgres://")):
        other = open_database(address, HERE)
        assert names(other) == ["here"]
        other.dispose()


def test_what_the_address_leaves_out_comes_from_the_environment(postgres: Cluster, engine: Engine, monkeypatch) -> None:
    put(engine, "here")
    for name, value in (
        ("PGHOST", str(postgres.folder)),
        ("PGPORT", str(postgres.port)),
        ("PGUSER", "keeper"),
        ("PGDATABASE", str(engine.url.database)),
    ):
        monkeypatch.setenv(name, value)
    other = open_database("postgresql://", HERE)
    assert names(other) == ["here"]
    other.dispose()


def test_a_password_comes_from_a_file_of_its_owner_or_the_address_and_is_never_shown(
    postgres: Cluster, new_url: str, monkeypatch, tmp_path: Path
) -> None:
    postgres.do("DROP ROLE IF EXISTS locked")
    postgres.do("CREATE ROLE locked LOGIN SUPERUSER PASSWORD 'hunter2'")
    for bare in (postgres.address(name_of(new_url), "locked"), postgres.by_port(name_of(new_url), "locked")):
        assert "the server does not let us in: fe_sendauth: no password supplied" in str(refusal(bare))
        wrong = refusal(bare.replace("locked@", "locked:hunter3@"))
        assert 'password authentication failed for user "locked"' in str(wrong)
        assert "hunter" not in str(wrong) + repr(wrong.__cause__)
        right = open_database(bare.replace("locked@", "locked:hunter2@"), HERE)
        assert "hunter" not in file_of(right) + repr(right) + str(right.url)
        right.dispose()
    passwords = tmp_path / "pgpass"
    passwords.write_text("*:*:*:locked:hunter2\n")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    open_database(bare, HERE).dispose()


@pytest.mark.parametrize(
    "bad", ["postgresql://u:hunter2@[::1/x", "postgresql://u:hunter2@h/x?no=1", "postgresql://%zz"]
)
def test_an_address_that_cannot_be_read_is_not_repeated(bad: str) -> None:
    line = "newsletter.yaml: database: this address cannot be read; write it like postgresql://user@host:5432/name"
    assert str(refusal(bad)) == line


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:p@h:5433/news", "postgresql://u@h:5433/news"),
        ("postgresql:///news?host=/run/postgresql", "postgresql:///news?host=/run/postgresql"),
        ("postgresql:///news", "postgresql:///news"),
        ("postgresql://u@h1:1,h2:2/news", "postgresql://u@h1,h2/news"),
        ("postgresql://u@h/news?password=p&sslmode=require", "postgresql://u@h/news"),
    ],
)
def test_a_database_is_named_without_its_password(url: str, shown: str) -> None:
    made = engine_module._engine(url, HERE, "here")
    assert described(made.url) == file_of(made) == shown
    assert parameters(url)["dbname"] == "news"


def test_without_its_driver_one_line_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from pathlib import Path; from newsletter.database.engine import open_database\n"
        "from newsletter.errors import NewsletterError\n"
        "try: open_database('postgresql://db/news', Path('.'))\n"
        "except NewsletterError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "PostgreSQL needs its driver; install 'country-newsletter[postgres]'\n"


def test_a_server_that_is_not_there_is_for_later(postgres: Cluster) -> None:
    error = refusal("postgresql://keeper@127.0.0.1:1/news")
    assert str(error) == (
        "postgresql://keeper@127.0.0.1:1/news: the server cannot be reached: Connection refused; try again when it is"
        " there"
    )
    assert isinstance(error, TryLaterError)
    assert isinstance(refusal("postgresql://keeper@nowhere.invalid/news"), TryLaterError)
    assert 'database "nowhere" does not exist' in str(refusal(postgres.address("nowhere")))


def test_a_server_that_was_started_anew_is_noticed(postgres: Cluster, engine: Engine) -> None:
    put(engine, "before")
    postgres.restart()
    assert names(engine) == ["before"]


def test_what_was_committed_outlives_a_kill_and_what_was_not_does_not(postgres: Cluster, engine: Engine) -> None:
    put(engine, "kept")
    with pytest.raises(TryLaterError) as caught, writing(engine) as connection:  # noqa: PT012 - the kill is in it
        connection.execute(insert(seal), [{"name": "lost", "value": b"x"}])
        postgres.kill()
        connection.execute(insert(seal), [{"name": "lost too", "value": b"x"}])
    assert "\n" not in str(caught.value)
    with pytest.raises(TryLaterError, match=r"the server cannot be reached: .*; try again when it is there"):
        put(engine, "not now")
    postgres.start()
    assert names(engine) == ["kept"]
    put(engine, "after")


def test_a_locked_table_is_for_later(url: str, monkeypatch) -> None:
    monkeypatch.setattr(engine_module, "BUSY_SECONDS", 0.05)
    engine = open_database(url, HERE)
    with psycopg.connect(url) as holder:
        holder.execute("LOCK TABLE seal IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(TryLaterError, match="another program is writing to the database; try again"):
            put(engine, "a")
    put(engine, "a")
    engine.dispose()


def test_two_who_wait_for_each_other_are_for_later_and_one_goes_on(engine: Engine) -> None:
    for name in "ab":
        put(engine, name)
    both, outcomes = threading.Barrier(2, timeout=60), []

    def take(first: str, second: str) -> None:
        try:
            with writing(engine) as connection:
                connection.execute(seal.update().where(seal.c.name == first).values(value=b"y"))
                both.wait()
                connection.execute(seal.update().where(seal.c.name == second).values(value=b"y"))
            outcomes.append("stored")
        except TryLaterError as error:
            outcomes.append(str(error).rpartition(": ")[2])

    threads = [threading.Thread(target=take, args=pair) for pair in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["another program changed the same rows at the same time; try again", "stored"]


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("53100", "the disk is full; nothing of this step was stored. Make room and run it again"),
        ("58030", "the disk refused to read or write"),
        ("XX001", "the database is damaged; nothing was changed. Restore it from a backup"),
        ("42501", "we may not do this here: as the test says; let the database's owner run it, or grant it"),
        ("53300", "the server has no connection left for us"),
        ("57P03", "the server is being stopped or started"),
        ("57014", "the server took too long over this"),
        ("08006", "the connection to the server was lost"),
    ],
)
def test_what_goes_wrong_around_us_is_one_line(engine: Engine, code: str, line: str) -> None:
    statement = text(f"DO $$ BEGIN RAISE EXCEPTION 'as the test says' USING ERRCODE = '{code}'; END $$")
    with pytest.raises(NewsletterError) as caught, writing(engine) as connection:
        connection.execute(statement)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, TryLaterError) is (code[:2] in ("57", "08") or code == "53300")


def test_a_mistake_of_the_program_is_not_disguised(engine: Engine) -> None:
    with pytest.raises(DBAPIError, match="division by zero"), reading(engine) as connection:
        connection.exec_driver_sql("SELECT 1 / 0")


def test_a_role_without_a_connection_left_is_for_later(postgres: Cluster, new_url: str) -> None:
    postgres.do("CREATE ROLE single LOGIN CONNECTION LIMIT 0")
    try:
        error = refusal(postgres.address(name_of(new_url), "single"))
    finally:
        postgres.do("DROP ROLE single")
    assert isinstance(error, TryLaterError)
    assert "the server has no connection left for us" in str(error)


def test_a_role_that_may_make_no_tables_is_one_line(postgres: Cluster, new_url: str) -> None:
    postgres.do("CREATE ROLE guest LOGIN")
    try:
        error = refusal(postgres.address(name_of(new_url), "guest"))
    finally:
        postgres.do("DROP ROLE guest")
    assert "we may not do this here: permission denied for schema public; let the database's owner" in str(error)


def test_an_encoding_without_every_letter_is_refused(postgres: Cluster) -> None:
    postgres.do("CREATE DATABASE narrow TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    error = refusal(postgres.address("narrow"))
    postgres.do("DROP DATABASE narrow WITH (FORCE)")
    assert str(error).endswith(": its encoding is LATIN1; make it anew with: createdb --encoding=UTF8")


def test_another_programs_database_is_not_touched(new_url: str) -> None:
    with psycopg.connect(new_url) as connection:
        connection.execute("CREATE TABLE theirs (id integer)")
    assert "this is another program's database" in str(refusal(new_url))
    with psycopg.connect(new_url) as connection:
        assert connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall() == [
            ("theirs",)
        ]


def test_a_schema_newer_than_the_program_is_refused(new_url: str) -> None:
    open_database(new_url, HERE).dispose()
    with psycopg.connect(new_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999_future'")
    assert "schema 9999_future); upgrade the program" in str(refusal(new_url))


def test_programs_that_open_a_new_database_at_once_all_find_it_whole(new_url: str) -> None:
    start, found = threading.Barrier(4, timeout=60), []

    def run() -> None:
        start.wait()
        opened = open_database(new_url, HERE)
        with reading(opened) as connection:
            found.append(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar())
        opened.dispose()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [head()] * 4


def test_the_consent_log_cannot_be_emptied_either(engine: Engine) -> None:
    with pytest.raises(DBAPIError, match="append-only"), writing(engine) as connection:
        connection.exec_driver_sql(f"TRUNCATE {consent.name}")


def test_what_was_deleted_is_cleared_away_at_once(postgres: Cluster, engine: Engine) -> None:
    put(engine, "erased")
    with writing(engine) as connection:
        connection.execute(seal.delete())
    drop_old_pages(engine, "seal")
    items = "SELECT count(*) FROM heap_page_items(get_raw_page('seal', 0)) WHERE t_data IS NOT NULL"
    with psycopg.connect(postgres.address(str(engine.url.database))) as connection:
        connection.execute("CREATE EXTENSION pageinspect")
        size = connection.execute("SELECT pg_relation_size('seal')").fetchone()
        left = connection.execute(items).fetchone() if size != (0,) else (0,)
        connection.rollback()
    assert left == (0,)
