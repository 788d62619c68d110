from __future__ import annotations

import datetime as dt
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Engine, Integer, MetaData, Table, create_engine, insert, inspect, select, update
from sqlalchemy.exc import OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from newsletter.database import engine as engine_module
from newsletter.database import sqlite
from newsletter.database.columns import Moment
from newsletter.database.engine import alone, drop_old_pages, open_database, reading, writing
from newsletter.database.failures import explain
from newsletter.database.schema import VERSIONS, head
from newsletter.errors import NewsletterError, TryLaterError
from newsletter.mailing import tables as mailing_tables
from newsletter.subscribers import tables as subscribers_tables

URL = "sqlite:///subscribers/newsletter.db"
SQLITE_ONLY = pytest.mark.parametrize("kind", ["sqlite"])


@pytest.fixture
def engine(tmp_path: Path, database_url: str):
    opened = open_database(database_url, tmp_path)
    yield opened
    opened.dispose()


def put(connection, name: str, size: int = 1) -> None:
    connection.execute(insert(subscribers_tables.seal), [{"name": name, "value": b"x" * size}])


def names(engine: Engine) -> list[str]:
    with reading(engine) as connection:
        return list(connection.exec_driver_sql("SELECT name FROM seal ORDER BY name").scalars())


@SQLITE_ONLY
def test_a_new_database_is_readable_by_its_owner_only(engine: Engine, tmp_path: Path) -> None:
    with writing(engine) as connection:
        put(connection, "a")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "subscribers").iterdir()}
    assert modes == {"newsletter.db": 0o600, "newsletter.db-wal": 0o600, "newsletter.db-shm": 0o600}
    assert stat.S_IMODE((tmp_path / "subscribers").stat().st_mode) == 0o700


@SQLITE_ONLY
def test_every_connection_keeps_what_was_committed_and_checks_foreign_keys(engine: Engine) -> None:
    pragmas = ("journal_mode", "synchronous", "foreign_keys", "secure_delete", "busy_timeout")
    with reading(engine) as first, reading(engine) as second:
        for connection in (first, second):
            found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas]
            assert found == ["wal", 2, 1, 1, 30000]


def test_an_absolute_path_is_taken_as_it_is(tmp_path: Path) -> None:
    open_database(f"sqlite:///{tmp_path}/elsewhere/book.db", Path("/nowhere")).dispose()
    assert (tmp_path / "elsewhere" / "book.db").exists()


def test_any_folder_name_is_only_a_name(tmp_path: Path) -> None:
    folder = tmp_path / "who? %41#;mode=ro&uri=true"
    open_database(URL, folder).dispose()
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert (folder / "subscribers" / "newsletter.db").stat().st_size > 0


