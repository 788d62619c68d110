"""Brings the tables to the newest schema this program knows."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from sqlalchemy import Connection

from newsletter.database import postgresql
from newsletter.database.locks import alone
from newsletter.errors import NewsletterError

VERSIONS = Path(__file__).parent / "migrations" / "versions"

_NAMES = {
    "sqlite": "SELECT name FROM sqlite_master",
    "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()",
}


def head() -> str:
    """Return the newest revision this program knows: migrations are one line of files, numbered in their order."""
    return _known()[-1]


@cache
def _known() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in VERSIONS.glob("[0-9][0-9][0-9][0-9]_*.py")))


def version(connection: Connection) -> str | None:
    """Return the revision of the tables that are there; None when there are none of ours."""
    if "alembic_version" not in _names(connection):
        return None
    found: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return found


def _names(connection: Connection) -> set[str]:
    return set(connection.exec_driver_sql(_NAMES[connection.dialect.name]).scalars())


def migrate(connection: Connection, file: str) -> None:
    """Run the missing migrations in the transaction that is open: another program may have run them meanwhile.

    Raises NewsletterError for another program's database, and for a schema newer than this program.
    """
    alone(connection, "schema")
    found = version(connection)
    if found is None and _names(connection):
        raise NewsletterError(f"{file}: this is another program's database; name a new one in newsletter.yaml")
    if found is not None and found not in _known():
        raise NewsletterError(
            f"{file}: a newer version of this program has changed the database (schema {found}); upgrade the program"
        )
    if connection.dialect.name == "postgresql":
        postgresql.take_time(connection)
    from alembic import command  # noqa: PLC0415 - a third of a second that only the first run after an upgrade pays
    from alembic.config import Config  # noqa: PLC0415 - the same

    config = Config()
    config.set_main_option("script_location", str(VERSIONS.parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
