"""Different messages of 70 kB into Postfix's smtp-sink: our carrier, our whole send, its smtp-source, and smtplib."""

from __future__ import annotations

import argparse
import base64
import dataclasses
import datetime as dt
import itertools
import shutil
import smtplib
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import bench
import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from newsletter.config import Project
from newsletter.database.engine import Engine, open_database
from newsletter.edition.model import Edition, Piece
from newsletter.mailing import dispatch
from newsletter.mailing.message import Compiler
from newsletter.providers.base import MessageCarrier, Outcome
from newsletter.providers.dkim import Signer
from newsletter.providers.registry import open_provider

SIZE = 70_000  # bytes of a message
ROUNDS = 5
SESSIONS = (1, 2, 4)
KEYS = {"off": (), "rsa-2048": ("rsa",), "ed25519": ("ed25519",), "rsa-2048 and ed25519": ("rsa", "ed25519")}
DKIMPY_EVERY = 100  # it signs so slowly that it gets one message in so many
SIGNED = b"From Reply-To Subject Date List-Id Feedback-ID MIME-Version Content-Type To Message-ID List-Unsubscribe"
HEAD = ("DKIM", "sessions", "who", "messages", "messages per second", "of smtp-source's rate", "times smtplib")

Deliver = Callable[[int], None]  # one message, to the reader of that number


@dataclasses.dataclass(frozen=True)
class Side:
    """Who sends, and how many messages in a round."""

    name: str
    count: int
    run: Callable[[], None]


@dataclasses.dataclass(frozen=True)
class Setting:
    """What all sides of a table's part share; `numbers` gives every message a reader of its own."""

    root: Path
    project: Project
    edition: Edition
    keys: tuple[str, ...]
    count: int
    numbers: Iterator[int]

    def compiler(self, signer: Signer | None) -> Compiler:
        moment, secret = dt.datetime.now(dt.UTC), self.project.secret()
        return Compiler(self.edition, self.project.settings, bench.LIST, secret, "bench", moment, signer=signer)


