"""What a worker sees to now and then: its lease, what dead workers left, lost jobs, readers in doubt."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import ColumnElement, and_, exists, func, or_, select

from newsletter.database.engine import reading, writing
from newsletter.mailing import inquiry, lease, ledger, queue, recovery
from newsletter.mailing.bench import Bench
from newsletter.mailing.claims import may_be_asked
from newsletter.mailing.inquiry import Inquiry
from newsletter.mailing.tables import attempt, chunk, exception, mailing
from newsletter.mailing.work import Workshop
from newsletter.providers.base import BatchCarrier, Guard, Provider

EVERY = dt.timedelta(minutes=1)
ASK_EVERY = dt.timedelta(minutes=10)  # a carrier that could not say
CARED_FOR = dt.timedelta(hours=6)  # after the last message left, readers in doubt are asked for by themselves


class Chores:
    """The chores of one worker."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._asked: dict[int, dt.datetime] = {}

    def do(self) -> None:
        """Do them all. Raises NewsletterError when the database fails; the next time everything is looked at again."""
        shop = self._shop
        shop.keep()
        recovery.free_unheard(shop.engine, shop.held, shop.tokens, shop.clock(), busy=shop.under_way)
        with reading(shop.engine) as connection:
            rows = connection.execute(select(mailing.c.id).where(_needs_care(shop.clock()))).all()
        for row in rows:
            shop.deal(row.id, lambda identity=row.id: self._care(identity))  # type: ignore[misc]
        shop.clear_ended({row.id for row in rows})
        with writing(shop.engine) as connection:
            queue.forget(connection)
            queue.enqueue(connection)

    def _care(self, identity: int) -> None:
        shop = self._shop
        with shop.bench(identity) as bench:
            if bench is None:
                return
            one, provider, now = bench.taker.mailing, bench.order.provider, shop.clock()
            with writing(shop.engine) as connection:
                left = recovery.sweep(connection, one, provider, lease.this_process(), now)
            if left:
                shop.tell(f"{one.name}: {left} chunks of a worker that is gone are put in order")
            if self._is_time_to_ask(identity, provider, now):
                self._asked[identity] = now
                self._ask(bench, now)
            with writing(shop.engine) as connection:
                ledger.mark_finished(connection, identity, now)

    def _is_time_to_ask(self, identity: int, provider: Provider, now: dt.datetime) -> bool:
        """Say whether a carrier may know of readers in doubt by now, and was not asked a moment ago."""
        before = self._asked.get(identity)
        if not (may_be_asked(provider) or provider.guard is Guard.LOOKUP) or (before and now - before < ASK_EVERY):
            return False
        lag = dt.timedelta(seconds=provider.lag if isinstance(provider, BatchCarrier) else 0)
        last = func.max(attempt.c.ended_at)
        left = (
            select(last).where(attempt.c.mailing == chunk.c.mailing, attempt.c.chunk == chunk.c.seq).scalar_subquery()
        )
        ripe = exists().where(chunk.c.mailing == identity, _in_doubt(), left <= now - lag)
        with reading(self._shop.engine) as connection:
            return bool(connection.execute(select(ripe)).scalar_one())

    def _ask(self, bench: Bench, now: dt.datetime) -> None:
        taker = bench.taker
        asking = Inquiry(
            taker.engine, taker.provider, bench.carriage.compiler, taker.mailing, self._shop.held, taker.choices
        )
        known = inquiry.reconcile(asking, now)
        self._shop.tell(f"{bench.name}: the carrier was asked about readers in doubt and knew of {known}")


def _in_doubt() -> ColumnElement[bool]:
    here = and_(exception.c.mailing == chunk.c.mailing, exception.c.chunk == chunk.c.seq)
    return or_(chunk.c.state == "unknown", exists().where(here, exception.c.kind == "unknown"))


def _needs_care(now: dt.datetime) -> ColumnElement[bool]:
    """Say of which mailings chunks are under way or in doubt; of those long finished a person sees to the rest."""
    going = or_(mailing.c.finished_at.is_(None), mailing.c.finished_at > now - CARED_FOR)
    some = exists().where(chunk.c.mailing == mailing.c.id, or_(chunk.c.state == "sending", _in_doubt()))
    return and_(mailing.c.state == "sending", going, some)
