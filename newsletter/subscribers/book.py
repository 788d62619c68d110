"""The readers' book: who is on which list, what they follow, and who must not be mailed.

Its tables, with the one statement that says who may be mailed, are in tables.py and can be imported from here.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hmac
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Engine, delete, exists, func, insert, select

from newsletter.database.engine import alone, drop_old_pages, file_of, reading, writing
from newsletter.errors import NewsletterError
from newsletter.subscribers import consent, enrolment, filing, lookup
from newsletter.subscribers.addresses import Address, read_address
from newsletter.subscribers.consent import ConsentLog, Record
from newsletter.subscribers.enrolment import Candidate
from newsletter.subscribers.model import Change, Entry, Reason, Status, Suppressed
from newsletter.subscribers.names import read_language, read_name, read_timezone, shown
from newsletter.subscribers.tables import reader, seal, subscription, suppression
from newsletter.subscribers.tokens import derive

__all__ = ["Added", "Book", "reader", "subscription", "suppression"]

_PAGE = 500
_GREATEST_ID = 2**31 - 1
_ADDRESS_KEY = "address-key"


@dataclass(frozen=True)
class Added:
    """What became of a reader who was added. `hints` are for a person to judge: 'did you mean gmail.com?'."""

    entry: Entry
    change: Change
    hints: tuple[str, ...] = ()


class Book:
    """The readers of one project.

    `clock` gives the time in UTC; `secret` is the project's. Addresses of erased readers are remembered only by a hash
    under that secret, so a database opened with another one is refused: it would mail people who must not be mailed.
    """

    def __init__(self, engine: Engine, clock: Callable[[], dt.datetime], secret: bytes) -> None:
        self.engine = engine
        self.log = ConsentLog(secret)
        self._clock = clock
        self._key = derive(secret, "address")
        self._be_sealed()

    def now(self) -> dt.datetime:
        """Return the time, to the second: nobody needs to know more about a reader."""
        return self._clock().replace(microsecond=0)

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Write in one transaction, with nobody else writing to the book until it ends. Raises as `engine.writing`."""
        with writing(self.engine) as connection:
            alone(connection, consent.BOOK)
            yield connection

    def address_hash(self, address: Address) -> bytes:
        """Return the 32 bytes that stand for an address, the same for all its spellings."""
        return hmac.digest(self._key, address.folded.encode(), "sha256")

    def add(  # noqa: PLR0913 - one argument for each thing a form asks
        self,
        address: str,
        *,
        list_name: str,
        consent_note: str,
        name: str = "",
        language: str = "",
        timezone: str = "",
        follows: Iterable[str] | None = None,
        status: Status = Status.ACTIVE,
        dry_run: bool = False,
    ) -> Added:
        """Put a person on a list, or bring them up to date; somebody who left comes back, with this consent.

        `follows` are keys (None leaves what was followed), `consent_note` says where consent came from.
        With `dry_run` the answer is the same, and nothing is kept. Raises AddressError, and NewsletterError for an
        address that must not be mailed, a missing note, a bad name or time zone.
        """
        accepted = read_address(address)
        note = required_note(consent_note)
        keys = None if follows is None else tuple(sorted(set(follows)))
        digest = self.address_hash(accepted)
        said = (read_name(name), read_language(language), read_timezone(timezone))
        candidate = Candidate(accepted.text, digest, note, *said, keys, Status(status))
        with self.writing() as connection:
            known = lookup.known(connection, [digest]).get(digest)
            suppressed = known.suppressed if isinstance(known, Entry) else known
            if suppressed:
                why = enrolment.why_suppressed(suppressed)
                raise NewsletterError(f"{shown(accepted.text)} {why} and must not be mailed; not added")
            entry = known if isinstance(known, Entry) else None
            move = enrolment.by_hand(candidate, entry, list_name, self.now())
            filing.file_moves(connection, self.log, [move], self.now())
            after = self._required(self._found(connection, accepted.text), accepted.text)
            if dry_run:
                connection.rollback()
        return Added(after, move.change, accepted.hints)

    def find(self, who: str | int) -> Entry | None:
        """Return the reader with an address or an id, or None. Raises AddressError for what is neither."""
        with reading(self.engine) as connection:
            return self._found(connection, who)

    def show(self, who: str | int) -> Entry:
        """Return the reader with an address or an id. Raises NewsletterError when there is none."""
        return self._required(self.find(who), who)

    def entries(self, list_name: str | None = None, status: Status | None = None) -> Iterator[Entry]:
        """Go through the readers by id, in pages, so that memory stays low and writers need not wait.

        With a list only its readers, also those who left it; with a status only those who have it there (or overall).
        """
        last = 0
        while True:
            where = reader.c.id > last
            if list_name is not None:
                mine = (subscription.c.reader == reader.c.id) & (subscription.c.list == list_name)
                where &= exists().where(mine if status is None else mine & (subscription.c.status == status.value))
            with reading(self.engine) as connection:
                page = [entry for _, entry in lookup.fetch(connection, where, _PAGE)]
            yield from (entry for entry in page if status in (None, entry.status(list_name)))
            if len(page) < _PAGE:
                return
            last = page[-1].reader.id

    def counts(self) -> Mapping[str, Mapping[Status, int]]:
        """Count the readers of each list by status; a suppressed address counts under its status as well."""
        query = select(subscription.c.list, subscription.c.status, func.count()).group_by(
            subscription.c.list, subscription.c.status
        )
        found: dict[str, Counter[Status]] = {}
        with reading(self.engine) as connection:
            for list_name, status, number in connection.execute(query):
                found.setdefault(list_name, Counter())[Status(status)] = number
        return dict(sorted(found.items()))

    def follow(self, who: str | int, list_name: str, keys: Iterable[str]) -> Entry:
        """Set what a reader follows on a list; no keys means everything. Raises NewsletterError."""
        follows = tuple(sorted(set(keys)))
        with self.writing() as connection:
            entry = self._required(self._found(connection, who), who)
            before = entry.on(list_name)
            if before is None:
                raise NewsletterError(f"{entry.reader.address} is not on the list '{list_name}'")
            row = filing.row_of(entry.reader.id, replace(before, follows=follows))
            filing.file_subscriptions(connection, [row])
            return self._required(self._found(connection, entry.reader.id), who)

    def leave(self, who: str | int, list_name: str | None = None) -> Entry:
        """Take a reader off a list (or all), for good; doing it twice changes nothing. Raises NewsletterError."""
        return self._end(who, Status.LEFT, list_name)

    def bounced(self, who: str | int) -> Entry:
        """Note that mail to a reader cannot arrive: no list mails them any more."""
        return self._end(who, Status.BOUNCED)

    def complained(self, who: str | int) -> Entry:
        """Note that a reader reported our mail as unwanted: no list ever mails them again."""
        return self._end(who, Status.COMPLAINED)

    def suppress(self, address: str) -> None:
        """Keep an address, known or not, from ever being mailed or imported."""
        digest = self.address_hash(read_address(address))
        with self.writing() as connection:
            if filing.suppress(connection, digest, Suppressed(Reason.MANUAL, self.now())):
                self.log.append(connection, [Record(self.now(), "suppressed", "", digest, "")])

    def unsuppress(self, address: str, note: str) -> bool:
        """Let an address be added again; `note` says who asked for it. Returns whether it was suppressed."""
        digest, evidence = self.address_hash(read_address(address)), required_note(note)
        with self.writing() as connection:
            gone = connection.execute(delete(suppression).where(suppression.c.address_hash == digest)).rowcount
            if gone:
                self.log.append(connection, [Record(self.now(), "unsuppressed", "", digest, evidence)])
        return bool(gone)

    def suppressed(self, address: str) -> Suppressed | None:
        """Say whether an address must not be mailed, and why."""
        digest = self.address_hash(read_address(address))
        with reading(self.engine) as connection:
            row = connection.execute(select(suppression).where(suppression.c.address_hash == digest)).first()
        return Suppressed(Reason(row.reason), row.at) if row else None

    def remove(self, who: str | int) -> Entry:
        """Erase a reader: every trace but the keyed hash that keeps the address from being mailed again.

        Returns what was erased. Raises NewsletterError when there is no such reader.
        """
        with self.writing() as connection:
            entry = self._required(self._found(connection, who), who)
            digest = connection.scalars(select(reader.c.address_hash).where(reader.c.id == entry.reader.id)).one()
            connection.execute(delete(reader).where(reader.c.id == entry.reader.id))
            filing.suppress(connection, digest, Suppressed(Reason.ERASED, self.now()))
            self.log.append(connection, [Record(self.now(), consent.ERASED, "", digest, "")])
            self.log.forget(connection, digest)
        drop_old_pages(self.engine, "reader", "subscription", "consent")
        return entry

    def _end(self, who: str | int, status: Status, list_name: str | None = None) -> Entry:
        with self.writing() as connection:
            entry = self._required(self._found(connection, who), who)
            if list_name is not None and entry.on(list_name) is None:
                raise NewsletterError(f"{entry.reader.address} is not on the list '{list_name}'")
            filing.end(connection, self.log, entry, status, list_name, self.now())
            return self._required(self._found(connection, entry.reader.id), who)

    def _found(self, connection: Connection, who: str | int) -> Entry | None:
        if isinstance(who, int) or (who.isdecimal() and len(who) < 19):
            where = reader.c.id == int(who)
            if int(who) > _GREATEST_ID:  # more than the column of a server takes
                return None
        else:
            where = reader.c.address_hash == self.address_hash(read_address(who))
        return next((entry for _, entry in lookup.fetch(connection, where)), None)

    @staticmethod
    def _required(entry: Entry | None, who: str | int) -> Entry:
        if entry is None:
            raise NewsletterError(f"there is no reader '{shown(str(who))}'")
        return entry

    def _be_sealed(self) -> None:
        mine = hmac.digest(self._key, b"seal", "sha256")
        query = select(seal.c.value).where(seal.c.name == _ADDRESS_KEY)
        with reading(self.engine) as connection:
            found = connection.scalar(query)
        if found is None:
            with self.writing() as connection:
                found = connection.scalar(query)
                if found is None:
                    connection.execute(insert(seal), [{"name": _ADDRESS_KEY, "value": mine}])
                    return
        if not hmac.compare_digest(found, mine):
            raise NewsletterError(
                f"{file_of(self.engine)}: this database was made with another secret; put that one back where"
                " newsletter.yaml names it, or everybody who was erased could be mailed again"
            )


def required_note(note: str) -> str:
    """Accept the words that say where consent came from. Raises NewsletterError when there are none."""
    words = " ".join(note.split())
    if not words:
        raise NewsletterError("say where consent came from: --consent 'signed up at the May conference'")
    return words