def main() -> None:
    told = arguments()
    count, rounds = (400, 3) if told.quick else (told.messages // ROUNDS, ROUNDS)
    rows = []
    for name, keys in ((name, KEYS[name]) for name in told.dkim):
        with bench.sample_project() as root:
            project, edition = bench.edition_of(root)
            write_keys(root, keys)
            bench.enrol_many(root, count)
            setting = Setting(root, project, padded(project, edition), keys, count, itertools.count(1))
            for number in told.sessions:
                rows += [(name, number, *row) for row in compare(setting, number, rounds)]
    bench.table(HEAD, rows)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it runs; not for reports")
    parser.add_argument("--messages", type=int, default=100_000, help="of each side, in all rounds together")
    parser.add_argument("--sessions", type=int, nargs="+", default=SESSIONS)
    parser.add_argument("--dkim", choices=KEYS, nargs="+", default=list(KEYS))
    return parser.parse_args()


def padded(project: Project, edition: Edition) -> Edition:
    """Make the sample edition as long as the messages are to be."""
    paragraph = "<p>Put there to make it longer: the quick brown fox jumps over the lazy dog, and over it again.</p>\n"
    moment = dt.datetime.now(dt.UTC)
    longer = edition
    for _ in range(4):
        compiler = Compiler(longer, project.settings, bench.LIST, b"any", "bench", moment)
        short = SIZE - len(compiler.compose(1, "reader1@example.org", "Reader 1").data)
        more = Piece((paragraph * (short // len(paragraph) + 1))[: max(short, 0)])
        longer = dataclasses.replace(longer, html=(*longer.html[:1], more, *longer.html[1:]))
    return longer


def write_keys(root: Path, keys: Sequence[str]) -> None:
    for name in keys:
        private = rsa.generate_private_key(65537, 2048) if name == "rsa" else ed25519.Ed25519PrivateKey.generate()
        form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        (root / f"{name}.pem").write_bytes(private.private_bytes(serialization.Encoding.PEM, form, none))
        (root / f"{name}.pem").chmod(0o600)


def compare(setting: Setting, sessions: int, rounds: int) -> Iterator[tuple[str, ...]]:
    """Let all sides send by turns, each into a sink of its own."""
    with ExitStack() as stack:
        sides = list(all_sides(setting, sessions, stack))
        for side in sides:
            side.run()  # once without a clock
        seconds = bench.by_turns(rounds, *(side.run for side in sides))
    each = [[took / side.count for took in times] for side, times in zip(sides, seconds, strict=True)]
    source, library = each[0], each[3]
    for side, own in zip(sides, each, strict=True):
        rate = f"{1 / statistics.median(own):,.0f}"
        mine = "1" if own is source else bench.ratio(source, own), "1" if own is library else bench.ratio(library, own)
        yield (side.name, f"{side.count * rounds:,}", rate, *mine)


def all_sides(setting: Setting, sessions: int, stack: ExitStack) -> Iterator[Side]:
    """Yield smtp-source first and smtplib fourth."""
    count = setting.count
    port = stack.enter_context(bench.smtp_sink())
    yield Side("smtp-source", count, lambda: smtp_source(port, sessions, count))
    carrier = stack.enter_context(opened(setting, sessions))
    yield Side("our carrier, composing included", count, bare(setting, carrier, sessions))
    ledger = stack.enter_context(opened(setting, sessions))
    engine = open_database(setting.project.settings.database, setting.root)
    stack.callback(engine.dispose)
    yield Side("our whole send, with freeze and ledger", count, whole(setting, ledger, engine))
    signed = ", our messages with our signature" if setting.keys else ", our messages"
    yield Side(f"smtplib{signed}", count, library(setting, sessions, stack, carrier.signer, ()))
    if setting.keys:
        few = dataclasses.replace(setting, count=max(sessions, count // DKIMPY_EVERY))
        keys = [key_of(setting.root, name) for name in setting.keys]
        yield Side("smtplib, our messages signed by dkimpy", few.count, library(few, sessions, stack, None, keys))


@contextmanager
def opened(setting: Setting, sessions: int) -> Iterator[MessageCarrier]:
    """Open our carrier to a sink of its own."""
    dkim_settings = [{"selector": name, "key": f"file:{name}.pem"} for name in setting.keys]
    with bench.smtp_sink() as port:
        plain = {"name": "smtp", "host": "127.0.0.1", "port": port, "security": "none"}
        carrier = open_provider({**plain, "connections": sessions, "dkim": dkim_settings}, setting.root)
        assert isinstance(carrier, MessageCarrier)
        with closing(carrier):
            yield carrier


def smtp_source(port: int, sessions: int, count: int) -> None:
    """Let Postfix's own source send, each session over one connection that is kept (-d)."""
    program = shutil.which("smtp-source") or "/usr/sbin/smtp-source"
    to = ("-f", "sender@example.org", "-t", "reader@example.org", f"127.0.0.1:{port}")
    numbers = ("-s", str(sessions), "-m", str(count), "-l", str(SIZE))
    if subprocess.run([program, "-d", *numbers, *to], check=False).returncode:
        sys.exit("smtp-source failed")


def in_threads(setting: Setting, deliver: Sequence[Deliver]) -> Callable[[], None]:
    """Make a round of messages by as many threads as there are ways to deliver."""

    def lane(own: Deliver, numbers: Sequence[int], failed: list[BaseException]) -> None:
        try:
            for number in numbers:
                own(number)
        except BaseException as error:  # noqa: BLE001 - raised again below
            failed.append(error)

    def run() -> None:
        failed: list[BaseException] = []
        numbers = list(itertools.islice(setting.numbers, setting.count))
        lanes = [
            threading.Thread(target=lane, args=(own, numbers[n :: len(deliver)], failed))
            for n, own in enumerate(deliver)
        ]
        for thread in lanes:
            thread.start()
        for thread in lanes:
            thread.join()
        for error in failed:
            raise error

    return run


def bare(setting: Setting, carrier: MessageCarrier, sessions: int) -> Callable[[], None]:
    compiler = setting.compiler(carrier.signer)

    def deliver(number: int) -> None:
        envelope = compiler.compose(number, f"reader{number}@example.org", f"Reader {number}")
        assert carrier.deliver(envelope).outcome is Outcome.ACCEPTED

    return in_threads(setting, [deliver] * sessions)


def whole(setting: Setting, carrier: MessageCarrier, engine: Engine) -> Callable[[], None]:
    """Send a mailing of its own in each round."""

    def run() -> None:
        edition = dataclasses.replace(setting.edition, slug=f"round-{next(setting.numbers)}")
        status = dispatch.send(dispatch.Order(engine, setting.project, edition, bench.LIST, carrier)).status
        assert status.accepted == setting.count

    return run


def library(
    setting: Setting, sessions: int, stack: ExitStack, signer: Signer | None, keys: Sequence[tuple[bytes, bytes]]
) -> Callable[[], None]:
    compiler = setting.compiler(signer)
    port = stack.enter_context(bench.smtp_sink())

    def deliver(client: smtplib.SMTP) -> Deliver:
        def one(number: int) -> None:
            envelope = compiler.compose(number, f"reader{number}@example.org", f"Reader {number}")
            data = envelope.data
            for algorithm, key in keys:
                data = by_dkimpy(envelope.data, algorithm, key) + data
            client.sendmail(envelope.sender, [envelope.recipient], data)

        return one

    clients = [smtplib.SMTP("127.0.0.1", port, local_hostname="localhost") for _ in range(sessions)]
    for client in clients:
        stack.callback(client.close)
    return in_threads(setting, [deliver(client) for client in clients])


def key_of(root: Path, name: str) -> tuple[bytes, bytes]:
    """Return the name of the algorithm and the key as dkimpy wants them."""
    pem = (root / f"{name}.pem").read_bytes()
    if name == "rsa":
        return b"rsa-sha256", pem
    private = serialization.load_pem_private_key(pem, None)
    assert isinstance(private, ed25519.Ed25519PrivateKey)
    raw = serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
    return b"ed25519-sha256", base64.b64encode(private.private_bytes(*raw))


def by_dkimpy(data: bytes, algorithm: bytes, key: bytes) -> bytes:
    relaxed = (b"relaxed", b"relaxed")
    signed = SIGNED.split()
    field: bytes = dkim.sign(
        data, b"a", b"example.org", key, canonicalize=relaxed, include_headers=signed, signature_algorithm=algorithm
    )
    return field


if __name__ == "__main__":
    main()
