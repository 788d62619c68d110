"""One process that does what is due: sends what is on the agenda, goes on with what waits, reads bounces, tidies."""

from __future__ import annotations

import datetime as dt
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from newsletter.database.opened import opened
from newsletter.desk import bounces
from newsletter.desk.mailings import law, statuses
from newsletter.desk.posting import open_carrier, open_posting
from newsletter.desk.project import Clock, Desk, clock, open_desk
from newsletter.errors import NewsletterError, TryLaterError
from newsletter.mailing import agenda, tidying
from newsletter.mailing.agenda import Planned
from newsletter.mailing.ledger import MailingStatus
from newsletter.mailing.outcomes import without_addresses
from newsletter.mailing.stop import stop_on_signals
from newsletter.providers.base import Guard

AGAIN = dt.timedelta(minutes=5)  # before a mailing that had to wait is tried again, or asked about
_STEP = 0.5  # seconds; how often a rest looks whether somebody wants to stop


@dataclass
class Shift:
    """What chores are given: the project, the time, and whether to stop.

    `leave` says that mailings are left to the workers. `tried` says when a mailing had its last turn, `done` when a
    chore was last done, and `said` what was last told of each, so that the same words come once.
    """

    root: Path
    clock: Clock
    stop: Callable[[], bool]
    leave: bool = False
    tried: dict[str, dt.datetime] = field(default_factory=dict)
    done: dict[str, dt.datetime] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)

    def desk(self) -> Desk:
        """Open the project as its files are at this moment. Raises NewsletterError."""
        return open_desk(self.root)

    def news(self, about: str, text: str) -> Iterator[str]:
        """Yield a line unless it was the last one about this."""
        line = f"{about}: {without_addresses(text)}"
        if self.said.get(about) != line:
            self.said[about] = line
            yield line


@dataclass(frozen=True)
class Chore:
    """Something that is done again and again. `work` yields a line for each event, with ids and without addresses.

    It raises NewsletterError for what a person can mend; whatever it raises, the other chores have their turn.
    """

    name: str
    every: dt.timedelta
    work: Callable[[Shift], Iterator[str]]


def send_due(shift: Shift) -> Iterator[str]:
    """Send what is on the agenda and due."""
    desk = shift.desk()
    with opened(desk.project.database(), desk.project.root) as engine:
        for one in agenda.due(engine, shift.clock()):
            if shift.stop():
                return
            state, said = _send_planned(shift, desk, one)
            if state != "waiting":
                agenda.mark(engine, one.id, state, said if state == "refused" else "")
            yield from shift.news(f"number {one.id}", said)


def _send_planned(shift: Shift, desk: Desk, one: Planned) -> tuple[str, str]:
    """Send a line of the agenda; return its state after that, and what to say of it."""
    begun = False
    try:
        with open_posting(desk, one.issue, one.list) as work:
            stale = one.stale(work.order.edition.seen, shift.clock(), desk.project.settings.send.max_age)
            if stale is not None:
                return "refused", f"{work.order.name}: not sent: {stale}"
            if one.by_reader:
                work = replace(work, order=replace(work.order, reader_time=(one.when.local, one.zone)))  # noqa: PLW2901
            plan = work.plan()
            shift.tried[plan.mailing] = shift.clock()
            try:
                send = work.leave if shift.leave else work.send
                return "done", law(send(plan, no_test=True).status)  # the copy was asked for when it was planned
            finally:
                begun = work.status() is not None
    except NewsletterError as error:
        kept = isinstance(error, TryLaterError) or shift.stop()
        return "done" if begun else "waiting" if kept else "refused", str(error)


def go_on(shift: Shift) -> Iterator[str]:
    """Go on with mailings that wait for somebody: readers put off, answers of the carrier."""
    desk = shift.desk()
    provider = open_carrier(desk)
    asks = provider.guard is Guard.LOOKUP
    provider.close()
    by_reader = _by_readers_time(shift, desk)
    for one in statuses(desk, None):
        if shift.stop():
            return
        if _waits(shift, desk, one, asks=asks):
            shift.tried[one.mailing] = shift.clock()
            yield from shift.news(one.mailing, _go_on(desk, one, in_time=(one.issue, one.list) in by_reader))


