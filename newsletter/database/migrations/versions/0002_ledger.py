"""The ledger: mailings, their frozen audiences, and what became of every reader.

Written out and not taken from the tables of today, because a migration must do the same for ever.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002_ledger"
down_revision = "0001_book"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; newsletter/mailing/tables.py says what each column means."""
    _audience()
    _senders()
    _chunks()
    _outcomes()


def _audience() -> None:
    op.create_table(
        "mailing",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(130), nullable=False, unique=True),
        sa.Column("issue", sa.String(81), nullable=False),
        sa.Column("list", sa.String(41), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("provider", sa.String(40), nullable=False),
        sa.Column("carrier_place", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("started_at", sa.DateTime()),
        sa.Column("finished_at", sa.DateTime()),
        sa.UniqueConstraint("issue", "list", "kind", name="mailing_once"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "variant",
        sa.Column("mailing", sa.Integer(), sa.ForeignKey("mailing.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("follows", sa.Text(), primary_key=True),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("chosen", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "delivery",
        sa.Column("mailing", sa.Integer(), sa.ForeignKey("mailing.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("seq", sa.Integer(), primary_key=True),
        sa.Column("reader", sa.Integer(), nullable=False),
        sa.Column("variant", sa.Integer(), nullable=False),
        sa.UniqueConstraint("mailing", "reader", name="delivery_once"),
        sqlite_with_rowid=False,
    )


def _senders() -> None:
    op.create_table(
        "sender",
        sa.Column("owner", sa.String(32), primary_key=True),
        sa.Column(
            "mailing", sa.Integer(), sa.ForeignKey("mailing.id", ondelete="CASCADE"), nullable=False, unique=True
        ),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("boot", sa.String(64), nullable=False),
        sa.Column("space", sa.String(64), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("born", sa.String(32), nullable=False),
        sa.Column("since", sa.DateTime(), nullable=False),
        sa.Column("lease_until", sa.DateTime(), nullable=False),
        sqlite_with_rowid=False,
    )


def _chunks() -> None:
    op.create_table(
        "chunk",
        sa.Column("mailing", sa.Integer(), sa.ForeignKey("mailing.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("seq", sa.Integer(), primary_key=True),
        sa.Column("first", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("flight", sa.Integer()),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("token", sa.String(32)),
        sa.Column("owner", sa.String(32)),
        sa.Column("lease_until", sa.DateTime()),
        sa.Column("not_before", sa.DateTime()),
        sa.Column("idem_key", sa.String(160), nullable=False, unique=True),
        sa.Column("provider_ref", sa.Text(), nullable=False),
        sa.Column("payload_sha256", sa.String(64), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.CheckConstraint("state IN ('ready', 'sending', 'accepted', 'unknown', 'held')", name="chunk_state"),
        sa.CheckConstraint(
            "(state = 'sending') = (token IS NOT NULL) AND (state = 'sending') = (owner IS NOT NULL)"
            " AND (state = 'sending') = (lease_until IS NOT NULL) AND (flight IS NULL OR state = 'sending')",
            name="chunk_sending_has_token_and_lease",
        ),
        sa.CheckConstraint("done BETWEEN 0 AND n AND n > 0 AND (state <> 'accepted' OR done = n)", name="chunk_done"),
        sqlite_with_rowid=False,
    )
    op.create_index("chunk_of_a_state", "chunk", ["mailing", "state", "first"])


def _outcomes() -> None:
    op.create_table(
        "attempt",
        sa.Column("token", sa.String(32), primary_key=True),
        sa.Column("mailing", sa.Integer(), nullable=False),
        sa.Column("chunk", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("readers", sa.Integer(), nullable=False),
        sa.Column("payload_sha256", sa.String(64), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("ended_at", sa.DateTime()),
        sa.Column("outcome", sa.String(12), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["mailing", "chunk"], ["chunk.mailing", "chunk.seq"], ondelete="CASCADE"),
        sqlite_with_rowid=False,
    )
    op.create_index("attempt_of_a_chunk", "attempt", ["mailing", "chunk"])
    op.create_table(
        "exception",
        sa.Column("mailing", sa.Integer(), primary_key=True),
        sa.Column("reader", sa.Integer(), primary_key=True),
        sa.Column("chunk", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("taken_back", sa.Boolean(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["mailing", "chunk"], ["chunk.mailing", "chunk.seq"], ondelete="CASCADE"),
        sa.CheckConstraint("kind IN ('rejected', 'left', 'unknown', 'deferred')", name="exception_kind"),
        sqlite_with_rowid=False,
    )
    op.create_index("exception_of_a_chunk", "exception", ["mailing", "chunk", "seq"])


def downgrade() -> None:
    """Refuse: going back would forget who got which issue; a backup is the way back."""
    raise RuntimeError("the ledger is never thrown away by a migration")
