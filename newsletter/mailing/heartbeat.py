"""Keeps a lease alive while a carrier takes its time: a campaign with 50,000 readers is many requests."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from sqlalchemy import Engine

from newsletter.database.engine import writing
from newsletter.errors import NewsletterError
from newsletter.mailing import lease
from newsletter.mailing.lease import RENEW_AFTER, Lease
from newsletter.mailing.pace import Clock


@contextlib.contextmanager
def beating(engine: Engine, held: Lease, clock: Clock, seconds: float = RENEW_AFTER.total_seconds()) -> Iterator[None]:
    """Renew a lease every so many seconds; whoever finds it lost notices at the next claim, which looks itself."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(seconds):
            with contextlib.suppress(NewsletterError), writing(engine) as connection:
                lease.renew(connection, held, clock())

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
