"""The readers' book: readers, subscriptions, suppressions, the consent log.

Written out and not taken from the tables of today, because a migration must do the same for ever.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001_book"
down_revision = None
branch_labels = None
depends_on = None

# The log is appended to. Only the words of an erased reader's consent may go, and nothing may come in their place.
_SQLITE_TRIGGERS = (
    """
CREATE TRIGGER consent_is_never_deleted BEFORE DELETE ON consent
BEGIN SELECT RAISE(ABORT, 'the consent log is append-only'); END
""",
    """
CREATE TRIGGER consent_is_never_changed BEFORE UPDATE ON consent
WHEN NEW.evidence IS NOT NULL OR NEW.id IS NOT OLD.id OR NEW.at IS NOT OLD.at OR NEW.action IS NOT OLD.action
    OR NEW.list IS NOT OLD.list OR NEW.address_hash IS NOT OLD.address_hash
    OR NEW.evidence_hash IS NOT OLD.evidence_hash OR NEW.hash IS NOT OLD.hash
BEGIN SELECT RAISE(ABORT, 'the consent log is append-only'); END
""",
)
_POSTGRESQL_TRIGGERS = (
    """
CREATE FUNCTION consent_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the consent log is append-only' USING ERRCODE = 'integrity_constraint_violation';
END $$
""",
    """
CREATE TRIGGER consent_is_never_deleted BEFORE DELETE ON consent
FOR EACH ROW EXECUTE FUNCTION consent_is_append_only()
""",
    """
CREATE TRIGGER consent_is_never_emptied BEFORE TRUNCATE ON consent
FOR EACH STATEMENT EXECUTE FUNCTION consent_is_append_only()
""",
    """
CREATE TRIGGER consent_is_never_changed BEFORE UPDATE ON consent FOR EACH ROW
WHEN (NEW.evidence IS NOT NULL
    OR (NEW.id, NEW.at, NEW.action, NEW.list, NEW.address_hash, NEW.evidence_hash, NEW.hash)
    IS DISTINCT FROM (OLD.id, OLD.at, OLD.action, OLD.list, OLD.address_hash, OLD.evidence_hash, OLD.hash))
EXECUTE FUNCTION consent_is_append_only()
""",
)


def upgrade() -> None:
    """Make the tables; newsletter/subscribers/tables.py says what each column means."""
    _readers()
    op.create_table(
        "suppression",
        sa.Column("address_hash", sa.LargeBinary(32), primary_key=True),
        sa.Column("reason", sa.String(12), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.CheckConstraint("reason IN ('bounced', 'manual', 'complained', 'erased')", name="suppression_reason"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "consent",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("action", sa.String(20), nullable=False),
        sa.Column("list", sa.String(41), nullable=False),
        sa.Column("address_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=True),
        sa.Column("evidence_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
    )
    op.create_index("consent_of_a_reader", "consent", ["address_hash"])
    op.create_table(
        "seal",
        sa.Column("name", sa.String(20), primary_key=True),
        sa.Column("value", sa.LargeBinary(32), nullable=False),
    )
    for trigger in _SQLITE_TRIGGERS if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL_TRIGGERS:
        op.execute(trigger)


def _readers() -> None:
    op.create_table(
        "reader",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("address_hash", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("language", sa.String(35), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "subscription",
        sa.Column("reader", sa.Integer(), sa.ForeignKey("reader.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("list", sa.String(41), primary_key=True),
        sa.Column("status", sa.String(12), nullable=False),
        sa.Column("follows", sa.Text(), nullable=False),
        sa.Column("joined_at", sa.DateTime(), nullable=False),
        sa.Column("changed_at", sa.DateTime(), nullable=False),
        sa.CheckConstraint(
            "status IN ('pending', 'active', 'bounced', 'left', 'complained')", name="subscription_status"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("subscription_of_a_list", "subscription", ["list", "status", "reader"])


def downgrade() -> None:
    """Refuse: going back would drop readers and what they agreed to; a backup is the way back."""
    raise RuntimeError("the book is never thrown away by a migration")
