"""Keeps two senders off one mailing: who is sending, whether they still live, and until when their word holds.

One sender has a mailing's lease. Workers have a lease of their own, for whatever mailing is being sent.
"""

from __future__ import annotations

import datetime as dt
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, bindparam, delete, exists, insert, select, update

from newsletter.errors import StoppedError, TryLaterError
from newsletter.mailing.tables import AnyRow, chunk, sender, worker

# Longer than the slowest answer a carrier may take (SMTP: ten minutes for the reply to a message).
LEASE = dt.timedelta(minutes=20)
RENEW_AFTER = dt.timedelta(minutes=1)

PROC = Path("/proc")

_UNTIL = {one: select(one.c.lease_until).where(one.c.owner == bindparam("owner")) for one in (sender, worker)}


# The leases of this very process that are at work: it lives on when a run of it ends and cannot give its lease back.
_under_way: set[str] = set()


class LostLeaseError(StoppedError):
    """Another sender took this mailing over while we were silent; nothing more may leave from here."""

    def __init__(self) -> None:
        super().__init__("another sender has taken this mailing over while this one was silent; this one stops")


@dataclass(frozen=True)
class Process:
    """What tells this process from all others. `boot` is "" where the system does not say which start it is in.

    `space` is the process namespace: a number of another container says nothing here. `born` is when the process
    started, so that a number given anew is not taken for the old process.
    """

    host: str
    boot: str
    space: str
    pid: int
    born: str


def this_process(proc: Path = PROC) -> Process:
    """Describe the running process."""
    pid = os.getpid()
    return Process(socket.gethostname(), _boot(proc), _space(proc), pid, _born(proc, pid) or "")


def _boot(proc: Path) -> str:
    try:
        return (proc / "sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def _space(proc: Path) -> str:
    try:
        return os.readlink(proc / "self/ns/pid")  # noqa: PTH115 - the target is no path
    except OSError:
        return ""


def _born(proc: Path, pid: int) -> str | None:
    """Return the start time of a process in ticks since the boot; None when there is none or it is a zombie."""
    try:
        stat = (proc / str(pid) / "stat").read_text("ascii", "replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name before may hold anything; proc(5): state is field 3, start 22
    return None if fields[0] in ("Z", "X") else fields[19]


def _is_surely_dead(one: AnyRow, here: Process, proc: Path) -> bool:
    """Say whether a sender of this machine has ended; of another machine, or another container, nobody can tell."""
    if one.host != here.host or not (one.boot and here.boot):
        return False
    if one.boot != here.boot:
        return True  # the machine has been started anew since
    return bool(here.space) and one.space == here.space and _born(proc, one.pid) != one.born


def _is_surely_alive(one: AnyRow, here: Process, proc: Path) -> bool:
    """Say whether a sender of this machine still runs, whatever the clock says about its lease."""
    here_too = (one.host, one.boot, one.space) == (here.host, here.boot, here.space)
    return here_too and bool(here.boot and here.space) and _born(proc, one.pid) == str(one.born)


def is_gone(one: AnyRow | None, here: Process, now: dt.datetime, proc: Path = PROC) -> bool:
    """Say whether a sender or worker has ended, or has been silent for longer than its lease."""
    if one is None or _is_surely_dead(one, here, proc):
        return True
    if (one.pid, one.born, one.boot, one.space) == (here.pid, here.born, here.boot, here.space):
        return one.owner not in _under_way
    return one.lease_until <= now and not _is_surely_alive(one, here, proc)


@dataclass(frozen=True)
class Lease:
    """The right to send a mailing; of a worker (`mailing` is None), the right to carry chunks of any."""

    mailing: int | None
    owner: str


def holder(connection: Connection, mailing: int, here: Process, now: dt.datetime, proc: Path = PROC) -> str | None:
    """Say who is sending a mailing now; None when nobody is, or only one that died or fell silent."""
    one = connection.execute(select(sender).where(sender.c.mailing == mailing)).one_or_none()
    if one is None or is_gone(one, here, now, proc):
        return None
    return f"already sending since {one.since:%Y-%m-%d %H:%M} UTC (pid {one.pid} on {one.host})"


def owner_row(connection: Connection, owner: str) -> AnyRow | None:
    """Return the row of a sender or worker, None when it was taken away."""
    for table in (sender, worker):
        one = connection.execute(select(table).where(table.c.owner == owner)).one_or_none()
        if one is not None:
            return one
    return None


def take(connection: Connection, mailing: int, here: Process, now: dt.datetime, proc: Path = PROC) -> Lease:
    """Take the lease of a mailing. Raises TryLaterError when a living sender has it.

    What the one before has under way must have been settled (recovery.sweep): its row goes.
    """
    present = holder(connection, mailing, here, now, proc)
    if present is not None:
        raise TryLaterError(f"{present}; try again when that is done")
    connection.execute(delete(sender).where(sender.c.mailing == mailing))
    owner = _new_owner()
    connection.execute(insert(sender).values(owner=owner, mailing=mailing, **_row(here, now)))
    return Lease(mailing, owner)


def enlist(connection: Connection, here: Process, now: dt.datetime) -> Lease:
    """Take a worker's lease."""
    owner = _new_owner()
    connection.execute(insert(worker).values(owner=owner, **_row(here, now)))
    return Lease(None, owner)


def _new_owner() -> str:
    owner = secrets.token_hex(16)
    _under_way.add(owner)
    return owner


def end(held: Lease) -> None:
    """Note that nothing more leaves this process under a lease, whether or not it can be given back."""
    _under_way.discard(held.owner)


def _row(here: Process, now: dt.datetime) -> dict[str, Any]:
    who = {"host": here.host, "boot": here.boot, "space": here.space, "pid": here.pid, "born": here.born}
    return {**who, "since": now, "lease_until": now + LEASE}


def renew(connection: Connection, lease: Lease, now: dt.datetime) -> dt.datetime:
    """Hold the lease for longer; return until when. Raises LostLeaseError when it is no longer ours."""
    until = now + LEASE
    table = _table(lease)
    kept = connection.execute(update(table).where(table.c.owner == lease.owner).values(lease_until=until))
    if kept.rowcount != 1:
        raise LostLeaseError
    return until


def hold(connection: Connection, held: Lease, now: dt.datetime) -> None:
    """See that the lease is still ours, and renew it when that was some time ago. Raises LostLeaseError.

    Most calls only read: the row would else be waited for by every lane that claims a chunk.
    """
    until = connection.execute(_UNTIL[_table(held)], {"owner": held.owner}).scalar()
    if until is None:
        raise LostLeaseError
    if not now + LEASE - RENEW_AFTER < until <= now + LEASE:
        renew(connection, held, now)


def release(connection: Connection, held: Lease, now: dt.datetime) -> None:
    """Give the lease back. If a chunk could not be settled, let the lease run out, and its sender be known, instead."""
    table = _table(held)
    mine = exists().where(chunk.c.owner == held.owner)
    connection.execute(delete(table).where(table.c.owner == held.owner, ~mine))
    connection.execute(update(table).where(table.c.owner == held.owner).values(lease_until=now))


def _table(held: Lease) -> Table:
    return worker if held.mailing is None else sender
