"""PostgreSQL 15 or newer: for several machines, or more readers than one file serves well."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from newsletter.errors import NewsletterError

EXAMPLE = "postgresql://user@host:5432/name"
OLDEST = 15

_HALF_AN_HOUR, _FIVE_MINUTES = "1800000", "300000"  # milliseconds, as PostgreSQL counts
# A server that fell silent is noticed within a minute, also while we wait for its answer.
_NOTICE_SILENCE = {"keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3"}
_DEFAULTS = {"fallback_application_name": "newsletter", "client_encoding": "utf8", "tcp_user_timeout": "60000"}
_SET_UP = """
SELECT set_config('lock_timeout', %(lock)s, false), set_config('statement_timeout', %(statement)s, false),
    set_config('idle_in_transaction_session_timeout', %(idle)s, false), set_config('timezone', 'UTC', false),
    set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'), false)
"""  # a commit that may be lost would lose intents that had already left


def parameters(url: str, said: str = "newsletter.yaml: database") -> Mapping[str, Any]:
    """Return what libpq is to be told, for whoever opens connections of their own to the same database.

    What the URL leaves out comes from libpq's own places: ~/.pgpass, the service file, PGHOST and the like.
    Raises NewsletterError when the driver is not installed or the URL cannot be read.
    """
    psycopg = _driver()
    try:
        told = psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:  # its text may repeat a password
        raise NewsletterError(f"{said}: this address cannot be read; write it like {EXAMPLE}") from None
    patience = {} if "PGCONNECT_TIMEOUT" in os.environ else {"connect_timeout": "10"}
    return {**_DEFAULTS, **_NOTICE_SILENCE, **patience, **told}


def make_engine(url: str, busy_seconds: float, said: str, **pool: int) -> Engine:
    """Return the engine of a database; its own URL, which may be shown, holds no password. Raises NewsletterError."""
    told = parameters(url, said)
    port = str(told.get("port", ""))
    shown = URL.create(
        "postgresql+psycopg",
        username=told.get("user"),
        host=told.get("host"),
        port=int(port) if port.isdecimal() else None,
        database=told.get("dbname"),
    )
    # The ping notices a server that was started anew since the connection was last used.
    engine = create_engine(shown, creator=partial(_driver().connect, **told), pool_pre_ping=True, **pool)
    event.listen(engine, "connect", partial(_set_up, busy_seconds))
    return engine


def described(url: URL) -> str:
    """Name a database as the person at the keyboard would, without a password."""
    user = f"{url.username}@" if url.username else ""
    port = f":{url.port}" if url.port else ""
    if (url.host or "/").startswith(("/", "@")):  # a Unix socket
        where = f"?host={url.host}" if url.host else ""
        return f"postgresql://{user}{port}/{url.database or ''}{where}"
    return f"postgresql://{user}{url.host}{port}/{url.database or ''}"


def refuse_unfit(connection: Connection, file: str) -> None:
    """Raise NewsletterError for a server that is too old, or a database that cannot hold every name."""
    number, encoding = connection.exec_driver_sql(
        "SELECT current_setting('server_version_num')::int / 10000, current_setting('server_encoding')"
    ).one()
    if number < OLDEST:
        raise NewsletterError(f"{file}: this is PostgreSQL {number}; version {OLDEST} or newer is needed")
    if encoding != "UTF8":
        raise NewsletterError(f"{file}: its encoding is {encoding}; make it anew with: createdb --encoding=UTF8")


def take_time(connection: Connection) -> None:
    """Let the statements of this transaction take as long as they need: a migration, a copy of everything."""
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")


def vacuum(connection: Connection, tables: tuple[str, ...]) -> None:
    """Free the space of deleted rows, so that no statement can reach them and new rows are written over them."""
    connection.exec_driver_sql(f"VACUUM (SKIP_LOCKED) {', '.join(tables)}")


def _driver() -> Any:
    try:
        import psycopg  # noqa: PLC0415 - an extra
        import psycopg.conninfo  # noqa: PLC0415 - the same
    except ImportError:
        raise NewsletterError("PostgreSQL needs its driver; install 'country-newsletter[postgres]'") from None
    return psycopg


def _set_up(busy_seconds: float, dbapi_connection: Any, record: object) -> None:
    del record
    dbapi_connection.autocommit = True
    values = {"lock": f"{busy_seconds * 1000:.0f}", "statement": _HALF_AN_HOUR, "idle": _FIVE_MINUTES}
    with dbapi_connection.cursor() as cursor:
        cursor.execute(_SET_UP, values)
    dbapi_connection.autocommit = False
