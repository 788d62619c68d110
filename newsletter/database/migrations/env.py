"""Runs migrations in the transaction that engine.py has open, so that a failed one leaves nothing behind."""

from __future__ import annotations

from alembic import context

# SQLite's DDL is transactional once the driver's own BEGIN is out of the way; Alembic assumes that it is not.
context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
