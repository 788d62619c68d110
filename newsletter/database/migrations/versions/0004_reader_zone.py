"""The time zone of a reader, for mail that arrives at an hour of their day.

Written out and not taken from the tables of today, because a migration must do the same for ever.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004_reader_zone"
down_revision = "0003_sending"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; nobody's zone is known yet."""
    op.add_column("reader", sa.Column("timezone", sa.String(64), nullable=False, server_default=""))


def downgrade() -> None:
    """Refuse: going back would forget what readers said of themselves; a backup is the way back."""
    raise RuntimeError("the book is never thrown away by a migration")