def test_the_schema_is_what_the_tables_say(engine: Engine) -> None:
    metadata = MetaData()
    for table in (*subscribers_tables.metadata.tables.values(), *mailing_tables.metadata.tables.values()):
        table.to_metadata(metadata)
    with reading(engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_files_names_are_one_chain_of_revisions() -> None:
    config = Config()
    config.set_main_option("script_location", str(VERSIONS.parent))
    script = ScriptDirectory.from_config(config)
    assert script.get_heads() == [head()]
    assert all(Path(revision.path).stem == revision.revision for revision in script.walk_revisions())


def test_no_migration_goes_back() -> None:
    config = Config()
    config.set_main_option("script_location", str(VERSIONS.parent))
    for revision in ScriptDirectory.from_config(config).walk_revisions():
        with pytest.raises(RuntimeError, match="never thrown away"):
            revision.module.downgrade()


@SQLITE_ONLY
def test_opening_again_keeps_everything_and_does_not_load_the_migrations(engine: Engine, tmp_path: Path) -> None:
    with writing(engine) as connection:
        put(connection, "kept")
    code = (
        "import sys; from pathlib import Path; from newsletter.database.engine import open_database\n"
        "engine = open_database(sys.argv[1], Path(sys.argv[2]))\n"
        "print('alembic' in sys.modules, 'sqlalchemy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, URL, str(tmp_path)], capture_output=True, text=True, check=True)
    assert names(engine) == ["kept"]
    assert done.stdout == "False True\n"


def test_an_older_database_is_brought_up_to_date_with_what_is_in_it(tmp_path: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(VERSIONS.parent))
    old = create_engine(f"sqlite:///{tmp_path}/book.db")
    with old.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001_book")
        put(connection, "old")
        assert not connection.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'mailing'").scalar()
    old.dispose()
    new = open_database("sqlite:///book.db", tmp_path)
    with reading(new) as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == head()
        assert connection.exec_driver_sql("SELECT count(*) FROM mailing").scalar() == 0
    assert names(new) == ["old"]
    new.dispose()


def test_programs_that_open_a_new_database_at_once_all_find_it_whole(tmp_path: Path) -> None:
    found: list[str | None] = []

    def run(folder: Path, start: threading.Barrier) -> None:
        start.wait()
        opened = open_database(URL, folder)
        with reading(opened) as connection:
            found.append(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar())
        opened.dispose()

    for number in range(5):
        start = threading.Barrier(4)
        threads = [threading.Thread(target=run, args=(tmp_path / str(number), start)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [head()] * 20


def test_a_database_that_somebody_holds_while_it_is_made_is_for_later(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(engine_module, "BUSY_SECONDS", 0.05)
    holder = sqlite3.connect(tmp_path / "book.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(TryLaterError, match="another program is writing to the database"):
        open_database("sqlite:///book.db", tmp_path)
    holder.close()
    open_database("sqlite:///book.db", tmp_path).dispose()


def test_a_failed_migration_leaves_no_half_made_table(tmp_path: Path) -> None:
    code = (
        "import resource, signal; from pathlib import Path\n"
        "from newsletter.database.engine import open_database\n"
        "from newsletter.errors import NewsletterError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (16384, 16384))\n"
        "try: open_database('sqlite:///new.db', Path('.'))\n"
        "except NewsletterError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.count("\n") == 1
    assert done.stdout.startswith("new.db: the disk ")
    with sqlite3.connect(tmp_path / "new.db") as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    connection.close()
    open_database("sqlite:///new.db", tmp_path).dispose()


def test_nothing_of_a_failed_transaction_stays_not_even_ddl(engine: Engine) -> None:
    def fail() -> None:
        with writing(engine) as connection:
            put(connection, "lost")
            connection.exec_driver_sql("CREATE TABLE half (id INTEGER)")
            put(connection, "lost too")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert names(engine) == []
    with reading(engine) as connection:
        assert not inspect(connection).has_table("half")


def test_a_reader_sees_one_state_while_a_writer_goes_on(engine: Engine) -> None:
    with reading(engine) as snapshot:
        assert snapshot.exec_driver_sql("SELECT count(*) FROM seal").scalar() == 0
        with writing(engine) as connection:
            put(connection, "new")
        assert snapshot.exec_driver_sql("SELECT count(*) FROM seal").scalar() == 0
    assert names(engine) == ["new"]


def test_a_second_writer_waits_at_the_start_and_then_gives_up_for_later(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(engine_module, "BUSY_SECONDS", 0.05)
    engine = open_database(URL, tmp_path)
    with writing(engine) as connection:
        put(connection, "first")
        waits = pytest.raises(TryLaterError, match=r"newsletter\.db: another program is writing")
        with waits as caught, writing(engine) as second:
            put(second, "second")
    assert caught.value.exit_code == 75
    assert names(engine) == ["first"]
    with writing(engine) as connection:  # the connection that gave up is still good
        put(connection, "second")
    engine.dispose()


def test_writers_that_read_first_queue_up_and_lose_nothing(engine: Engine) -> None:
    seal = subscribers_tables.seal
    with writing(engine) as connection:
        put(connection, "counter", 0)

    def count() -> None:
        for _ in range(25):
            with writing(engine) as connection:
                alone(connection, "counter")
                number = connection.scalar(select(seal.c.value))
                connection.execute(update(seal).values(value=number + b"x"))

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(engine) as connection:
        assert connection.scalar(select(seal.c.value)) == b"x" * 75


@pytest.mark.parametrize(
    ("url", "line"),
    [
        (
            "mysql://user:hidden@db/x",
            f"newsletter.yaml: database: 'mysql' is not supported; write {URL} or postgresql://user@host:5432/name",
        ),
        ("subscribers.db", "newsletter.yaml: database: name a file, like sqlite:///subscribers/newsletter.db"),
        ("sqlite://", "newsletter.yaml: database: name a file, like sqlite:///subscribers/newsletter.db"),
        ("sqlite:///", "newsletter.yaml: database: name a file, like sqlite:///subscribers/newsletter.db"),
        ("sqlite:///folder/", "newsletter.yaml: database: name a file, like sqlite:///subscribers/newsletter.db"),
        ("sqlite:///a.db?mode=ro", "newsletter.yaml: database: name a file, like sqlite:///subscribers/newsletter.db"),
    ],
)
def test_a_database_this_version_cannot_use_is_refused_in_one_line(tmp_path: Path, url: str, line: str) -> None:
    with pytest.raises(NewsletterError) as caught:
        open_database(url, tmp_path)
    assert str(caught.value) == line
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "book.db").write_text("email,name\n" * 500)
    with pytest.raises(NewsletterError, match=r"book\.db: this file is not a database; put it elsewhere") as caught:
        open_database("sqlite:///book.db", tmp_path)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "book.db").read_text() == "email,name\n" * 500


def test_a_folder_in_the_databases_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "book.db").mkdir()
    with pytest.raises(NewsletterError, match=r"book\.db: the database cannot be opened: Is a directory"):
        open_database("sqlite:///book.db", tmp_path)


def test_another_programs_database_is_not_touched(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "book.db") as connection:
        connection.execute("CREATE TABLE theirs (id INTEGER)")
    connection.close()
    with pytest.raises(NewsletterError, match="this is another program's database"):
        open_database("sqlite:///book.db", tmp_path)
    with sqlite3.connect(tmp_path / "book.db") as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
    connection.close()


@SQLITE_ONLY
def test_a_schema_newer_than_the_program_is_refused(engine: Engine, tmp_path: Path) -> None:
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999_future'")
    engine.dispose()
    with pytest.raises(NewsletterError, match=r"schema 9999_future\); upgrade the program"):
        open_database(URL, tmp_path)


def damaged(path: Path, start: int) -> None:
    data = bytearray(path.read_bytes())
    data[start:] = bytes(index * 37 % 251 for index in range(len(data[start:])))
    path.write_bytes(data)


def filled(tmp_path: Path) -> Path:
    engine = open_database(URL, tmp_path)
    with writing(engine) as connection:
        connection.execute(
            insert(subscribers_tables.seal), [{"name": f"n{i}", "value": b"x" * 900} for i in range(400)]
        )
    engine.dispose()
    path = tmp_path / "subscribers" / "newsletter.db"
    assert not path.with_name("newsletter.db-wal").exists()
    return path


@pytest.mark.parametrize("start", [100, 20 * 4096, -5 * 4096])
def test_a_damaged_database_is_refused_in_one_line(tmp_path: Path, start: int) -> None:
    path = filled(tmp_path)
    damaged(path, start)
    before = path.read_bytes()
    with pytest.raises(NewsletterError, match=r"newsletter\.db: the database is damaged; nothing was") as caught:
        open_database(URL, tmp_path)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


def test_damage_in_a_large_database_is_one_line_where_it_is_read(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sqlite, "QUICK_CHECK_BYTES", 0)
    damaged(filled(tmp_path), -40 * 4096)
    engine = open_database(URL, tmp_path)
    with pytest.raises(NewsletterError, match="the database is damaged"):
        names(engine)
    engine.dispose()


@SQLITE_ONLY
def test_a_full_disk_is_one_line_and_what_was_stored_stays(engine: Engine) -> None:
    with writing(engine) as connection:
        put(connection, "before")
    with reading(engine) as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1")  # SQLite's own way to meet SQLITE_FULL
    with pytest.raises(NewsletterError, match="the disk is full; nothing of"), writing(engine) as connection:
        put(connection, "large", 5_000_000)
    assert names(engine) == ["before"]


def test_a_full_disk_in_the_middle_of_a_commit_is_one_line(tmp_path: Path) -> None:
    open_database(URL, tmp_path).dispose()
    code = (
        "import resource, signal; from pathlib import Path\n"
        "from newsletter.database.engine import open_database, writing\n"
        "from newsletter.errors import NewsletterError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "engine = open_database('sqlite:///subscribers/newsletter.db', Path('.'))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (400000, 400000))\n"
        "try:\n"
        "    with writing(engine) as c: c.exec_driver_sql(\"INSERT INTO seal VALUES ('big', zeroblob(900000))\")\n"
        "except NewsletterError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == (
        "subscribers/newsletter.db: the disk refused to read or write; see that it has room and is healthy,"
        " then run it again\n"
    )
    engine = open_database(URL, tmp_path)
    assert names(engine) == []
    engine.dispose()


@SQLITE_ONLY
def test_a_database_that_can_only_be_read_is_one_line(engine: Engine) -> None:
    read_only = create_engine(f"sqlite:///file:{engine.url.database}?mode=ro&uri=true")
    with pytest.raises(NewsletterError, match="the database can only be read"), writing(read_only) as connection:
        put(connection, "new")
    read_only.dispose()


def test_a_mistake_of_the_program_is_not_disguised(engine: Engine) -> None:
    with pytest.raises((OperationalError, ProgrammingError), match="nowhere"), reading(engine) as connection:
        connection.exec_driver_sql("SELECT * FROM nowhere")
    with pytest.raises(ProgrammingError), reading(engine) as connection:
        connection.exec_driver_sql("SELECT ?", (1, 2))


@SQLITE_ONLY
def test_what_nobody_foresaw_is_still_one_line(engine: Engine) -> None:
    with pytest.raises(OperationalError) as caught, reading(engine) as connection:
        connection.exec_driver_sql("SELECT * FROM nowhere")
    assert str(explain(caught.value)) == "the database: the database refused: no such table: nowhere"
    assert str(explain(SQLAlchemyError("a\nb"), "x.db")) == "x.db: the database refused: a b"
    assert isinstance(explain(PoolTimeoutError("no connection")), TryLaterError)


@SQLITE_ONLY
def test_emptying_the_log_moves_everything_into_the_database(engine: Engine, tmp_path: Path) -> None:
    with writing(engine) as connection:
        put(connection, "kept")
    drop_old_pages(engine)
    assert (tmp_path / "subscribers" / "newsletter.db-wal").stat().st_size == 0
    assert names(engine) == ["kept"]


def test_moments_come_back_as_they_went_in_and_never_without_a_zone(engine: Engine) -> None:
    table = Table(
        "moments", MetaData(), Column("id", Integer, primary_key=True), Column("at", Moment), prefixes=["TEMPORARY"]
    )
    paris = dt.timezone(dt.timedelta(hours=2))
    whens = [dt.datetime(2016, 4, 22, 18, 0, 0, 7, dt.UTC), dt.datetime(2016, 4, 22, 18, tzinfo=paris), None]
    with writing(engine) as connection:
        table.create(connection)
        connection.execute(insert(table), [{"at": when} for when in whens])
        assert list(connection.scalars(select(table.c.at).order_by(table.c.id))) == whens
        earlier, later = connection.exec_driver_sql(
            "SELECT CAST(at AS TEXT) FROM moments WHERE id < 3 ORDER BY at"
        ).scalars()
        assert (earlier[:19], later) == ("2016-04-22 16:00:00", "2016-04-22 18:00:00.000007")
        assert connection.scalar(select(table.c.id).where(table.c.at == whens[1])) == 2
    with pytest.raises(Exception, match="without a time zone"), writing(engine) as connection:
        connection.execute(insert(table), [{"at": dt.datetime(2016, 4, 22)}])  # noqa: DTZ001 - the mistake under test


def test_a_link_to_nothing_yet_makes_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    (tmp_path / "book.db").symlink_to(tmp_path / "elsewhere.db")
    open_database("sqlite:///book.db", tmp_path).dispose()
    assert (tmp_path / "elsewhere.db").stat().st_mode & 0o777 == 0o600


def test_a_link_to_itself_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "book.db").symlink_to(tmp_path / "book.db")
    with pytest.raises(NewsletterError, match=r"book\.db: the database cannot be opened: Too many levels"):
        open_database("sqlite:///book.db", tmp_path)
