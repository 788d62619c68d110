"""Sends an edition to a list: freeze, claim, carry, settle, until nobody is left.

Running it again goes on where it stopped, whatever stopped it; running it once more after the end sends nothing.
"""

from __future__ import annotations

import datetime as dt
import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import Engine

from newsletter.config import Project
from newsletter.database.engine import reading, writing
from newsletter.edition.model import Edition
from newsletter.errors import NewsletterError, StoppedError
from newsletter.mailing import audience, encode, flight, headers, lease, ledger, recovery, resume
from newsletter.mailing.audience import KIND, Audience
from newsletter.mailing.carry import Carriage, make_batch
from newsletter.mailing.claims import HaltedError, Taker
from newsletter.mailing.crew import Crew
from newsletter.mailing.inquiry import Inquiry, reconcile
from newsletter.mailing.lease import Lease, LostLeaseError
from newsletter.mailing.ledger import Mailing, MailingStatus
from newsletter.mailing.letters import Letter
from newsletter.mailing.message import SAMPLE_READER, Compiler
from newsletter.mailing.pace import Chance, Clock, Pace, Sleep
from newsletter.mailing.speed import Speed
from newsletter.mailing.stop import AskedToStopError, stop_on_signals
from newsletter.providers.base import BatchCarrier, MessageCarrier, Outcome, Provider, Receipt


@dataclass(frozen=True)
class Order:
    """What is to be sent, to which list, by whom, and where the ledger is."""

    engine: Engine
    project: Project
    edition: Edition
    list: str
    provider: Provider
    still: Callable[[], bool] = lambda: True  # whether the edition on the disk is this one, asked now and then
    reader_time: tuple[dt.datetime, str] | None = None  # local time for each reader, and the zone of those without one

    @property
    def name(self) -> str:
        """The mailing's name."""
        return audience.mailing_name(self.edition, self.list)


@dataclass(frozen=True)
class Plan:
    """What a send would do. `requests` counts the calls to the carrier; `status` is None for a new mailing.

    `rate` is in calls a second, None without an agreed one, and then `seconds` is None, too. `late` says that the
    mailing began longer ago than `send.max_age`.
    """

    mailing: str
    state: Literal["new", "resume", "finished"]
    provider: str
    to_send: int
    audience: Audience
    requests: int
    status: MailingStatus | None
    connections: int = 1
    rate: float | None = None
    late: bool = False

    @property
    def seconds(self) -> float | None:
        """How long it takes at the agreed rate."""
        return None if self.rate is None else self.requests / self.rate


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


Told = Callable[[Progress], None]


def utc_now() -> dt.datetime:
    """Return the present, aware and in UTC."""
    return dt.datetime.now(dt.UTC)


def plan(order: Order, *, clock: Clock = utc_now) -> Plan:
    """Say what a send would do, without doing anything.

    Raises StoppedError when the mailing is under way with another edition or carrier, TryLaterError when somebody is
    sending it.
    """
    headers.known_list(order.project.settings, order.list)
    with reading(order.engine) as connection:
        counted = audience.count(connection, order.list, order.edition)
        one = ledger.find(connection, order.edition.slug, order.list, KIND)
        if one is not None:
            resume.refuse_second_sender(connection, one, clock())
            if not resume.may_go_on(connection, one, order.edition, order.provider):
                one = None
    provider = order.provider
    ways = (provider.connections, provider.rate)
    if one is None:
        requests = _requests(order, counted)
        return Plan(order.name, "new", provider.describe(), counted.count, counted, requests, None, *ways)
    status = ledger.status(order.engine, one.name)[0]
    state: Literal["resume", "finished"] = "finished" if one.finished_at else "resume"
    requests = math.ceil(status.pending / (provider.chunk_size if isinstance(provider, BatchCarrier) else 1))
    late = resume.is_late(one, order.project.settings.send.max_age, clock())
    return Plan(one.name, state, provider.describe(), status.pending, counted, requests, status, *ways, late)


