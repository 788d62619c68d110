"""What is to be sent to whom by which carrier, and what a send of it would do."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Engine

from newsletter.config import Project
from newsletter.database.engine import reading
from newsletter.edition.model import Edition
from newsletter.mailing import audience, headers, ledger, resume
from newsletter.mailing.audience import KIND, Audience, Frozen
from newsletter.mailing.ledger import MailingStatus
from newsletter.mailing.pace import Clock
from newsletter.providers.base import BatchCarrier, Provider


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

    @property
    def frozen(self) -> Frozen:
        """What a mailing is frozen from."""
        return Frozen(self.edition, self.list, self.provider, self.reader_time)


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
    batched = isinstance(provider, BatchCarrier)
    requests = math.ceil(status.pending / audience.chunk_size(provider, order.edition)) if batched else status.pending
    late = resume.is_late(one, order.project.settings.send.max_age, clock())
    return Plan(one.name, state, provider.describe(), status.pending, counted, requests, status, *ways, late)


def _requests(order: Order, counted: Audience) -> int:
    if not isinstance(order.provider, BatchCarrier):
        return counted.count
    size = audience.chunk_size(order.provider, order.edition)
    return sum(math.ceil(number / size) for number in counted.variants.values())
