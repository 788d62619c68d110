"""One worker's workshop: it carries chunks of whatever mailings are being sent, each when its job comes.

What is under way when the database is lost is settled when it is back: this process knows what became of it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import random
import threading
import time
import traceback
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Self

from sqlalchemy import Engine, and_, exists, select

from newsletter.database.engine import reading, writing
from newsletter.errors import NewsletterError, StoppedError, TryLaterError
from newsletter.mailing import bucket, claims, flight, lease, ledger, queue
from newsletter.mailing.bench import Bench, OrderFor, find, make_bench
from newsletter.mailing.carry import carry_batch
from newsletter.mailing.claims import HaltedError, carrier_name
from newsletter.mailing.flight import FlightLog
from newsletter.mailing.lease import Lease, LostLeaseError
from newsletter.mailing.outcomes import Claim, Result
from newsletter.mailing.pace import LONGEST_WAIT, Chance, Clock, Pace, Sleep
from newsletter.mailing.rounds import carry_messages
from newsletter.mailing.stop import AskedToStopError, Stop
from newsletter.mailing.tables import chunk
from newsletter.mailing.tables import mailing as mailing_table
from newsletter.providers.base import BatchCarrier, MessageCarrier

_MOMENT = 0.05  # seconds, after which a row that somebody looked at is free again
_STEP = 0.5  # seconds; how often a wait looks whether somebody wants to stop


@dataclass
class Workshop:
    """Carries chunks in the threads that call `carry`. `order_for` makes what a mailing is sent from.

    `say` is told, in one line each, what a person would want to know. `connections` are as many as requests with
    batches may be under way; None: one for each thread. `helpers` compose messages ahead. `tokens` are those of claims
    that were granted and may not be settled, `under_way` the mailings and chunks of jobs.
    """

    engine: Engine
    order_for: OrderFor
    clock: Clock
    stop: Stop
    say: Callable[[str], None]
    sleep: Sleep = time.sleep
    chance: Chance = random.random
    connections: threading.Semaphore | None = None
    helpers: Executor | None = None
    tokens: set[str] = field(default_factory=set)
    under_way: set[tuple[int, int]] = field(default_factory=set)
    _benches: dict[int, Bench] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _lane: threading.local = field(default_factory=threading.local)
    _logs: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _held: Lease | None = None
    _told: str = ""

    def __enter__(self) -> Self:
        with writing(self.engine) as connection:
            self._held = lease.enlist(connection, lease.this_process(), self.clock())
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
        lease.end(self.held)
        with contextlib.suppress(NewsletterError):
            self._logs.close()
            with writing(self.engine) as connection:
                lease.release(connection, self.held, self.clock())

    @property
    def held(self) -> Lease:
        """This worker's lease."""
        if self._held is None:
            raise LookupError("the workshop is not open")
        return self._held

    def keep(self) -> None:
        """Hold the lease for longer; take another one when it is no longer there."""
        with writing(self.engine) as connection:
            try:
                lease.renew(connection, self.held, self.clock())
            except LostLeaseError:
                lease.end(self.held)
                self.clear()
                self._held = lease.enlist(connection, lease.this_process(), self.clock())

    def carry(self, mailing: int, seq: int) -> None:
        """Carry a chunk if it is ready; whatever happens is dealt with here, and the chunk is never lost."""
        key = (mailing, seq)
        with self._lock:
            if key in self.under_way:
                return
            self.under_way.add(key)
        try:
            self.deal(mailing, lambda: self._carry(mailing, seq))
        finally:
            self.under_way.discard(key)

    def tell(self, line: str) -> None:
        """Say something, unless it was said just now: all lanes meet the same lost server."""
        if line != self._told:
            self._told = line
            self.say(line)

    def deal(self, mailing: int, work: Callable[[], None]) -> None:
        """Do a piece of work for a mailing; what would go wrong with every chunk stops the mailing, for everybody."""
        try:
            work()
        except (AskedToStopError, HaltedError, LostLeaseError):
            self.clear(mailing)
        except StoppedError as error:
            self._stop_mailing(mailing, str(error))
        except NewsletterError as error:
            self.tell(str(error))  # the database, mostly; the next chore makes another job
            if mailing in self._benches and self._benches[mailing].carriage.over:
                self.clear(mailing)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not be met once for every chunk
            traceback.print_exc()
            self._stop_mailing(mailing, f"stopped by a fault of the program: {type(error).__name__}: {error}")

    def _stop_mailing(self, mailing: int, reason: str) -> None:
        self.tell(reason)
        self.clear(mailing)
        with contextlib.suppress(NewsletterError):  # then it is tried, and stopped, again
            ledger.mark_stopped(self.engine, mailing, reason)

    def _carry(self, mailing: int, seq: int) -> None:
        with self.bench(mailing) as bench:
            if bench is None:
                return
            claim = self._claim(bench, seq)
            if claim is None:
                self._finish(bench)  # it may have been the last one, and all of its readers have left
                return
            self.tokens.add(claim.token)
            result = self._hand_over(bench, claim)
            bench.carriage.judge(claim, result)
            if not result.settled:
                bench.carriage.settle(claim, result)
            self.tokens.discard(claim.token)
            self._see_on(bench, claim, result)

    def _claim(self, bench: Bench, seq: int) -> Claim | None:
        """Claim a chunk when the carrier may be called; None when it is not ready."""
        provider = bench.order.provider
        paced = isinstance(provider, BatchCarrier) and provider.rate is not None
        while not paced or self._is_ready(bench, seq):
            while bench.carriage.resting and not self.stop():
                self.sleep(_STEP)
            bench.look(self.clock())
            if paced:
                bench.speed.wait()
            if self.stop():
                self._enqueue(bench, seq)
                raise AskedToStopError
            found = claims.claim(bench.taker, self.clock(), only=seq)
            if isinstance(found, Claim) or (found is None and not self._is_ready(bench, seq)):
                return found
            until = found.until if found else self.clock()  # None: somebody had the row locked for a moment
            self.sleep(_MOMENT)
            while self.clock() < until and not self.stop():
                self.sleep(_STEP)
        return None

    def _is_ready(self, bench: Bench, seq: int) -> bool:
        """Say whether a chunk may be claimed now. A job that came too early is made again."""
        own = (chunk.c.mailing == bench.taker.mailing.id, chunk.c.seq == seq, chunk.c.state == "ready")
        with reading(self.engine) as connection:
            row = connection.execute(select(chunk.c.not_before).where(*own)).one_or_none()
        if row is None or row.not_before is None or row.not_before <= self.clock():
            return row is not None
        self._enqueue(bench, seq)
        return False

    def _hand_over(self, bench: Bench, claim: Claim) -> Result:
        provider = bench.order.provider
        if isinstance(provider, BatchCarrier):
            return carry_batch(bench.carriage, provider, claim)
        if isinstance(provider, MessageCarrier):
            with self._flights() as flights:
                return carry_messages(bench.carriage, provider, claim, flights, bench.speed)
        raise TypeError(f"{type(provider).__name__} carries neither messages nor batches")

    @contextlib.contextmanager
    def _flights(self) -> Iterator[FlightLog]:
        """Give this lane's log, which is kept from chunk to chunk as long as nothing goes wrong."""
        log: FlightLog | None = getattr(self._lane, "log", None)
        if log is None:
            stack = contextlib.ExitStack()
            log = stack.enter_context(flight.flight_log(self.engine, self.held))
            with self._lock:
                self._logs.callback(stack.close)
            self._lane.log, self._lane.stack = log, stack
        try:
            yield log
        except BaseException:
            self._lane.stack.close()
            self._lane.log = None
            raise

    def _see_on(self, bench: Bench, claim: Claim, result: Result) -> None:
        """See that what is left has a job, a finished mailing is marked so, and the carrier is not pressed."""
        if result.settled:  # it was split
            self._enqueue(bench, None)
        elif result.not_before is not None or result.attempted < len(claim.letters):
            self._enqueue(bench, claim.chunk)
        self._finish(bench)
        try:
            bench.pace.after(result, claim)
        except TryLaterError as error:
            self.tell(f"{bench.name}: {error}")
            self.clear(claim.mailing)
            with writing(self.engine) as connection:
                until = self.clock() + dt.timedelta(seconds=LONGEST_WAIT)
                bucket.hold(connection, carrier_name(bench.order.provider), until)

    def _enqueue(self, bench: Bench, seq: int | None) -> None:
        with writing(self.engine) as connection:
            queue.enqueue(connection, bench.taker.mailing.id, seq)

    def _finish(self, bench: Bench) -> None:
        """Mark a mailing finished: two who settle its last two chunks at once do not see each other's."""
        one = bench.taker.mailing
        going_on = exists().where(chunk.c.mailing == one.id, chunk.c.state.in_(("ready", "sending")))
        with reading(self.engine) as connection:
            if connection.execute(select(going_on)).scalar_one():
                return
        with writing(self.engine) as connection:
            finished = ledger.mark_finished(connection, one.id, self.clock())
        if finished:
            self.tell(f"{one.name}: nothing is left to send")
            self.clear(one.id)

    @contextlib.contextmanager
    def bench(self, mailing: int) -> Iterator[Bench | None]:
        """Give what a mailing's chunks are carried with; None when it is not being sent. Raises as `make_bench`."""
        with self._lock:
            found = self._benches.get(mailing) or self._made(mailing)
            if found is not None:
                found.users += 1
        try:
            yield found
        finally:
            if found is not None:
                with self._lock:
                    found.users -= 1
                    found.close()

    def _made(self, mailing: int) -> Bench | None:
        with reading(self.engine) as connection:
            one = find(connection, mailing)
        if one is None:
            return None
        pace = Pace(self.clock, self.sleep, self.stop, self.chance)
        bench = make_bench(self.engine, one, self.order_for, self.held, pace, self.connections, self.helpers)
        self._benches[mailing] = bench
        self.tell(f"{one.name}: at work on it")
        return bench

    def clear_ended(self, wanted: Collection[int]) -> None:
        """Put away what was made for mailings that somebody else brought to their end, but for the wanted ones."""
        with self._lock:
            made = set(self._benches).difference(wanted)
        if not made:
            return
        going = and_(mailing_table.c.state == "sending", mailing_table.c.finished_at.is_(None))
        with reading(self.engine) as connection:
            kept = connection.scalars(select(mailing_table.c.id).where(mailing_table.c.id.in_(made), going))
            ended = made.difference(kept)
        for one in ended:
            self.clear(one)

    def clear(self, mailing: int | None = None) -> None:
        """Put away what was made for a mailing, or for all."""
        with self._lock:
            for one in list(self._benches) if mailing is None else [mailing]:
                bench = self._benches.pop(one, None)
                if bench is not None:
                    bench.cleared = True
                    bench.close()
