"""Asks the carrier about messages that may or may not have left, where it can be asked.

A reader is pending again only when the carrier surely does not have the message: it was asked late enough for its
records to be complete, and early enough for it not to have forgotten.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, and_, exists, func, insert, or_, select, update

from newsletter.database.engine import reading, writing
from newsletter.errors import NewsletterError, TryLaterError
from newsletter.mailing import audience, encode, lease, ledger
from newsletter.mailing.carry import make_batch
from newsletter.mailing.lease import Lease
from newsletter.mailing.ledger import IN_DOUBT, LOST, Mailing
from newsletter.mailing.letters import UNTRIED, Letter, letters_query, read_letters, waiting
from newsletter.mailing.message import Compiler
from newsletter.mailing.outcomes import has, note_fates
from newsletter.mailing.tables import AnyRow, act, attempt, chunk, exception
from newsletter.providers.base import BatchCarrier, Guard, MessageCarrier, Outcome, Provider

NOT_THERE = "the carrier does not have it"

Answers = Mapping[Letter, tuple[Outcome, str]]

_UNKNOWN = letters_query(exception.c.kind == "unknown")
_LOST = letters_query(or_(exception.c.kind == "unknown", UNTRIED))


@dataclass(frozen=True)
class Inquiry:
    """What is needed to ask a carrier about a mailing's readers."""

    engine: Engine
    provider: Provider
    compiler: Compiler
    mailing: Mailing
    held: Lease
    choices: Mapping[int, frozenset[int]]


def reconcile(inquiry: Inquiry, now: dt.datetime) -> int:
    """Ask the carrier about every unknown reader and write down what it says; return how many it knew of.

    What it cannot say stays unknown.
    """
    known = 0
    with reading(inquiry.engine) as connection:
        rows = _doubtful(connection, inquiry.mailing)
    for row in rows:
        with reading(inquiry.engine) as connection:
            letters = _letters_in_doubt(connection, row, inquiry.mailing, inquiry.choices)
        answers = _ask(inquiry, row, letters, now)
        known += len(answers)
        if answers:
            with writing(inquiry.engine) as connection:
                lease.renew(connection, inquiry.held, now)
                if _is_as_it_was(connection, row):
                    _resolve(connection, row, letters, answers, now)
                ledger.mark_finished(connection, inquiry.mailing.id, now)
    return known + _reconcile_leavers(inquiry, now)


def _reconcile_leavers(inquiry: Inquiry, now: dt.datetime) -> int:
    """Find the copies of readers who left after an interruption, of a carrier that is simply given the others again."""
    provider, known = inquiry.provider, 0
    if not isinstance(provider, MessageCarrier) or provider.guard is not Guard.REPEATABLE:
        return known
    with reading(inquiry.engine) as connection:
        rows = _interrupted(connection, inquiry.mailing)
    for row in rows:
        with reading(inquiry.engine) as connection:
            found = waiting(connection, row, inquiry.mailing, inquiry.choices)
        leavers = [letter for letter, why_not in found if why_not and encode.unreachable(letter.address) is None]
        asked = _ask_one_by_one(inquiry.compiler, provider, leavers)
        there = {letter: fate for letter, fate in asked.items() if fate[0] is Outcome.ACCEPTED}
        if there:
            with writing(inquiry.engine) as connection:
                lease.renew(connection, inquiry.held, now)
                if not _is_as_it_was(connection, row):
                    continue
                others = dict.fromkeys((letter for letter, _ in found), (Outcome.DEFERRED, row.last_error))
                _settle(connection, row, others | there, now)
        known += len(there)
    return known


def take_word(engine: Engine, one: Mailing, verdicts: Mapping[int, bool], by: str, now: dt.datetime) -> int:
    """Believe a person who knows of unknown readers whether they have their copy; return how many there were.

    Who has it is accepted, who has not is pending again. Raises NewsletterError for a reader who is not unknown.
    """
    with writing(engine) as connection:
        everybody = {number: frozenset[int]() for number in audience.choices(connection, one.id)}
        doubted = [(row, _letters_in_doubt(connection, row, one, everybody)) for row in _doubtful(connection, one)]
        strangers = verdicts.keys() - {letter.reader for _, letters in doubted for letter in letters}
        if strangers:
            listed = ", ".join(map(str, sorted(strangers)))
            raise NewsletterError(f"{one.name}: not unknown: {listed}; 'newsletter status {one.name}' lists who is")
        for row, letters in doubted:
            told = {letter: _verdict(verdicts[letter.reader], by) for letter in letters if letter.reader in verdicts}
            if told and not _is_as_it_was(connection, row):
                raise TryLaterError(f"{one.name}: somebody is settling the same readers right now; say it again")
            if told:
                _resolve(connection, row, letters, told, now)
        for reader, has_it in sorted(verdicts.items()):
            detail = f"reader {reader} {'has it' if has_it else 'has it not'}"
            connection.execute(insert(act).values(mailing=one.id, at=now, by=by, what="reconcile", detail=detail))
        ledger.mark_finished(connection, one.id, now)
    return len(verdicts)


