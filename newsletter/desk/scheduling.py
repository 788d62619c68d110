"""The agenda on the desk: an issue that is ready, and the moment it is to leave."""

from __future__ import annotations

from dataclasses import dataclass, replace

from newsletter.database.opened import opened
from newsletter.desk.posting import Posting
from newsletter.desk.project import Desk, clock
from newsletter.errors import NewsletterError
from newsletter.mailing import agenda
from newsletter.mailing.agenda import Planned
from newsletter.mailing.orders import Plan
from newsletter.mailing.when import When, machine_zone, read


@dataclass(frozen=True)
class Scheduled:
    """A line of the agenda, and the numbers of those it took the place of."""

    planned: Planned
    replaced: tuple[int, ...]


def moment(text: str, zone: str | None) -> When:
    """Read when to send; without a zone, by this machine's clock. Raises NewsletterError."""
    return read(text, zone or machine_zone(), clock())


def schedule(work: Posting, plan: Plan, when: When, *, by_reader: bool, no_test: bool) -> Scheduled:
    """Put an issue on the agenda, exactly as it is now.

    Raises BlockedError when it is not ready to be sent, NewsletterError when its mailing has begun already.
    """
    if plan.state != "new":
        raise NewsletterError(
            f"{plan.mailing}: has begun already; 'newsletter status {plan.mailing}' says how it stands"
        )
    work.allow(plan, no_test=no_test)
    order, edition = work.order, work.order.edition
    draft = Planned(0, edition.slug, order.list, edition.seen, when.at, when.zone, by_reader, clock())
    number, replaced = agenda.add(order.engine, draft)
    return Scheduled(replace(draft, id=number), replaced)


def described(one: Planned) -> str:
    """Say what is to be sent when."""
    clock_of = "by each reader's own clock, else in" if one.by_reader else "in"
    return f"{one.issue} to {one.list}, {one.when.local:%A %Y-%m-%d %H:%M} {clock_of} {one.zone}"


def scheduled(desk: Desk) -> tuple[Planned, ...]:
    """Return the agenda."""
    with opened(desk.project.database(), desk.project.root) as engine:
        return agenda.listed(engine)


def cancel(desk: Desk, number: int) -> None:
    """Take a line off the agenda. Raises NewsletterError when it does not wait there."""
    with opened(desk.project.database(), desk.project.root) as engine:
        agenda.cancel(engine, number)
