"""Our sender beside museletter and django-newsletter: messages a second, and who is lost or doubled after SIGKILL.

Each of them is installed into an environment of its own in a folder that is deleted afterwards, and runs by its own
means: museletter's server with its own client of Amazon SES, whose address is a stand-in here that passes each message
on to the sink; django-newsletter in a Django project by `manage.py submit_newsletter`; ours by one process of its own.
"""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import bench
import kill
import smtp
from other_senders import REQUIREMENTS, DjangoNewsletter, Museletter

from newsletter.database.engine import open_database
from newsletter.mailing import dispatch, ledger
from newsletter.providers.registry import open_provider

KILLS = 10
PATIENCE = 600.0  # seconds for a whole run
SEED = 20160422
HEAD = (
    "sender",
    "bytes each",
    "messages per second",
    "kills",
    "readers",
    "lost",
    "twice",
    "listed as unknown",
    "what it says at the end",
)


class Peer(Protocol):
    """One sender with a project of its own, readers and message in it.

    `faster` times as many readers are sent to where the rate is measured, so that it takes some seconds.
    """

    faster: int

    def ready(self) -> None:
        """Start what must run before the sending begins."""

    def begin(self) -> subprocess.Popen[bytes]:
        """Begin to send, or go on after a kill; the process that is sending."""

    def again(self) -> subprocess.Popen[bytes]:
        """Start what was killed anew, as its documents say."""

    def is_done(self) -> bool:
        """Say whether it does nothing more."""

    def says(self) -> tuple[set[str], str]:
        """Return the addresses that it lists as unknown, and its own words on how the mailing ended."""


def main() -> None:
    readers = 200 if bench.quick(__doc__ or "") else 2_000
    rows = []
    with tempfile.TemporaryDirectory(prefix="newsletter-peers-") as folder:
        peers: dict[str, Any] = {"ours": Ours, "museletter": Museletter, "django-newsletter": DjangoNewsletter}
        for name, peer in peers.items():
            program, version = installed(Path(folder), name)
            rate = speed(peer, program, readers * peer.faster)
            rows.append((f"{name} {version}".strip(), *killed(peer, program, readers, rate)))
    bench.table(HEAD, rows)


def installed(folder: Path, name: str) -> tuple[Path, str]:
    """Make an environment of its own for a peer; return its Python, and which version it has."""
    if name not in REQUIREMENTS:
        return Path(sys.executable), ""
    subprocess.run([sys.executable, "-m", "venv", str(folder / name)], check=True)
    program = folder / name / "bin" / "python"
    subprocess.run([program, "-m", "pip", "install", "-q", *REQUIREMENTS[name]], check=True, capture_output=True)
    code = f"import importlib.metadata as m; print(m.version({name!r}))"
    return program, subprocess.run([program, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


@contextlib.contextmanager
def at_work(kind: Any, program: Path, readers: int, *options: str) -> Iterator[Peer]:
    """Make a peer's project, with a sink of its own."""
    with (
        bench.smtp_sink(*options) as port,
        tempfile.TemporaryDirectory(prefix="newsletter-peer-") as folder,
        contextlib.ExitStack() as stack,
    ):
        yield kind(program, Path(folder), readers, port, stack)


def speed(kind: Any, program: Path, readers: int) -> float:
    """Return messages a second, from the order to send until it is done."""
    with at_work(kind, program, readers) as peer:
        peer.ready()
        start = time.perf_counter()
        sender = peer.begin()
        wait_until(peer.is_done, sender)
        seconds = time.perf_counter() - start
        stop(sender)
    return readers / seconds


def killed(kind: Any, program: Path, readers: int, rate: float) -> tuple[object, ...]:
    """Kill a sender again and again, start it anew each time, and count who got how many copies."""
    chance = random.Random(SEED)  # noqa: S311 - the same points each time
    with tempfile.TemporaryDirectory(prefix="newsletter-dump-") as folder:
        dump = Path(folder)
        with at_work(kind, program, readers, "-d", f"{dump}/m.") as peer:
            peer.ready()
            sender, kills = peer.begin(), 0
            while kills < KILLS:
                goal = readers * (kills + 1) // (KILLS + 1)
                wait_until(lambda goal=goal: arrived(dump) >= goal or peer.is_done(), sender)
                if peer.is_done():
                    break
                time.sleep(chance.random() / rate)
                stop(sender)
                kills += 1
                sender = peer.again()
            wait_until(peer.is_done, sender)
            stop(sender)
            time.sleep(1)  # for the sink to close its last file
            unknown, words = peer.says()
        found = list(kill.in_sink(dump))
    copies = Counter(one.address for one in found)
    lost = sum(f"reader{n}@example.org" not in unknown | copies.keys() for n in range(1, readers + 1))
    size = sum(len(one.data) for one in found) // max(len(found), 1)
    twice = sum(number - 1 for number in copies.values())
    said = f"{rate:,.0f} ({readers * kind.faster:,} readers)"
    return (f"{size:,}", said, kills, f"{readers:,}", lost, twice, len(unknown), words)


def arrived(dump: Path) -> int:
    return sum(1 for _ in dump.iterdir())


def wait_until(done: Any, sender: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not done():
        if sender.poll() not in (None, 0):
            sys.exit(f"{sender.args!r} ended with {sender.returncode}")
        if time.monotonic() > give_up:
            sys.exit(f"{sender.args!r}: not done in {PATIENCE:.0f} seconds")
        time.sleep(0.01)


def stop(sender: subprocess.Popen[bytes]) -> None:
    sender.kill()
    sender.wait()


class Ours:
    """Our own sender, the padded sample edition."""

    faster = 10

    def __init__(self, program: Path, folder: Path, readers: int, port: int, stack: contextlib.ExitStack) -> None:
        del folder
        self.program = program
        provider = f"{{name: smtp, host: 127.0.0.1, port: {port}, security: none}}"
        self.root = stack.enter_context(bench.sample_project(provider))
        bench.enrol_many(self.root, readers)
        self.sender: subprocess.Popen[bytes] | None = None

    def ready(self) -> None:
        pass

    def begin(self) -> subprocess.Popen[bytes]:
        self.sender = subprocess.Popen([str(self.program), __file__, "--send", str(self.root)])
        return self.sender

    again = begin

    def is_done(self) -> bool:
        return self.sender is not None and self.sender.poll() == 0

    def says(self) -> tuple[set[str], str]:
        order = order_of(self.root)
        status = ledger.status(order.engine, order.name)[0]
        unknown = {f"reader{one.reader}@example.org" for one in ledger.unknown_readers(order.engine, order.name)}
        order.engine.dispose()
        return unknown, f"accepted {status.accepted}, unknown {status.unknown}, pending {status.pending}"


def order_of(root: Path) -> dispatch.Order:
    project, edition = bench.edition_of(root)
    engine = open_database(project.database(), root)
    provider = open_provider(project.settings.provider, root, project.source)
    return dispatch.Order(engine, project, smtp.padded(project, edition), bench.LIST, provider)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--send"]:
        dispatch.send(order_of(Path(sys.argv[2])))
    else:
        main()
