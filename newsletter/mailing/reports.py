"""Takes what carriers report of messages into the book and the ledger, in whatever order and however often it comes.

A report is believed only of a mailing that has its reader in the audience and began not long ago. What a report says
never takes back what a weightier one said: a copy that left did leave, and who complained did complain.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import assert_never

from sqlalchemy import Connection, Engine, and_, delete, func, insert, select

from newsletter.database.engine import reading
from newsletter.errors import NewsletterError
from newsletter.mailing import inquiry
from newsletter.mailing.ledger import LOST, Mailing
from newsletter.mailing.tables import AnyRow, act, chunk, delivery, exception
from newsletter.mailing.tables import mailing as mailing_table
from newsletter.providers.base import Outcome, opaque
from newsletter.providers.feedback import Feedback, Report
from newsletter.subscribers import filing, lookup
from newsletter.subscribers.addresses import read_address
from newsletter.subscribers.book import Book, reader
from newsletter.subscribers.model import Entry, Status

BELIEVED_FOR = dt.timedelta(days=30)  # after a mailing began
REPORTED = "the carrier reported that it did not send it"


@dataclass(frozen=True)
class Applied:
    """How many reports were believed and how many not, and what that changed.

    `settled` counts changes of a reader's fate in the ledger, `ended` readers whom a list mails no more.
    """

    believed: int = 0
    strange: int = 0
    settled: int = 0
    ended: int = 0

    def __add__(self, other: Applied) -> Applied:
        """Add the numbers of two runs."""
        return Applied(
            self.believed + other.believed,
            self.strange + other.strange,
            self.settled + other.settled,
            self.ended + other.ended,
        )


def apply(engine: Engine, book: Book, reports: Iterable[Feedback], now: dt.datetime) -> Applied:
    """Take reports into the book and the ledger, each in a transaction of its own.

    Raises NewsletterError and TryLaterError when the database does; what was taken in until then stays.
    """
    applied = Applied()
    for report in reports:
        applied += _apply(engine, book, report, now)
    return applied


def _apply(engine: Engine, book: Book, report: Feedback, now: dt.datetime) -> Applied:
    with reading(engine) as connection:
        who = _reader(connection, book, report)
        mailings = [] if who is None else _mailings(connection, report, who, now)
        if who is None or not mailings:
            return Applied(strange=1)
        news = any(_fate(_place(connection, one, who), report) for one in mailings)
    if not news and _ending(report, "")[0] is None:  # most reports say what is known: nobody need wait for them
        return Applied(believed=1)
    with book.writing() as connection:
        settled = len(mailings) == 1 and _settle(connection, mailings[0], who, report, now)
        ended = [_end(connection, book, who, one.list, report, now) for one in mailings]
    return Applied(believed=1, settled=int(settled), ended=int(any(ended)))


def _reader(connection: Connection, book: Book, report: Feedback) -> int | None:
    """Say whom a report is about: by our id, and by the address only where there is none."""
    if report.reader is not None:
        return report.reader
    try:
        digest = book.address_hash(read_address(report.address))
    except NewsletterError:
        return None
    found: int | None = connection.scalar(select(reader.c.id).where(reader.c.address_hash == digest))
    return found


def _mailings(connection: Connection, report: Feedback, who: int, now: dt.datetime) -> Sequence[Mailing]:
    """Return the mailings that a report may be about: more than one when it names neither batch nor issue."""
    columns = [mailing_table.c[name] for name in Mailing.__dataclass_fields__]
    has_it = and_(delivery.c.mailing == mailing_table.c.id, delivery.c.reader == who)
    begun = func.coalesce(mailing_table.c.started_at, mailing_table.c.created_at) >= now - BELIEVED_FOR
    query = select(*columns).join(delivery, has_it).where(begun).order_by(mailing_table.c.id)
    if report.issue:
        query = query.where(mailing_table.c.issue == report.issue)
    found = [Mailing(*row) for row in connection.execute(query)]
    return [one for one in found if not report.chunk or report.chunk in _marks(connection, one, who)]


def _marks(connection: Connection, one: Mailing, who: int) -> set[str]:
    """Return the marks that a reader's copy may have left with: its chunk's, in all attempts, or its own."""
    row = _place(connection, one, who)
    keys = {row.idem_key, f"{one.name}/{row.chunk}", f"{one.name}/{who}"}
    keys |= {f"{one.name}/{row.chunk}.{number}" for number in range(row.attempt)}
    return {opaque(key) for key in keys}


def _place(connection: Connection, one: Mailing, who: int) -> AnyRow:
    """Return a reader's chunk, and what the ledger says of the reader alone."""
    here = and_(
        chunk.c.mailing == delivery.c.mailing, delivery.c.seq.between(chunk.c.first, chunk.c.first + chunk.c.n - 1)
    )
    own = and_(exception.c.mailing == delivery.c.mailing, exception.c.reader == delivery.c.reader)
    query = select(
        chunk.c.seq.label("chunk"),
        chunk.c.idem_key,
        chunk.c.attempt,
        chunk.c.state,
        (delivery.c.seq < chunk.c.first + chunk.c.done).label("done"),
        exception.c.kind,
        exception.c.detail,
    ).select_from(delivery.join(chunk, here).outerjoin(exception, own))
    return connection.execute(query.where(delivery.c.mailing == one.id, delivery.c.reader == who)).one()


