"""Reads what a process did, as strace wrote it down, and sees whether every intent was on the disk before its request.

A claim's intent is known by its token, which SQLite writes into its log (WAL) and nobody else knows; a request by the
addresses of its readers. On the disk it is when the first fsync or fdatasync of that log has ended that began after
the write.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components import component

CALLS = "fsync,fdatasync,write,pwrite64,writev,pwritev,sendto,sendmsg,connect"

_LINE = re.compile(r"^(?P<pid>\d+) +(?P<rest>.*)$")
_CALL = re.compile(r"(?P<name>\w+)\(\d+<(?P<file>.*?)>(?P<given>.*)$")
_RESUMED = re.compile(r"<\.\.\. (?P<name>\w+) resumed>")


@dataclass(frozen=True)
class Event:
    """A system call: on which file or connection, with which bytes, when it began and when it ended (line numbers)."""

    name: str
    file: str
    given: str
    began: int
    ended: int


def record(command: Sequence[str], log: Path) -> list[Event]:
    """Run a program under strace until its end; return what it did."""
    options = ["-f", "-yy", "-q", "-s", "1000000", "-e", f"trace={CALLS}", "-e", "signal=none", "-o", str(log)]
    done = subprocess.run([component("strace"), *options, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return list(read(log.read_text("utf-8", "replace").splitlines()))


def read(lines: Sequence[str]) -> Iterator[Event]:
    """Make events of strace's lines, those of other threads in between; a call that never ended is none."""
    under_way: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(lines):
        found = _LINE.match(line)
        if not found:
            continue
        pid, rest, began = found["pid"], found["rest"], number
        if rest.endswith("<unfinished ...>"):
            under_way[pid] = number, rest
            continue
        if _RESUMED.match(rest):
            began, rest = under_way.pop(pid)
        call = _CALL.match(rest)
        if call:
            yield Event(call["name"], call["file"], call["given"], began, number)


def too_early(events: Sequence[Event], intents: Mapping[str, set[str]]) -> list[str]:
    """Return a line for every request that began to leave before its intent was on the disk, and for what is missing.

    `intents` has the addresses of a claim's readers by its token.
    """
    found = []
    for token, addresses in intents.items():
        sends = [one for one in events if _leaves(one) and any(f"{address}" in one.given for address in addresses)]
        if not sends:
            found.append(f"{token}: nothing of it was seen to leave")
            continue
        durable = _durable(events, token)
        first = min(sends, key=lambda one: one.began)
        if durable is None or durable > first.began:
            found.append(f"{token}: a request left in line {first.began}, its intent was on the disk in line {durable}")
    return found


def _leaves(one: Event) -> bool:
    return "TCP" in one.file and one.name in ("sendto", "sendmsg", "write", "writev")


def _durable(events: Sequence[Event], token: str) -> int | None:
    writes = [one for one in events if one.file.endswith("-wal") and "write" in one.name and token in one.given]
    if not writes:
        return None
    written = min(one.ended for one in writes)
    syncs = (one for one in events if one.name in ("fsync", "fdatasync") and one.file.endswith("-wal"))
    return min((one.ended for one in syncs if one.began > written), default=None)
