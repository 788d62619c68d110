"""Sends an edition to a list: freeze, claim, carry, settle, until nobody is left.

Running it again goes on where it stopped, whatever stopped it; running it once more after the end sends nothing.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from newsletter.config import Project
from newsletter.database.engine import Connection, alone, reading, writing
from newsletter.edition.model import Edition
from newsletter.errors import NewsletterError, StoppedError
from newsletter.mailing import ahead, audience, encode, flight, headers, inquiry, lease, ledger, queue, recovery, resume
from newsletter.mailing.audience import KIND
from newsletter.mailing.carry import Carriage, lanes, make_batch
from newsletter.mailing.claims import HaltedError, Taker
from newsletter.mailing.crew import Crew
from newsletter.mailing.heartbeat import beating
from newsletter.mailing.inquiry import Inquiry
from newsletter.mailing.lease import Lease, LostLeaseError
from newsletter.mailing.ledger import Mailing, MailingStatus
from newsletter.mailing.letters import Letter
from newsletter.mailing.message import SAMPLE_READER, Compiler
from newsletter.mailing.orders import Order, Plan, plan, utc_now
from newsletter.mailing.pace import Chance, Clock, Pace, Sleep
from newsletter.mailing.speed import Speed
from newsletter.mailing.stop import AskedToStopError, stop_on_signals
from newsletter.providers.base import BatchCarrier, MessageCarrier, Outcome, Provider, Receipt

__all__ = ["Order", "Plan", "plan"]


@dataclass(frozen=True)
class Progress:
    """How far a send is: readers of the audience who are settled, of all."""

    done: int
    total: int


@dataclass(frozen=True)
class Summary:
    """How a mailing stands after a run. `nothing_to_do` when the run found nobody to send to or to ask about."""

    status: MailingStatus
    nothing_to_do: bool = False


PATIENCE = 30.0  # seconds that a run waits for a database server, to write down what it did

Told = Callable[[Progress], None]


def send(
    order: Order,
    told: Told | None = None,
    *,
    late_ok: bool = False,
    clock: Clock = utc_now,
    sleep: Sleep = time.sleep,
    chance: Chance = random.random,
) -> Summary:
    """Send an edition to everybody on a list who does not have it; `told` is called after every message or batch.

    Raises StoppedError when the carrier refuses us or somebody stops the run, TryLaterError when the carrier puts us
    off or another sender is at work. Whatever is raised, the ledger is right and sending again goes on.
    """
    refuse_unfit(order, clock(), late_ok=late_ok)
    begun = _begin(order, clock())
    if begun is None:
        return Summary(ledger.status(order.engine, order.name)[0], nothing_to_do=True)
    one, held = begun
    with _given_back(order, held, clock), beating(order.engine, held, clock), stop_on_signals() as stop:
        try:
            busy = _carry_all(order, one, held, told, Pace(clock, sleep, stop, chance))
        except StoppedError as error:
            if not isinstance(error, AskedToStopError | HaltedError | LostLeaseError):
                ledger.mark_stopped(order.engine, one.id, str(error))  # for those who send it beside us
            raise
    return Summary(ledger.status(order.engine, one.name)[0], nothing_to_do=not busy)


def refuse_unfit(order: Order, now: dt.datetime, *, late_ok: bool) -> None:
    """Raise StoppedError or TryLaterError when this is not to be sent, or not now."""
    headers.known_list(order.project.settings, order.list)
    with reading(order.engine) as connection:  # a sender in the middle of a write would make us wait for this answer
        present = ledger.find(connection, order.edition.slug, order.list, KIND)
        if present is not None:
            resume.refuse_second_sender(connection, present, now)
            resume.refuse_halted(present)
            if not late_ok:
                resume.refuse_late(present, order.project.settings.send.max_age, now)


def reconcile(order: Order, *, clock: Clock = utc_now) -> int:
    """Ask the carrier about the unknown readers of a mailing, and send nothing; return how many it knew of.

    Raises NewsletterError when there is no such mailing, StoppedError and TryLaterError as `send`.
    """
    with reading(order.engine) as connection:
        if ledger.find(connection, order.edition.slug, order.list, KIND) is None:
            raise NewsletterError(f"there is no mailing {order.name} yet")
    begun = _begin(order, clock())
    if begun is None:
        return 0
    one, held = begun
    with _given_back(order, held, clock):
        return _ask(order, one, held, compile_mailing(order, one), clock())


@contextlib.contextmanager
def _given_back(order: Order, held: Lease, clock: Clock) -> Iterator[None]:
    """Give the lease back in the end, whatever happens."""
    try:
        yield
    finally:
        lease.end(held)
        try:
            order.provider.close()
        finally:
            with writing(order.engine) as connection:
                lease.release(connection, held, clock())
            flight.tidy(order.engine)


def _ask(order: Order, one: Mailing, held: Lease, compiler: Compiler, now: dt.datetime) -> int:
    with reading(order.engine) as connection:
        choices = audience.choices(connection, one.id)
    return inquiry.reconcile(Inquiry(order.engine, order.provider, compiler, one, held, choices), now)


def _begin(order: Order, now: dt.datetime) -> tuple[Mailing, Lease] | None:
    """Freeze the mailing or find it, take its lease and put in order what a dead sender left: one transaction.

    None when it is finished and there is nothing to ask the carrier about.
    """
    held = None
    try:
        with writing(order.engine) as connection:
            one = set_going(connection, order, now)
            if one is None:
                return None
            held = lease.take(connection, one.id, lease.this_process(), now)
            if queue.is_awaited(connection, now):
                queue.enqueue(connection, one.id)
            if ledger.mark_finished(connection, one.id, now) and not ledger.has_unknown(connection, one.id):
                lease.release(connection, held, now)
                lease.end(held)
                return None
    except BaseException:
        if held is not None:
            lease.end(held)  # or this process would take itself for a sender at work
        raise
    return one, held


def set_going(connection: Connection, order: Order, now: dt.datetime) -> Mailing | None:
    """Freeze a mailing or find it, and put in order what a dead sender left; None when another one is finished."""
    alone(connection, f"mailing {order.name}")
    one = ledger.find(connection, order.edition.slug, order.list, KIND)
    if one is not None:
        resume.refuse_second_sender(connection, one, now)
        ledger.keep_as_it_is(connection, one.id)
        if not resume.may_go_on(connection, one, order.edition, order.provider):
            ledger.forget(connection, one.id)
            one = None
    if one is None:
        audience.freeze(connection, order.frozen, now)
        one = ledger.find(connection, order.edition.slug, order.list, KIND)
    if one is None:
        raise LookupError(order.name)
    if one.finished_at is not None and not resume.is_same(one, order.edition, order.provider):
        return None
    recovery.sweep(connection, one, order.provider, lease.this_process(), now)
    ledger.mark_going_on(connection, one.id)
    return one


def _carry_all(order: Order, one: Mailing, held: Lease, told: Told | None, pace: Pace) -> bool:
    """Carry every chunk that is ready; return whether there was anything to do."""
    compiler = compile_mailing(order, one)
    busy = _ask(order, one, held, compiler, pace.clock()) > 0
    with reading(order.engine) as connection:
        choices = audience.choices(connection, one.id)
    counter = _Counter(told, ledger.status(order.engine, one.name)[0])
    taker = Taker(order.engine, held, one, choices, order.provider)
    composing = ahead.helpers(order.provider.connections)
    carriage = Carriage(
        taker,
        compiler,
        clock=pace.clock,
        stopping=pace.stop,
        told=counter.add,
        wait=pace.wait_for,
        started=one.started_at,
        worked=counter.start.accepted > 0,
        patience=PATIENCE if order.engine.dialect.name == "postgresql" else 0.0,
        helpers=composing if ahead.pays(order.provider) else None,
        connections=threading.BoundedSemaphore(order.provider.connections),
    )
    speed = Speed(order.engine, order.provider, pace.clock, pace.sleep, pace.stop)
    crew = Crew(taker, carriage, pace, speed, counter.add, order.still)
    with composing:
        busy = crew.work(lanes(order.provider, order.provider.connections)) or busy
    with writing(order.engine) as connection:
        ledger.mark_finished(connection, one.id, pace.clock())
    return busy


def compile_mailing(order: Order, one: Mailing) -> Compiler:
    """Make the compiler of a mailing: the same bytes on every attempt."""
    project = order.project
    signer, secret = order.provider.signer, project.secret()
    return Compiler(order.edition, project.settings, order.list, secret, one.name, one.created_at, signer=signer)


@dataclass
class _Counter:
    """Tells how far a run is."""

    told: Told | None
    start: MailingStatus
    done: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.done = self.start.audience - self.start.pending
        self.add(0)

    def add(self, number: int) -> None:
        with self.lock:
            self.done += number
            if self.told is not None:
                self.told(Progress(self.done, self.start.audience))


def test_message(
    project: Project, edition: Edition, provider: Provider, address: str, list_name: str, now: dt.datetime
) -> Receipt:
    """Send one copy to one address, its subject marked [Test]; the ledger does not hear of it.

    Raises NewsletterError for an address that cannot be reached, StoppedError when the carrier does not take it.
    """
    fault = encode.unreachable(address)
    if fault is not None:
        raise NewsletterError(f"{address}: {fault}")
    key = f"test-{edition.slug}-{now:%Y%m%d%H%M%S}"
    secret, signer = project.secret(), provider.signer
    compiler = Compiler(edition, project.settings, list_name, secret, key, now, mark="[Test] ", signer=signer)
    receipt = _hand_over(compiler, provider, address)
    if receipt.outcome is not Outcome.ACCEPTED:
        raise StoppedError(f"{address}: the test message is {receipt.outcome}: {receipt.detail or 'no reason given'}")
    return receipt


def _hand_over(compiler: Compiler, provider: Provider, address: str) -> Receipt:
    everything = frozenset(range(len(compiler.edition.subjects)))
    try:
        if isinstance(provider, BatchCarrier):
            letter = Letter(0, SAMPLE_READER, address, "", everything)
            return provider.deliver(make_batch(compiler, provider, f"{compiler.key}/0", [letter]))
        if isinstance(provider, MessageCarrier):
            return provider.deliver(compiler.compose(SAMPLE_READER, address, "", everything))
    finally:
        provider.close()
    raise TypeError(f"{type(provider).__name__} carries neither messages nor batches")