def believe(
    connection: Connection, one: Mailing, fates: Mapping[int, tuple[Outcome, str]], now: dt.datetime
) -> frozenset[int]:
    """Write what became of unknown readers, in a transaction that goes on; return who was unknown, and is no more."""
    everybody = {number: frozenset[int]() for number in audience.choices(connection, one.id)}
    settled: set[int] = set()
    for row in _doubtful(connection, one):
        letters = _letters_in_doubt(connection, row, one, everybody)
        told = {letter: fates[letter.reader] for letter in letters if letter.reader in fates}
        if told and _is_as_it_was(connection, row):
            _resolve(connection, row, letters, told, now)
            settled |= {letter.reader for letter in told}
    ledger.mark_finished(connection, one.id, now)
    return frozenset(settled)


def _verdict(has_it: bool, by: str) -> tuple[Outcome, str]:
    return (Outcome.ACCEPTED, "") if has_it else (Outcome.DEFERRED, f"{NOT_THERE}, says {by}")


def _interrupted(connection: Connection, mailing: Mailing) -> Sequence[AnyRow]:
    """Return the chunks that wait to be repeated."""
    last = and_(
        attempt.c.mailing == chunk.c.mailing, attempt.c.chunk == chunk.c.seq, attempt.c.number == chunk.c.attempt
    )
    return connection.execute(
        select(chunk)
        .join(attempt, last)
        .where(chunk.c.mailing == mailing.id, chunk.c.state == "ready", attempt.c.outcome == IN_DOUBT)
        .order_by(chunk.c.first)
    ).all()


def _doubtful(connection: Connection, mailing: Mailing) -> Sequence[AnyRow]:
    """Return the chunks with unknown readers that nobody is sending."""
    here = and_(exception.c.mailing == chunk.c.mailing, exception.c.chunk == chunk.c.seq)
    tries = and_(attempt.c.mailing == chunk.c.mailing, attempt.c.chunk == chunk.c.seq)
    first_left = select(func.min(attempt.c.started_at)).where(tries).scalar_subquery()
    last_left = select(func.max(attempt.c.ended_at)).where(tries).scalar_subquery()
    return connection.execute(
        select(chunk, first_left.label("first_left"), last_left.label("last_left"))
        .where(chunk.c.mailing == mailing.id, chunk.c.state != "sending")
        .where(or_(chunk.c.state.in_(LOST), exists().where(here, exception.c.kind == "unknown")))
        .order_by(chunk.c.first)
    ).all()


def _is_as_it_was(connection: Connection, row: AnyRow) -> bool:
    """Say whether nobody has claimed or settled a chunk since it was read, and keep it so for this transaction."""
    query = select(chunk.c.state, chunk.c.attempt, chunk.c.done)
    query = query.where(chunk.c.mailing == row.mailing, chunk.c.seq == row.seq).with_for_update()
    return connection.execute(query).one() == (row.state, row.attempt, row.done)


def _letters_in_doubt(
    connection: Connection, row: AnyRow, mailing: Mailing, choices: Mapping[int, frozenset[int]]
) -> list[Letter]:
    found = read_letters(connection, row, mailing, choices, _LOST if row.state in LOST else _UNKNOWN)
    return [letter for letter, _ in found]


def _ask(inquiry: Inquiry, row: AnyRow, letters: Sequence[Letter], now: dt.datetime) -> Answers:
    """Return what the carrier surely knows; a reader whose address is gone from the book cannot be asked about."""
    provider = inquiry.provider
    askable = [letter for letter in letters if encode.unreachable(letter.address) is None]
    if isinstance(provider, MessageCarrier):
        return _ask_one_by_one(inquiry.compiler, provider, askable)
    if not isinstance(provider, BatchCarrier) or not askable:
        return {}
    found = provider.lookup(make_batch(inquiry.compiler, provider, row.idem_key, askable))
    if found is None:
        return {}
    answers = {letter: (found[letter.reader], "") for letter in askable if letter.reader in found}
    waited = (now - row.last_left).total_seconds()
    if waited >= provider.lag and (now - row.first_left).total_seconds() <= provider.memory:
        absent = [letter for letter in askable if letter not in answers]
        answers |= dict.fromkeys(absent, (Outcome.DEFERRED, NOT_THERE))
    return answers


def _ask_one_by_one(compiler: Compiler, provider: MessageCarrier, letters: Sequence[Letter]) -> Answers:
    answers: dict[Letter, tuple[Outcome, str]] = {}
    for letter in letters:
        there = provider.knows(compiler.compose(letter.reader, letter.address, letter.name, letter.chosen))
        if there is not None:
            answers[letter] = (Outcome.ACCEPTED, "") if there else (Outcome.DEFERRED, NOT_THERE)
    return answers


def _resolve(
    connection: Connection, row: AnyRow, letters: Sequence[Letter], answers: Answers, now: dt.datetime
) -> None:
    """Write answers down. In a chunk that is unknown as a whole, whoever stays so gets an exception."""
    fates = dict(answers)
    if row.state in LOST:
        for letter in letters:
            fates.setdefault(letter, (Outcome.UNKNOWN, row.last_error))
    _settle(connection, row, fates, now, whole=row.state in LOST)


def _settle(connection: Connection, row: AnyRow, fates: Answers, now: dt.datetime, *, whole: bool = True) -> None:
    """Write down what became of readers; if they are the `whole` rest of a chunk, it is settled with that."""
    note_fates(connection, row.mailing, row.seq, fates, now)
    values: dict[str, object] = {"done": row.n, "state": "accepted"} if whole else {}
    if has(connection, row.mailing, row.seq, "deferred"):
        values["state"] = "ready"
    if values:
        connection.execute(update(chunk).where(chunk.c.mailing == row.mailing, chunk.c.seq == row.seq).values(**values))
