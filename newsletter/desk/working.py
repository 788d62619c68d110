"""A worker on the desk: it carries whatever is being sent from this project's database, until it is told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from newsletter.config import Project
from newsletter.database import postgresql
from newsletter.database.engine import Engine, file_of, open_database
from newsletter.desk import service
from newsletter.desk.issue import open_issue
from newsletter.desk.posting import open_carrier
from newsletter.desk.project import Desk, open_desk
from newsletter.desk.watching import StillTheSame, stamps
from newsletter.edition.render import make_edition
from newsletter.errors import NewsletterError, TryLaterError
from newsletter.mailing import ahead, queue, workday
from newsletter.mailing.carry import lanes
from newsletter.mailing.clocks import database_clock
from newsletter.mailing.ledger import Mailing
from newsletter.mailing.orders import Order
from newsletter.mailing.stop import Stop, stop_on_signals
from newsletter.mailing.work import Workshop
from newsletter.subscribers.book import Book

Say = Callable[[str], None]

_CHORES = ("agenda", "tidying")  # the others of 'newsletter run' are for one process


def work(desk: Desk, connections: int | None, say: Say) -> None:
    """Carry what there is until a signal says to stop; what is under way then is finished.

    `connections` is how many calls to the carrier may be under way at once, by default what its settings say. A server
    that does not answer is waited for. Raises NewsletterError without PostgreSQL and for what cannot be used.
    """
    project = desk.project
    url = project.database()
    if not url.startswith(("postgresql:", "postgres:")):
        raise NewsletterError(
            "a worker needs PostgreSQL (docs/distributed.md); with SQLite, 'newsletter run' sends what is due, and"
            " 'newsletter send' the rest"
        )
    carrier = open_carrier(desk)
    number = connections or carrier.connections
    with stop_on_signals() as stop, ahead.helpers(number) as composing:
        engine = _opened(url, project, stop, say)
        if engine is None:
            return
        try:
            calls = threading.BoundedSemaphore(number)
            orders = partial(order_for, project.root, engine)
            clock = database_clock(engine)
            shop = Workshop(engine, orders, clock, stop, say, connections=calls, helpers=composing)
            say(f"{number} connection{'s' * (number != 1)}, waiting for mailings in {file_of(engine)}")
            shift = service.Shift(project.root, shop.clock, stop, leave=True)
            workday.run(shop, postgresql.parameters(url), lanes(carrier, number), lambda: _also(shift, say))
            say("stopped as asked")
        finally:
            engine.dispose()


def _also(shift: service.Shift, say: Say) -> None:
    """Begin what is due on the agenda, which all workers carry then; throw away what is old."""
    for chore in service.CHORES:
        if chore.name in _CHORES:
            service.do(shift, chore, say)


def _opened(url: str, project: Project, stop: Stop, say: Say) -> Engine | None:
    """Open the database, with the queue in it, as soon as it answers; None when told to stop before."""
    for seconds in workday.waits(stop):
        try:
            engine = open_database(url, project.root)
        except TryLaterError as error:
            say(str(error))
            workday.wait(stop, seconds)
        else:
            Book(engine, database_clock(engine), project.secret())  # refuses another project's secret
            queue.install(engine)
            return engine
    return None


def order_for(root: Path, engine: Engine, one: Mailing) -> Order:
    """Make what a mailing is sent from, of the files as they are now. Raises NewsletterError for what is wrong."""
    desk = open_desk(root)
    before = stamps(desk)
    file = open_issue(desk, one.issue)
    edition = make_edition(file, desk.project, desk.countries)
    still = StillTheSame(desk, file.path, edition.digest, before)
    return Order(engine, desk.project, edition, one.list, open_carrier(desk), still)