def _requests(order: Order, counted: Audience) -> int:
    if not isinstance(order.provider, BatchCarrier):
        return counted.count
    return sum(math.ceil(number / order.provider.chunk_size) for number in counted.variants.values())


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
    headers.known_list(order.project.settings, order.list)
    with reading(order.engine) as connection:  # a sender in the middle of a write would make us wait for this answer
        present = ledger.find(connection, order.edition.slug, order.list, KIND)
        if present is not None:
            resume.refuse_second_sender(connection, present, clock())
            resume.refuse_halted(present)
            if not late_ok:
                resume.refuse_late(present, order.project.settings.send.max_age, clock())
    begun = _begin(order, clock())
    if begun is None:
        return Summary(ledger.status(order.engine, order.name)[0], nothing_to_do=True)
    one, held = begun
    try:
        with stop_on_signals() as stop:
            busy = _carry_all(order, one, held, told, Pace(clock, sleep, stop, chance))
    except StoppedError as error:
        if not isinstance(error, AskedToStopError | HaltedError | LostLeaseError):
            ledger.mark_stopped(order.engine, one.id, str(error))  # for those who send it beside us
        raise
    finally:
        lease.end(held)
        try:
            order.provider.close()
        finally:
            with writing(order.engine) as connection:
                if lease.release(connection, held, clock()):
                    flight.forget(connection, held.owner)
    return Summary(ledger.status(order.engine, one.name)[0], nothing_to_do=not busy)


def _begin(order: Order, now: dt.datetime) -> tuple[Mailing, Lease] | None:
    """Freeze the mailing or find it, take its lease and put in order what a dead sender left: one transaction.

    None when it is finished and there is nothing to ask the carrier about.
    """
    with writing(order.engine) as connection:
        one = ledger.find(connection, order.edition.slug, order.list, KIND)
        if one is not None:
            resume.refuse_second_sender(connection, one, now)
            if not resume.may_go_on(connection, one, order.edition, order.provider):
                ledger.forget(connection, one.id)
                one = None
        if one is None:
            audience.freeze(connection, order.edition, order.list, order.provider, now)
            one = ledger.find(connection, order.edition.slug, order.list, KIND)
        if one is None:
            raise LookupError(order.name)
        if one.finished_at is not None and not resume.is_same(one, order.edition, order.provider):
            return None
        recovery.sweep(connection, one, order.provider, lease.this_process(), now)
        ledger.mark_going_on(connection, one.id)
        held = lease.take(connection, one.id, lease.this_process(), now)
        if ledger.mark_finished(connection, one.id, now) and not ledger.has_unknown(connection, one.id):
            lease.release(connection, held, now)
            return None
        return one, held


def _carry_all(order: Order, one: Mailing, held: Lease, told: Told | None, pace: Pace) -> bool:
    """Carry every chunk that is ready; return whether there was anything to do."""
    compiler = compile_mailing(order, one)
    with reading(order.engine) as connection:
        choices = audience.choices(connection, one.id)
    busy = reconcile(Inquiry(order.engine, order.provider, compiler, one, held, choices), pace.clock()) > 0
    counter = _Counter(told, ledger.status(order.engine, one.name)[0])
    taker = Taker(order.engine, held, one, choices, order.provider)
    carriage = Carriage(
        taker,
        compiler,
        clock=pace.clock,
        stopping=pace.stop,
        told=counter.add,
        wait=pace.wait_for,
        started=one.started_at,
        worked=counter.start.accepted > 0,
    )
    speed = Speed(order.engine, order.provider, pace.clock, pace.sleep, pace.stop)
    crew = Crew(taker, carriage, pace, speed, counter.add, order.still)
    busy = crew.work(order.provider.connections) or busy
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
            return provider.deliver(make_batch(compiler, f"{compiler.key}/0", [letter]))
        if isinstance(provider, MessageCarrier):
            return provider.deliver(compiler.compose(SAMPLE_READER, address, "", everything))
    finally:
        provider.close()
    raise TypeError(f"{type(provider).__name__} carries neither messages nor batches")
