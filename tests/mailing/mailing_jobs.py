"""What tests see of the job queue, and what they do to it behind everybody's back."""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

import psycopg
from mailing_house import House

from newsletter.mailing.queue import SCHEMA


class Job(NamedTuple):
    task_name: str
    args: dict[str, Any]
    queueing_lock: str | None
    status: str
    scheduled_at: dt.datetime | None


def tamper(house: House, statement: str) -> None:
    """Run a statement in the queue's schema."""
    with psycopg.connect(house.url, options=f"-c search_path={SCHEMA}") as connection:
        connection.execute(statement.encode())


def jobs(house: House) -> list[Job]:
    with psycopg.connect(house.url, options=f"-c search_path={SCHEMA}") as connection:
        rows = connection.execute(
            "SELECT task_name, args, queueing_lock, status, scheduled_at FROM procrastinate_jobs ORDER BY id"
        )
        return [Job(*row) for row in rows]


def remove(house: House, job: Job) -> None:
    with psycopg.connect(house.url, options=f"-c search_path={SCHEMA}") as connection:
        connection.execute("DELETE FROM procrastinate_jobs WHERE queueing_lock = %s", [job.queueing_lock])
