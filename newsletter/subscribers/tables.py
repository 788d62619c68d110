"""The tables of the readers' book, for the book, the consent log and whoever forms an audience from them.

Who may be mailed on a list is this and no more (the anti-join is by hash, because an erased reader leaves only that):

    SELECT reader.id, reader.address, reader.name, reader.language, subscription.follows
    FROM subscription JOIN reader ON reader.id = subscription.reader
    WHERE subscription.list = :list AND subscription.status = 'active'
      AND NOT EXISTS (SELECT 1 FROM suppression WHERE suppression.address_hash = reader.address_hash)
    ORDER BY reader.id

Other tables hold a reader's id as a plain number without a foreign key: erasing a reader must not touch the ledger's
counts, and an id is never given twice (AUTOINCREMENT, a sequence), so that an old link opens nobody else's page.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

from newsletter.database.columns import Moment

metadata = MetaData()

# address: as the reader writes it, domain in lower case; address_hash: 32 bytes, HMAC-SHA256 of its folded form, so
# that this one index also holds "one reader per address"; language: BCP 47, "" means the newsletter's; timezone: its
# IANA name, "" when it is not known.
reader = Table(
    "reader",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("address", Text, nullable=False),
    Column("address_hash", LargeBinary(32), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("language", String(35), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("timezone", String(64), nullable=False, default=""),
    sqlite_autoincrement=True,
)

# follows: keys of countries, regions and subjects, sorted, with one space between; "" means everything.
# joined_at: the first opt-in, which no import moves; changed_at: when the status became what it is.
subscription = Table(
    "subscription",
    metadata,
    Column("reader", Integer, ForeignKey("reader.id", ondelete="CASCADE"), primary_key=True),
    Column("list", String(41), primary_key=True),
    Column("status", String(12), nullable=False),
    Column("follows", Text, nullable=False),
    Column("joined_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    CheckConstraint("status IN ('pending', 'active', 'bounced', 'left', 'complained')", name="subscription_status"),
    Index("subscription_of_a_list", "list", "status", "reader"),
    sqlite_with_rowid=False,
)

# An address that must not be mailed on any list, whether or not there is a reader with it.
suppression = Table(
    "suppression",
    metadata,
    Column("address_hash", LargeBinary(32), primary_key=True),
    Column("reason", String(12), nullable=False),
    Column("at", Moment, nullable=False),
    CheckConstraint("reason IN ('bounced', 'manual', 'complained', 'erased')", name="suppression_reason"),
    sqlite_with_rowid=False,
)

# The log that is only appended to: consent.py says how a changed row is found.
consent = Table(
    "consent",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    Column("action", String(20), nullable=False),
    Column("list", String(41), nullable=False),
    Column("address_hash", LargeBinary(32), nullable=False),
    Column("evidence", Text, nullable=True),
    Column("evidence_hash", LargeBinary(32), nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Index("consent_of_a_reader", "address_hash"),
)

# Values that bind the database to the project's secret: "address-key" and "consent-end".
seal = Table(
    "seal",
    metadata,
    Column("name", String(20), primary_key=True),
    Column("value", LargeBinary(32), nullable=False),
)
