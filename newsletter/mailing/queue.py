"""The job queue of the workers: Procrastinate, in a schema of its own beside our tables. Only this file knows it.

A job is the number of a mailing and of one of its chunks, and nothing depends on it: a job too many claims nothing, and
for a chunk that has lost its job another one is made (chores.py). So the queue's commits need not wait for the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, exists, select, text

from newsletter.database.engine import alone, file_of, writing
from newsletter.errors import NewsletterError, TryLaterError
from newsletter.mailing.tables import worker

SCHEMA = "newsletter_queue"
QUEUE = "newsletter"
TASK = "carry"

POLL = 1.0  # seconds; how late a job may start whose moment has come, or whose notice was lost
_LOOK = 0.2  # seconds; how often a worker looks whether somebody wants it to stop
_LOST = "the connection to the job queue was lost"

# An engine of another version may have moved its tables; `scheduled_at` has a zone, our moments are in UTC without one.
_ENQUEUE = f"""
    INSERT INTO {SCHEMA}.procrastinate_jobs (queue_name, task_name, args, queueing_lock, scheduled_at)
    SELECT '{QUEUE}', '{TASK}', jsonb_build_object('mailing', chunk.mailing, 'seq', chunk.seq),
        chunk.mailing || '/' || chunk.seq, chunk.not_before AT TIME ZONE 'UTC'
    FROM chunk JOIN mailing ON mailing.id = chunk.mailing
    WHERE mailing.state = 'sending' AND chunk.state = 'ready'
        AND chunk.mailing = coalesce(:mailing, chunk.mailing) AND chunk.seq = coalesce(:seq, chunk.seq)
        AND NOT EXISTS (
            SELECT FROM {SCHEMA}.procrastinate_jobs
            WHERE status = 'todo' AND queueing_lock = chunk.mailing || '/' || chunk.seq
        )
    ORDER BY chunk.mailing, chunk.first
    ON CONFLICT (queueing_lock) WHERE status = 'todo' DO NOTHING
"""  # noqa: S608 - there is nothing of anybody's in it
_FORGET = f"""
    DELETE FROM {SCHEMA}.procrastinate_jobs AS job WHERE status <> 'todo' AND NOT EXISTS (
        SELECT FROM {SCHEMA}.procrastinate_workers
        WHERE id = job.worker_id AND last_heartbeat > now() - interval '2 minutes'
    )
"""  # noqa: S608 - as above


def install(engine: Engine) -> None:
    """Make the queue's tables if they are not there.

    Raises NewsletterError when Procrastinate is not installed, when we may not make a schema, and for tables of another
    version of it.
    """
    manager, known = _schema_manager()
    with writing(engine) as connection:
        alone(connection, "queue")
        found = connection.execute(
            text("SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = :name"),
            {"name": SCHEMA},
        ).one_or_none()
        if found is None:
            driver: Any = connection.connection.driver_connection
            driver.execute(f"CREATE SCHEMA {SCHEMA}")
            with _inside(connection):
                driver.execute(manager.get_schema())
            driver.execute(f"COMMENT ON SCHEMA {SCHEMA} IS 'procrastinate {known}'")
        elif found[0] != f"procrastinate {known}":
            raise NewsletterError(
                f"{file_of(engine)}: its job queue was made by another version ({found[0]}, not {known}); install the"
                f" same on all machines, or stop all workers and DROP SCHEMA {SCHEMA} CASCADE: no mail depends on it"
            )


def _schema_manager() -> tuple[Any, str]:
    """Return what knows the tables, and the name of the last change that was made to them."""
    manager = _procrastinate().schema.SchemaManager
    return manager, max(path.stem for path in Path(manager.get_migrations_path()).glob("*.sql"))


def _procrastinate() -> Any:
    try:
        import procrastinate  # noqa: PLC0415 - an extra, which nobody needs who sends from one machine
        import procrastinate.schema  # noqa: PLC0415 - as above
    except ImportError:
        raise NewsletterError("workers need Procrastinate; install 'country-newsletter[postgres]'") from None
    return procrastinate


@contextlib.contextmanager
def _inside(connection: Connection) -> Any:
    """Let names be looked for in the queue's schema first: its triggers and functions name no schema."""
    path: str = connection.execute(text("SELECT current_setting('search_path')")).scalar_one()
    change = text("SELECT set_config('search_path', :path, true)")
    connection.execute(change, {"path": f"{SCHEMA}, {path}"})
    yield
    connection.execute(change, {"path": path})


