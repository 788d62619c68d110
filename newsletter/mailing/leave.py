"""Leaves a mailing to the workers, and watches how far they are."""

from __future__ import annotations

import time

from newsletter.database.engine import writing
from newsletter.errors import NewsletterError, StoppedError
from newsletter.mailing import claims, dispatch, ledger, queue
from newsletter.mailing.dispatch import Progress, Summary, Told
from newsletter.mailing.orders import Order, utc_now
from newsletter.mailing.pace import Clock, Sleep
from newsletter.mailing.stop import stop_on_signals

_LOOK = 0.5  # seconds between two looks at the ledger


class UnwatchedError(StoppedError):
    """A person has seen enough; the workers go on."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name}: no longer watched; the workers go on with it. 'newsletter status {name}' tells how far they are,"
            f" 'newsletter pause {name}' stops them"
        )


def leave(order: Order, *, late_ok: bool = False, clock: Clock = utc_now) -> None:
    """Freeze a mailing, or let it go on, and give each of its chunks a job: one transaction. Nothing is sent from here.

    Raises NewsletterError without PostgreSQL, StoppedError and TryLaterError as `dispatch.send`.
    """
    if order.engine.dialect.name != "postgresql":
        raise NewsletterError("workers need PostgreSQL (docs/distributed.md); send without --leave-to-workers")
    dispatch.refuse_unfit(order, clock(), late_ok=late_ok)
    queue.install(order.engine)
    with writing(order.engine) as connection:
        one = dispatch.set_going(connection, order, clock())
        if one is not None:
            queue.enqueue(connection, one.id)


def watch(order: Order, told: Told | None = None, *, sleep: Sleep = time.sleep) -> Summary:
    """Tell how far a mailing is until nothing of it is left to send.

    Raises UnwatchedError when somebody asks to stop, StoppedError when it was stopped, paused or cancelled.
    """
    with stop_on_signals() as stop:
        while True:
            status = ledger.status(order.engine, order.name)[0]
            if told is not None:
                told(Progress(status.audience - status.pending, status.audience))
            if status.finished is not None:
                return Summary(status)
            if status.state != "sending":
                reason = status.reason.removeprefix(f"{order.name}: ")
                raise StoppedError(f"{order.name}: {claims.halted_line(status.state, reason)}")
            if stop():
                raise UnwatchedError(order.name)
            sleep(_LOOK)
