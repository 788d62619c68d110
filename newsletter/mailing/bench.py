"""A worker's bench: what stays the same while it carries one mailing's chunks, made once and kept."""

from __future__ import annotations

import datetime as dt
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, func, select

from newsletter.database.engine import reading
from newsletter.errors import NewsletterError, StoppedError, TryLaterError
from newsletter.mailing import ahead, audience, ledger, resume
from newsletter.mailing.carry import Carriage
from newsletter.mailing.claims import Taker
from newsletter.mailing.crew import CHANGED, LOOK_EVERY
from newsletter.mailing.dispatch import compile_mailing
from newsletter.mailing.lease import Lease
from newsletter.mailing.ledger import Mailing
from newsletter.mailing.orders import Order
from newsletter.mailing.outcomes import Claim, Result
from newsletter.mailing.pace import Pace, Sleep
from newsletter.mailing.speed import Speed
from newsletter.mailing.tables import act, chunk
from newsletter.mailing.tables import mailing as mailing_table

PATIENCE = 60.0  # seconds that a worker who is to stop waits for a lost database, to write down what it did
_STEP = 0.5  # seconds; how often it tries

OrderFor = Callable[[Mailing], Order]


@dataclass
class Settling(Carriage):
    """Settles also when the database is away for a while: this process alone knows what became of a claim."""

    sleep: Sleep = time.sleep

    def settle(self, claim: Claim, result: Result) -> None:
        """Write a claim's outcome, as often as it takes. Raises LostLeaseError when that is up to somebody else."""
        patience = PATIENCE
        while True:
            try:
                return super().settle(claim, result)
            except StoppedError:
                raise
            except NewsletterError:
                if self.stopping():
                    patience -= _STEP
                if patience <= 0:
                    raise
                self.sleep(_STEP)


@dataclass
class Bench:
    """What a mailing's chunks are carried with; `users` counts the lanes that are at it."""

    order: Order
    taker: Taker
    carriage: Carriage
    pace: Pace
    speed: Speed
    looked: dt.datetime
    users: int = 0
    cleared: bool = False

    @property
    def name(self) -> str:
        """The mailing's name."""
        return self.taker.mailing.name

    def look(self, now: dt.datetime) -> None:
        """Raise StoppedError when the edition on the disk is another one by now."""
        if now - self.looked >= LOOK_EVERY:
            self.looked = now
            if not self.order.still():
                raise StoppedError(f"{self.name}: {CHANGED}")

    def close(self) -> None:
        """Let go of the carrier's connections, when the bench is cleared and nobody is at it."""
        if self.cleared and self.users == 0:
            self.order.provider.close()


def find(connection: Connection, identity: int) -> Mailing | None:
    """Return a mailing that is being sent; None for one that is not."""
    columns = [mailing_table.c[name] for name in Mailing.__dataclass_fields__]
    query = select(*columns).where(mailing_table.c.id == identity, mailing_table.c.state == "sending")
    row = connection.execute(query).one_or_none()
    return None if row is None else Mailing(*row)


def make_bench(
    engine: Engine,
    one: Mailing,
    order_for: OrderFor,
    held: Lease,
    pace: Pace,
    connections: threading.Semaphore | None = None,
    helpers: Executor | None = None,
) -> Bench:
    """Make what a mailing's chunks are carried with.

    Raises StoppedError when it is another edition here than the one that was frozen, and when the mailing began so long
    ago that a person should say whether it still is news.
    """
    try:
        order = order_for(one)
    except TryLaterError:
        raise
    except NewsletterError as error:
        raise StoppedError(f"{one.name}: {str(error).splitlines()[0]}") from error
    with reading(engine) as connection:
        if not resume.may_go_on(connection, one, order.edition, order.provider):
            raise StoppedError(
                f"{one.name}: on {socket.gethostname()} the issue, a template, newsletter.yaml or the program differs"
                " from what this mailing was frozen with; nothing was sent from there"
            )
        if one.finished_at is None:
            _refuse_late(connection, one, order.project.settings.send.max_age, pace.clock())
        choices = audience.choices(connection, one.id)
    taker = Taker(engine, held, one, choices, order.provider)
    carriage = Settling(
        taker,
        compile_mailing(order, one),
        clock=pace.clock,
        stopping=pace.stop,
        told=_not_told,
        wait=pace.wait_for,
        started=one.started_at,
        worked=ledger.status(engine, one.name)[0].accepted > 0,
        helpers=helpers if ahead.pays(order.provider) else None,
        connections=connections,
        sleep=pace.sleep,
    )
    speed = Speed(engine, order.provider, pace.clock, pace.sleep, pace.stop)
    return Bench(order, taker, carriage, pace, speed, pace.clock())


def _not_told(number: int) -> None:
    """Leave it to the ledger how far a mailing is."""
    del number


def _refuse_late(connection: Connection, one: Mailing, max_age: dt.timedelta, now: dt.datetime) -> None:
    """Raise StoppedError when nobody was at work on a mailing for too long.

    Its time counts from its beginning, from a person's word to go on, and from when its last chunk became due.
    """
    word = select(func.max(act.c.at)).where(act.c.mailing == one.id, act.c.what == "resumed")
    due = select(func.max(chunk.c.not_before)).where(
        chunk.c.mailing == one.id, chunk.c.state == "ready", chunk.c.not_before <= now
    )
    moments = (one.started_at, one.created_at, *(connection.execute(query).scalar_one() for query in (word, due)))
    if now - max(moment for moment in moments if moment is not None) > max_age:
        raise StoppedError(
            f"{one.name}: nobody was there to send it for longer than send.max_age; if it is still news,"
            f" 'newsletter resume {one.name} --late --by NAME' goes on"
        )