def _fate(row: AnyRow, report: Feedback) -> Outcome | None:
    """Return the fate that a report gives a reader; None when it says nothing new.

    That a copy left outweighs that it was not sent, whichever is told first.
    """
    refused = report.report is Report.REFUSED
    if row.kind == "unknown" or (row.kind is None and not row.done and row.state in LOST):
        return Outcome.REJECTED if refused else Outcome.ACCEPTED
    by_report = row.kind == "rejected" and row.detail == REPORTED and row.done
    return Outcome.ACCEPTED if by_report and not refused else None


def _settle(connection: Connection, one: Mailing, who: int, report: Feedback, now: dt.datetime) -> bool:
    """Give a reader the fate that a report tells; return whether that changed anything."""
    row = _place(connection, one, who)
    fate = _fate(row, report)
    if fate is None:
        return False
    if row.kind == "rejected":
        own = and_(exception.c.mailing == one.id, exception.c.reader == who)
        connection.execute(delete(exception).where(own))
    elif not inquiry.believe(connection, one, {who: (fate, REPORTED)}, now):
        return False  # a sender has just taken the chunk
    said = {"by": f"a report of {one.provider}", "what": "report", "detail": f"reader {who}: {report.report}"}
    connection.execute(insert(act).values(mailing=one.id, at=now, **said))
    return True


def _end(connection: Connection, book: Book, who: int, list_name: str, report: Feedback, now: dt.datetime) -> bool:
    """End a reader's subscriptions as a report asks for; return whether one ended."""
    status, only = _ending(report, list_name)
    entry = next((entry for _, entry in lookup.fetch(connection, reader.c.id == who)), None)
    if status is None or entry is None or _came_back(entry, report, only):
        return False
    before = [(one.list, one.status) for one in entry.subscriptions]
    filing.end(connection, book.log, entry, status, only, now.replace(microsecond=0))
    after = next(entry for _, entry in lookup.fetch(connection, reader.c.id == who))
    return before != [(one.list, one.status) for one in after.subscriptions]


def _ending(report: Feedback, list_name: str) -> tuple[Status | None, str | None]:
    """Return the status that a report leads to, and on which list: None is all of them."""
    match report.report:
        case Report.BOUNCED:
            return (Status.BOUNCED if report.hard else None), None
        case Report.COMPLAINED:
            return Status.COMPLAINED, None
        case Report.LEFT:
            return Status.LEFT, list_name
        case Report.TAKEN | Report.DELIVERED | Report.REFUSED:
            return None, None
        case _:
            assert_never(report.report)


def _came_back(entry: Entry, report: Feedback, only: str | None) -> bool:
    """Say whether a reader has joined again since what is reported happened, which then says nothing of now."""
    lists = [one for one in entry.subscriptions if only in (None, one.list) and one.status is Status.ACTIVE]
    return report.at is not None and any(one.changed_at > report.at for one in lists)