def is_there(connection: Connection) -> bool:
    """Say whether the queue's tables have been made."""
    found = connection.execute(text("SELECT to_regclass(:name)"), {"name": f"{SCHEMA}.procrastinate_jobs"})
    return found.scalar() is not None


def is_awaited(connection: Connection, now: dt.datetime) -> bool:
    """Say whether a worker is there to take jobs."""
    if connection.dialect.name != "postgresql":
        return False
    there = exists().where(worker.c.lease_until > now)
    return bool(connection.execute(select(there)).scalar_one()) and is_there(connection)


def enqueue(connection: Connection, mailing: int | None = None, seq: int | None = None) -> int:
    """Make a job for each ready chunk that has none waiting: of all mailings that are being sent, or one, or one chunk.

    A chunk that was put off gets its job for the moment when it may be tried again. All of it belongs to the caller's
    transaction. Returns how many there were.
    """
    with _inside(connection):
        return connection.execute(text(_ENQUEUE), {"mailing": mailing, "seq": seq}).rowcount


def forget(connection: Connection) -> None:
    """Delete the jobs that workers who are gone had begun."""
    with _inside(connection):
        connection.execute(text(_FORGET))


def serve(
    parameters: Mapping[str, Any],
    carry: Callable[[int, int], None],
    lanes: int,
    stopping: Callable[[], bool],
) -> None:
    """Call `carry` with the mailing and the chunk of every job, in as many threads as there are lanes.

    `parameters` are libpq's. Returns when somebody wants to stop and what was under way is done; `carry` must not
    raise. Raises TryLaterError when the server is lost, as soon as what was under way is done.
    """
    for name in ("procrastinate", "psycopg.pool", "sqlalchemy.pool"):  # of a lost server, which one line tells of
        logging.getLogger(name).setLevel(logging.CRITICAL)
    asyncio.run(_serve(_app(parameters), carry, lanes, stopping))


def _app(parameters: Mapping[str, Any]) -> Any:
    procrastinate = _procrastinate()
    options = f"{parameters.get('options', '')} -c search_path={SCHEMA} -c synchronous_commit=off"
    told = {**parameters, "options": options.strip()}
    return procrastinate.App(connector=procrastinate.PsycopgConnector(kwargs=told, min_size=1, max_size=4, timeout=10))


async def _serve(app: Any, carry: Callable[[int, int], None], lanes: int, stopping: Callable[[], bool]) -> None:
    import psycopg  # noqa: PLC0415 - an extra
    from procrastinate.exceptions import ConnectorException  # noqa: PLC0415 - an extra

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, _context: None)  # a lost server is told of once, below
    with ThreadPoolExecutor(lanes, "lane") as threads:

        @app.task(name=TASK, queue=QUEUE)  # type: ignore[untyped-decorator]
        async def carry_chunk(mailing: int, seq: int) -> None:
            await loop.run_in_executor(threads, carry, mailing, seq)

        try:
            async with app.open_async():
                await _run(app, lanes, stopping)
        except (ConnectorException, psycopg.Error) as error:
            raise TryLaterError(_LOST) from error


async def _run(app: Any, lanes: int, stopping: Callable[[], bool]) -> None:
    worker = asyncio.create_task(
        app.run_worker_async(
            queues=[QUEUE],
            concurrency=lanes,
            fetch_job_polling_interval=POLL,
            listen_notify=True,
            delete_jobs="always",
            install_signal_handlers=False,
        )
    )
    while not worker.done() and not stopping():
        await asyncio.sleep(_LOOK)
    if worker.done():
        await worker
        raise TryLaterError(_LOST)
    worker.cancel()  # which lets it finish what is under way
    with contextlib.suppress(asyncio.CancelledError):
        await worker