def _waits(shift: Shift, desk: Desk, one: MailingStatus, *, asks: bool) -> bool:
    """Say whether a mailing is to have a turn now; nobody has paused it, and no carrier has stopped it."""
    now = shift.clock()
    if one.state != "sending" or not (one.pending or (one.unknown and asks)):
        return False
    if one.finished and now - one.finished > desk.project.settings.send.max_age:
        return False  # the carrier has been asked for long enough
    return one.mailing not in shift.tried or now - shift.tried[one.mailing] >= AGAIN


def _by_readers_time(shift: Shift, desk: Desk) -> frozenset[tuple[str, str]]:
    """Return issue and list of what still has its moment somewhere: it is not old, however early it began."""
    max_age = desk.project.settings.send.max_age
    with opened(desk.project.database(), desk.project.root) as engine:
        lines = agenda.listed(engine)
    done = (one for one in lines if one.by_reader and one.state == "done")
    return frozenset((one.issue, one.list) for one in done if shift.clock() - one.ends <= max_age)


def _go_on(desk: Desk, one: MailingStatus, *, in_time: bool) -> str:
    try:
        with open_posting(desk, one.issue, one.list) as work:
            plan = work.plan()
            if plan.late and not in_time:
                return f"waits for a person, it is old: 'newsletter resume {one.mailing} --late --by NAME' goes on"
            return law(work.send(plan, no_test=True, late_ok=in_time).status)
    except NewsletterError as error:
        return str(error)


def tidy(shift: Shift) -> Iterator[str]:
    """Throw away what nobody needs any more."""
    desk = shift.desk()
    with opened(desk.project.database(), desk.project.root) as engine:
        count = tidying.tidy(engine, shift.clock())
    if count:
        yield f"{count} old rows are gone"


def fetch_bounces(shift: Shift) -> Iterator[str]:
    """Take in what came back, if the settings say where that is delivered."""
    yield from bounces.fetch(shift.desk(), shift.clock, shift.stop)


AGENDA = Chore("agenda", dt.timedelta(0), send_due)
CHORES = (
    AGENDA,
    Chore("mailings", dt.timedelta(0), go_on),
    Chore("bounces", dt.timedelta(0), fetch_bounces),
    Chore("tidying", dt.timedelta(days=1), tidy),
)


def run(
    root: Path,
    every: float,
    tell: Callable[[str], None],
    *,
    once: bool = False,
    chores: Sequence[Chore] = CHORES,
    now: Clock = clock,
) -> bool:
    """Do every chore that is due, again after `every` seconds, until a signal comes; or `once`.

    Return whether every chore of the last round went well. A send that is under way when the signal comes stops between
    two messages.
    """
    with stop_on_signals() as stop:
        shift = Shift(root, now, stop)
        while True:
            well = [do(shift, chore, tell) for chore in chores]
            if not once:
                _rest(every, stop)
            if once or stop():
                return all(well)


def do(shift: Shift, chore: Chore, tell: Callable[[str], None]) -> bool:
    """Do a chore if its time has come; return whether it went well."""
    moment = shift.clock()
    if shift.stop() or (chore.name in shift.done and moment - shift.done[chore.name] < chore.every):
        return True
    shift.done[chore.name] = moment
    try:
        for line in chore.work(shift):
            tell(line)
    except NewsletterError as error:
        for line in shift.news(chore.name, str(error)):
            tell(line)
        return False
    except Exception as error:  # noqa: BLE001 - what is wrong with one chore must not keep the others from theirs
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        tell(
            f"{chore.name}: a fault in the program: {type(error).__name__} at {where}"
        )  # its words may hold an address
        return False
    shift.said.pop(chore.name, None)
    return True


def _rest(seconds: float, stop: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while not stop() and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, _STEP))
