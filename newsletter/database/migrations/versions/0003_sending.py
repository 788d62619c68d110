"""Sending by several at once: the state of a mailing, workers, rates, approvals, the schedule, what people did.

Written out and not taken from the tables of today, because a migration must do the same for ever.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003_sending"
down_revision = "0002_ledger"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; newsletter/mailing/tables.py says what each column means."""
    op.add_column("mailing", sa.Column("state", sa.String(12), nullable=False, server_default="sending"))
    op.add_column("mailing", sa.Column("reason", sa.Text(), nullable=False, server_default=""))
    op.add_column("chunk", sa.Column("doubt_since", sa.DateTime()))
    op.add_column("chunk", sa.Column("server", sa.String(40), nullable=False, server_default=""))
    op.create_table(
        "worker",
        sa.Column("owner", sa.String(32), primary_key=True),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("boot", sa.String(64), nullable=False),
        sa.Column("space", sa.String(64), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("born", sa.String(32), nullable=False),
        sa.Column("since", sa.DateTime(), nullable=False),
        sa.Column("lease_until", sa.DateTime(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rate",
        sa.Column("name", sa.String(300), primary_key=True),
        sa.Column("tat", sa.Float(), nullable=False),
        sqlite_with_rowid=False,
    )
    _people()


def _people() -> None:
    op.create_table(
        "approval",
        sa.Column("issue", sa.String(81), primary_key=True),
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("person", sa.String(200), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tested",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("list", sa.String(41), primary_key=True),
        sa.Column("at", sa.DateTime(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "schedule",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("issue", sa.String(81), nullable=False),
        sa.Column("list", sa.String(41), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("zone", sa.String(64), nullable=False),
        sa.Column("by_reader", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.CheckConstraint("state IN ('waiting', 'done', 'refused', 'cancelled')", name="schedule_state"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "act",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("mailing", sa.Integer(), sa.ForeignKey("mailing.id", ondelete="CASCADE"), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("what", sa.String(20), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("act_of_a_mailing", "act", ["mailing"])


def downgrade() -> None:
    """Refuse: going back would forget who got which issue; a backup is the way back."""
    raise RuntimeError("the ledger is never thrown away by a migration")
