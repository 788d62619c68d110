"""Copies every row of one database into another, empty one, whichever kinds they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, func, insert, literal, select, text

from newsletter.database import postgresql

Told = Callable[[int, int], None]  # rows copied, rows in all

_PAGE = 5_000


def hold_still(connection: Connection, tables: Sequence[Table]) -> None:
    """Let nobody write to tables until this writing transaction ends; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        postgresql.take_time(connection)
        names = ", ".join(connection.dialect.identifier_preparer.format_table(table) for table in tables)
        connection.exec_driver_sql(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE")


def filled(connection: Connection, tables: Sequence[Table]) -> str | None:
    """Return the name of a table that holds something, if there is one."""
    return next((one.name for one in tables if connection.scalar(select(literal(1)).select_from(one).limit(1))), None)


def counts(connection: Connection, tables: Sequence[Table]) -> Mapping[str, int]:
    """Count the rows of each table."""
    return {one.name: connection.scalar(select(func.count()).select_from(one)) or 0 for one in tables}


def copy_rows(source: Connection, target: Connection, tables: Sequence[Table], told: Told | None) -> int:
    """Copy all rows, a table after those it refers to, with ids and the numbers given last; return how many.

    All of it belongs to the caller's transactions.
    """
    if target.dialect.name == "postgresql":
        postgresql.take_time(target)
    write = _write_by_copy if target.dialect.name == "postgresql" else _write_by_insert
    total = sum(counts(source, tables).values())
    done = 0
    for table in tables:
        rows = source.execute(select(table).execution_options(yield_per=_PAGE))
        for page in rows.partitions():
            write(target, table, page)
            done += len(page)
            if told:
                told(done, total)
        if table.kwargs.get("sqlite_autoincrement"):
            _give_from(target, table, max(_last_given(source, table), _greatest(source, table)))
    return done


def _write_by_insert(target: Connection, table: Table, page: Sequence[Any]) -> None:
    target.execute(insert(table), [row._asdict() for row in page])


def _write_by_copy(target: Connection, table: Table, page: Sequence[Any]) -> None:
    """Write rows by PostgreSQL's COPY, which takes ten times as many a second."""
    names = target.dialect.identifier_preparer
    columns = ", ".join(names.format_column(column) for column in table.columns)
    cursor: Any = target.connection.cursor()
    with cursor, cursor.copy(f"COPY {names.format_table(table)} ({columns}) FROM STDIN") as stream:
        for row in _written(target, table, page):
            stream.write_row(row)


def _written(target: Connection, table: Table, page: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Turn values into what the driver takes, as an INSERT would."""
    found = [column.type.dialect_impl(target.dialect).bind_processor(target.dialect) for column in table.columns]
    at = [(place, processor) for place, processor in enumerate(found) if processor]
    for row in page:
        cells = list(row)
        for place, processor in at:
            cells[place] = processor(cells[place])
        yield cells


def _last_given(connection: Connection, table: Table) -> int:
    """Return the greatest id ever given, also to a row that is gone."""
    statement = (
        "SELECT seq FROM sqlite_sequence WHERE name = :name"
        if connection.dialect.name == "sqlite"
        else "SELECT pg_sequence_last_value(pg_get_serial_sequence(:name, 'id')::regclass)"
    )
    return connection.scalar(text(statement), {"name": table.name}) or 0


def _greatest(connection: Connection, table: Table) -> int:
    return connection.scalar(select(func.max(table.c.id))) or 0


def _give_from(connection: Connection, table: Table, last: int) -> None:
    """Let the next id be greater than `last`."""
    values = {"name": table.name, "last": last}
    if connection.dialect.name == "postgresql":
        statement = "SELECT setval(pg_get_serial_sequence(:name, 'id'), greatest(:last, 1), :last > 0)"
        connection.execute(text(statement), values)
        return
    connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), values)
    connection.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"), values)
