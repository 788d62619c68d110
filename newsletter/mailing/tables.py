"""The tables of the ledger. Nothing is written for a reader whose message was accepted like the rest of its chunk.

The law: audience = accepted + rejected + left + unknown + pending. A delivery is told by its chunk and its place in it:
the first `done` places of a chunk are accepted, the rest is pending (unknown, in a chunk that is), and whoever fared
otherwise has an exception.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from newsletter.database.columns import Moment

metadata = MetaData()

AnyRow: TypeAlias = Row[*tuple[Any, ...]]  # its columns are read by name

# name: '<slug>-<list>', what editors call it; digest: of the edition that was frozen; provider: the carrier's name;
# carrier_place: where it can be asked what it has, or a message be repeated; finished_at: when nothing was pending any
# more. state: sending, paused, stopped (by what a carrier said) or cancelled; reason: who or what brought it there.
mailing = Table(
    "mailing",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(130), nullable=False, unique=True),
    Column("issue", String(81), nullable=False),
    Column("list", String(41), nullable=False),
    Column("kind", String(12), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("provider", String(40), nullable=False),
    Column("carrier_place", Text, nullable=False, default=""),
    Column("created_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("finished_at", Moment),
    Column("state", String(12), nullable=False, default="sending", server_default="sending"),
    Column("reason", Text, nullable=False, default="", server_default=""),
    UniqueConstraint("issue", "list", "kind", name="mailing_once"),
    sqlite_autoincrement=True,
)

# Which numbers of subjects a copy holds ("0 3 5"), for every text of followed keys in the frozen audience. Several
# texts may lead to the same choice, and then share its number.
variant = Table(
    "variant",
    metadata,
    Column("mailing", Integer, ForeignKey("mailing.id", ondelete="CASCADE"), primary_key=True),
    Column("follows", Text, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("chosen", Text, nullable=False),
    sqlite_with_rowid=False,
)

# The frozen audience, written once. seq counts from 0 without a gap; reader has no foreign key, so that erasing a
# reader leaves the count as it was.
delivery = Table(
    "delivery",
    metadata,
    Column("mailing", Integer, ForeignKey("mailing.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("reader", Integer, nullable=False),
    Column("variant", Integer, nullable=False),
    UniqueConstraint("mailing", "reader", name="delivery_once"),
    sqlite_with_rowid=False,
)


def _process() -> tuple[Column[Any], ...]:
    """Return the columns that tell one process from all others, and how long its word holds."""
    return (
        Column("host", String(255), nullable=False),
        Column("boot", String(64), nullable=False),
        Column("space", String(64), nullable=False),
        Column("pid", Integer, nullable=False),
        Column("born", String(32), nullable=False),
        Column("since", Moment, nullable=False),
        Column("lease_until", Moment, nullable=False),
    )


# Who is sending, or died while sending. host, boot, space, pid and born tell one process from all others (lease.py).
sender = Table(
    "sender",
    metadata,
    Column("owner", String(32), primary_key=True),
    Column("mailing", Integer, ForeignKey("mailing.id", ondelete="CASCADE"), nullable=False, unique=True),
    *_process(),
    sqlite_with_rowid=False,
)

# Who works on whatever mailing is being sent, beside its sender; the columns as above.
worker = Table(
    "worker",
    metadata,
    Column("owner", String(32), primary_key=True),
    *_process(),
    sqlite_with_rowid=False,
)

# A run of deliveries, from seq `first` on, n of them. flight, server: flight.py says what they tell.
# not_before: when a chunk that was put off may be tried again. doubt_since: when the first request left that may have
# been taken, of a carrier that takes the same key again.
chunk = Table(
    "chunk",
    metadata,
    Column("mailing", Integer, ForeignKey("mailing.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("first", Integer, nullable=False),
    Column("n", Integer, nullable=False),
    Column("done", Integer, nullable=False, default=0),
    Column("flight", Integer),
    Column("state", String(12), nullable=False, default="ready"),
    Column("attempt", Integer, nullable=False, default=0),
    Column("token", String(32)),
    Column("owner", String(32)),
    Column("lease_until", Moment),
    Column("not_before", Moment),
    Column("doubt_since", Moment),
    Column("server", String(40), nullable=False, default="", server_default=""),
    Column("idem_key", String(160), nullable=False, unique=True),
    Column("provider_ref", Text, nullable=False, default=""),
    Column("payload_sha256", String(64), nullable=False, default=""),
    Column("last_error", Text, nullable=False, default=""),
    CheckConstraint("state IN ('ready', 'sending', 'accepted', 'unknown', 'held')", name="chunk_state"),
    CheckConstraint(
        "(state = 'sending') = (token IS NOT NULL) AND (state = 'sending') = (owner IS NOT NULL)"
        " AND (state = 'sending') = (lease_until IS NOT NULL) AND (flight IS NULL OR state = 'sending')",
        name="chunk_sending_has_token_and_lease",
    ),
    CheckConstraint("done BETWEEN 0 AND n AND n > 0 AND (state <> 'accepted' OR done = n)", name="chunk_done"),
    Index("chunk_of_a_state", "mailing", "state", "first"),
    sqlite_with_rowid=False,
)

# Every claim of a chunk, with how it ended: "" while it is under way, or when its sender died.
attempt = Table(
    "attempt",
    metadata,
    Column("token", String(32), primary_key=True),
    Column("mailing", Integer, nullable=False),
    Column("chunk", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("readers", Integer, nullable=False),
    Column("payload_sha256", String(64), nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("outcome", String(12), nullable=False, default=""),
    Column("detail", Text, nullable=False, default=""),
    ForeignKeyConstraint(["mailing", "chunk"], ["chunk.mailing", "chunk.seq"], ondelete="CASCADE"),
    Index("attempt_of_a_chunk", "mailing", "chunk"),
    sqlite_with_rowid=False,
)

# deferred: was put off by the carrier and is pending again; unknown: may or may not have left, and is not sent again.
# taken_back: the carrier refused this reader once, in a row with others, and the refusal was not believed.
exception = Table(
    "exception",
    metadata,
    Column("mailing", Integer, primary_key=True),
    Column("reader", Integer, primary_key=True),
    Column("chunk", Integer, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("kind", String(12), nullable=False),
    Column("detail", Text, nullable=False),
    Column("taken_back", Boolean, nullable=False, default=False),
    Column("at", Moment, nullable=False),
    ForeignKeyConstraint(["mailing", "chunk"], ["chunk.mailing", "chunk.seq"], ondelete="CASCADE"),
    CheckConstraint("kind IN ('rejected', 'left', 'unknown', 'deferred')", name="exception_kind"),
    Index("exception_of_a_chunk", "mailing", "chunk", "seq"),
    sqlite_with_rowid=False,
)

# How fast a carrier or a recipient's domain may be sent to (GCRA): the theoretical arrival time of the next call, in
# seconds since 1970 on the senders' clock. 'hold/…' rows keep everybody from a carrier that asked for patience.
rate = Table(
    "rate",
    metadata,
    Column("name", String(300), primary_key=True),
    Column("tat", Float, nullable=False),
    sqlite_with_rowid=False,
)

# Who said yes to exactly this: the digest is of source, templates, settings and rendered bytes.
approval = Table(
    "approval",
    metadata,
    Column("issue", String(81), primary_key=True),
    Column("digest", String(64), primary_key=True),
    Column("person", String(200), primary_key=True),  # folded, so that "Ann" and "ann " are one
    Column("name", Text, nullable=False),
    Column("at", Moment, nullable=False),
    sqlite_with_rowid=False,
)

# Which digest was sent as a test, on behalf of which list.
tested = Table(
    "tested",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("list", String(41), primary_key=True),
    Column("at", Moment, nullable=False),
    sqlite_with_rowid=False,
)

# What is to be sent later. zone: IANA name in which the moment was said; by_reader: each reader has it at that time of
# their own day. state: waiting, done, refused or cancelled.
schedule = Table(
    "schedule",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("issue", String(81), nullable=False),
    Column("list", String(41), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("at", Moment, nullable=False),
    Column("zone", String(64), nullable=False),
    Column("by_reader", Boolean, nullable=False, default=False),
    Column("state", String(12), nullable=False, default="waiting"),
    Column("reason", Text, nullable=False, default=""),
    Column("made_at", Moment, nullable=False),
    Column("made_by", Text, nullable=False, default=""),
    CheckConstraint("state IN ('waiting', 'done', 'refused', 'cancelled')", name="schedule_state"),
    sqlite_autoincrement=True,
)

# What people did to a mailing: paused, resumed, cancelled, said that a reader has it.
act = Table(
    "act",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("mailing", Integer, ForeignKey("mailing.id", ondelete="CASCADE"), nullable=False),
    Column("at", Moment, nullable=False),
    Column("by", Text, nullable=False),
    Column("what", String(20), nullable=False),
    Column("detail", Text, nullable=False, default=""),
    Index("act_of_a_mailing", "mailing"),
    sqlite_autoincrement=True,
)
