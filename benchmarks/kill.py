"""Kills a sender with SIGKILL at random points, resumes it each time, and counts who got what."""

from __future__ import annotations

import email
import email.policy
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bench

from newsletter.database.engine import open_database, reading
from newsletter.mailing import ledger
from newsletter.mailing.dispatch import Order, compile_mailing
from newsletter.providers.registry import open_provider

SEED = 20160422


@dataclass(frozen=True)
class Found:
    """What arrived at a reader's address."""

    address: str
    data: bytes


def main() -> None:
    quick = bench.quick(__doc__ or "")
    readers, kills = (300, 5) if quick else (10_000, 20)
    rows = [through_outbox(readers, kills), through_smtp(readers, kills)]
    head = (
        "carrier",
        "readers",
        "kills",
        "missed",
        "sent twice",
        "unknown",
        "of these arrived",
        "parsed back",
        "wrong",
    )
    bench.table(head, rows)


def through_outbox(readers: int, kills: int) -> tuple[object, ...]:
    with bench.sample_project() as root:
        bench.enrol(root, readers)
        done = send_and_kill(root, readers, kills)
        return ("outbox", readers, done, *judge(root, readers, list(in_outbox(root))))


def through_smtp(readers: int, kills: int) -> tuple[object, ...]:
    with bench.sample_project() as root:
        dump = root / "dump"
        dump.mkdir()
        with bench.smtp_sink("-d", f"{dump}/m.") as port:
            settings = root / "newsletter.yaml"
            smtp = f"provider: {{name: smtp, host: 127.0.0.1, port: {port}, security: none}}"
            settings.write_text(re.sub(r"(?m)^provider: .*$", smtp, settings.read_text()))
            bench.enrol(root, readers)
            done = send_and_kill(root, readers, kills)
            time.sleep(1)  # for the sink to close its last file
            return ("smtp to smtp-sink", readers, done, *judge(root, readers, list(in_sink(dump))))


def send_and_kill(root: Path, readers: int, kills: int) -> int:
    """Send until all is done; return how many senders were killed while they sent."""
    chance = random.Random(SEED)  # noqa: S311 - the same points each time
    killed = 0
    while True:
        after = chance.randrange(max(1, readers // (kills + 2)) * 2) if killed < kills else readers * 2
        line = [sys.executable, str(bench.BENCHMARKS / "sender.py"), str(root)]
        with subprocess.Popen(line, stdout=subprocess.PIPE) as sender:
            assert sender.stdout is not None
            if after:
                sender.stdout.read(after)  # so many are settled; or, at the end, all
            else:
                time.sleep(chance.random() * 2)  # somewhere in the start
            if killed < kills:
                time.sleep(chance.random() * 0.003)
                sender.kill()
        if sender.returncode == 0:
            return killed
        if sender.returncode != -9:
            sys.exit(f"the sender ended with {sender.returncode}")
        killed += 1


def in_outbox(root: Path) -> Iterator[Found]:
    for path in (root / "outbox").rglob("*.eml"):
        data = path.read_bytes()
        yield Found(str(email.message_from_bytes(data, policy=email.policy.default)["To"].addresses[0].addr_spec), data)


def in_sink(dump: Path) -> Iterator[Found]:
    """Read what the sink wrote: lines of its own, the last of them a Received of three lines, then the message."""
    for path in dump.iterdir():
        head, sign, rest = path.read_bytes().partition(b"\n\tby smtp-sink")
        address = re.search(rb"^X-Rcpt-Args: <(.*)>", head, re.MULTILINE)
        whole = rest.endswith(b"--\n\n")  # a message that broke off was not taken
        if sign and address and whole:
            yield Found(address[1].decode(), rest.split(b"\n", 2)[2])


def judge(root: Path, readers: int, found: list[Found]) -> tuple[object, ...]:
    """Count over all readers, and parse every message back."""
    project, edition = bench.edition_of(root)
    engine = open_database(project.database(), root)
    provider = open_provider(project.settings.provider, root, project.source)
    order = Order(engine, project, edition, bench.LIST, provider)
    status = ledger.status(engine, order.name)[0]
    with reading(engine) as connection:
        one = ledger.find(connection, edition.slug, bench.LIST, "issue")
    unknown = {f"reader{who.reader}@example.org" for who in ledger.unknown_readers(engine, order.name)}
    copies = Counter(one.address for one in found)
    missed = [n for n in range(1, readers + 1) if not copies[f"reader{n}@example.org"]]
    twice = sum(number - 1 for number in copies.values())
    arrived = sum(address in copies for address in unknown)
    really_missed = [n for n in missed if f"reader{n}@example.org" not in unknown]
    assert one is not None
    assert status.accepted + status.unknown == status.audience == readers
    compiler = compile_mailing(order, one)
    wrong = sum(not same(compiler, edition, item) for item in found)
    engine.dispose()
    return (len(really_missed), twice, status.unknown, arrived, len(found), wrong)


def same(compiler: object, edition: object, item: Found) -> bool:
    """Say whether a message parses back to the text and html of plain substitution."""
    number = int(re.findall(r"\d+", item.address)[0])
    chosen = edition.choose(("BDI", "SYR")) if number % 5 == 0 else None  # type: ignore[attr-defined]
    message = email.message_from_bytes(item.data, policy=email.policy.default)
    text, html = (part.get_content().replace("\r\n", "\n") for part in message.iter_parts())
    fill = compiler.fill  # type: ignore[attr-defined]
    expected_text = fill(edition.join_text(chosen), number, f"Reader {number}", html=False)  # type: ignore[attr-defined]
    expected_html = fill(edition.join_html(chosen), number, f"Reader {number}", html=True)  # type: ignore[attr-defined]
    return bool(text.rstrip("\n") == expected_text.rstrip("\n") and html.rstrip("\n") == expected_html.rstrip("\n"))


if __name__ == "__main__":
    main()
