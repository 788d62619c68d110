"""Keeps two senders off one mailing: who is sending, whether they still live, and until when their word holds."""

from __future__ import annotations

import datetime as dt
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, delete, exists, insert, select, update

from newsletter.errors import StoppedError, TryLaterError
from newsletter.mailing.tables import AnyRow, chunk, sender

# Longer than the slowest answer a carrier may take (SMTP: ten minutes for the reply to a message).
LEASE = dt.timedelta(minutes=20)
RENEW_AFTER = dt.timedelta(minutes=1)

PROC = Path("/proc")


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


@dataclass(frozen=True)
class Lease:
    """The right to send a mailing. `former` is the owner that died with it, if any.

    `trusted` says that all the former wrote is there: the machine has not been started anew since.
    """

    mailing: int
    owner: str
    former: str | None = None
    trusted: bool = False


def holder(connection: Connection, mailing: int, here: Process, now: dt.datetime, proc: Path = PROC) -> str | None:
    """Say who is sending a mailing now; None when nobody is, or only one that died or fell silent."""
    one = connection.execute(select(sender).where(sender.c.mailing == mailing)).one_or_none()
    if one is None or one.lease_until <= now or _is_surely_dead(one, here, proc):
        return None
    return f"already sending since {one.since:%Y-%m-%d %H:%M} UTC (pid {one.pid} on {one.host})"


def take(connection: Connection, mailing: int, here: Process, now: dt.datetime, proc: Path = PROC) -> Lease:
    """Take the lease of a mailing. Raises TryLaterError when a living sender has it."""
    present = holder(connection, mailing, here, now, proc)
    if present is not None:
        raise TryLaterError(f"{present}; try again when that is done")
    one = connection.execute(select(sender).where(sender.c.mailing == mailing)).one_or_none()
    connection.execute(delete(sender).where(sender.c.mailing == mailing))
    owner = secrets.token_hex(16)
    connection.execute(
        insert(sender).values(
            owner=owner,
            mailing=mailing,
            host=here.host,
            boot=here.boot,
            space=here.space,
            pid=here.pid,
            born=here.born,
            since=now,
            lease_until=now + LEASE,
        )
    )
    if one is None:
        return Lease(mailing, owner)
    return Lease(mailing, owner, one.owner, trusted=one.boot == here.boot != "")


def renew(connection: Connection, lease: Lease, now: dt.datetime) -> dt.datetime:
    """Hold the lease for longer; return until when. Raises LostLeaseError when it is no longer ours."""
    until = now + LEASE
    kept = connection.execute(update(sender).where(sender.c.owner == lease.owner).values(lease_until=until))
    if kept.rowcount != 1:
        raise LostLeaseError
    return until


def release(connection: Connection, held: Lease, now: dt.datetime) -> None:
    """Give the lease back. If a chunk could not be settled, let the lease run out, and its sender be known, instead."""
    mine = exists().where(chunk.c.owner == held.owner)
    connection.execute(delete(sender).where(sender.c.owner == held.owner, ~mine))
    connection.execute(update(sender).where(sender.c.owner == held.owner).values(lease_until=now))
