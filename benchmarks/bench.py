"""What the benchmarks share: a sample project, Postfix's sink, rounds by turns, and a table of the result."""

from __future__ import annotations

import argparse
import contextlib
import csv
import datetime as dt
import getpass
import hashlib
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sqlalchemy import insert

from newsletter import config
from newsletter.config import Project
from newsletter.database.engine import open_database, writing
from newsletter.desk.readers import open_readers
from newsletter.edition.model import Edition
from newsletter.edition.render import make_edition
from newsletter.issue.countries import Countries
from newsletter.issue.load import load
from newsletter.subscribers.tables import reader, subscription

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = Path(__file__).resolve().parent
ISSUE = "2016-04-22"
LIST = "weekly"


def quick(job: str) -> bool:
    """Read the one option that every benchmark has."""
    parser = argparse.ArgumentParser(description=job)
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it runs; not for reports")
    return bool(parser.parse_args().quick)


@contextlib.contextmanager
def sample_project(provider: str = "{name: outbox, folder: outbox}") -> Iterator[Path]:
    """Copy the sample project to a folder that is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="newsletter-bench-") as folder:
        root = Path(folder)
        shutil.copytree(ROOT / "issues", root / "issues")
        settings = (ROOT / "newsletter.yaml").read_text()
        (root / "newsletter.yaml").write_text(re.sub(r"(?m)^provider: .*$", f"provider: {provider}", settings))
        (root / "subscribers").mkdir()
        (root / "templates").mkdir()
        (root / "secret.key").write_text("the secret of the benchmarks")
        (root / "secret.key").chmod(0o600)
        yield root


def edition_of(root: Path) -> tuple[Project, Edition]:
    """Set the sample issue."""
    project = config.load(root)
    countries = Countries.from_settings(project.settings)
    return project, make_edition(load(root / "issues" / f"{ISSUE}.yaml", countries), project, countries)


def enrol(root: Path, readers: int) -> None:
    """Take invented readers in by the import; every fifth follows Burundi and Syria only."""
    path = root / "readers.csv"
    with path.open("w", newline="") as handle:
        rows = csv.writer(handle)
        rows.writerow(["email", "name", "follows"])
        for number in range(1, readers + 1):
            follows = "Burundi;Syria" if number % 5 == 0 else ""
            rows.writerow([f"reader{number}@example.org", f"Reader {number}", follows])
    with open_readers(root) as book:
        book.import_file(path, LIST, "invented for a benchmark", dry_run=False)


def enrol_many(root: Path, readers: int) -> None:
    """Write invented readers straight into the book, a million in seconds; every fifth follows Burundi and Syria."""
    project = config.load(root)
    engine = open_database(project.settings.database, root)
    now = dt.datetime.now(dt.UTC)
    for first in range(1, readers + 1, 10_000):
        ids = range(first, min(first + 10_000, readers + 1))
        people = [
            {
                "id": n,
                "address": f"reader{n}@example.org",
                "address_hash": hashlib.sha256(str(n).encode()).digest(),
                "name": f"Reader {n}",
                "language": "",
                "timezone": "",
                "created_at": now,
            }
            for n in ids
        ]
        places = {"list": LIST, "status": "active", "joined_at": now, "changed_at": now}
        subscriptions = [{"reader": n, "follows": "BDI SYR" if n % 5 == 0 else "", **places} for n in ids]
        with writing(engine) as connection:
            connection.execute(insert(reader), people)
            connection.execute(insert(subscription), subscriptions)
    engine.dispose()


@contextlib.contextmanager
def smtp_sink(*options: str) -> Iterator[int]:
    """Start Postfix's smtp-sink on loopback; yields its port."""
    program = shutil.which("smtp-sink") or "/usr/sbin/smtp-sink"
    if not Path(program).exists():
        sys.exit("smtp-sink is not installed; 'sudo scripts/components' installs it")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = int(listening.getsockname()[1])
    user = ("-u", getpass.getuser()) if os.geteuid() == 0 else ()  # root must name one, and nobody else may
    command = [program, *user, "-t", "3600", *options, f"127.0.0.1:{port}", "64"]
    with subprocess.Popen(command) as sink:
        try:
            _wait_for(port)
            yield port
        finally:
            sink.terminate()


def _wait_for(port: int) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    sys.exit("smtp-sink did not start")


def by_turns(rounds: int, *jobs: Callable[[], object]) -> list[list[float]]:
    """Time jobs round after round, in turns and each round in the other direction; seconds of every job's rounds."""
    seconds: list[list[float]] = [[] for _ in jobs]
    for round_ in range(rounds):
        order = range(len(jobs)) if round_ % 2 == 0 else range(len(jobs) - 1, -1, -1)
        for number in order:
            start = time.perf_counter()
            jobs[number]()
            seconds[number].append(time.perf_counter() - start)
    return seconds


def ratio(slow: Sequence[float], fast: Sequence[float]) -> str:
    """Say how many times faster: the median over the rounds, with the lowest and the highest."""
    ratios = [a / b for a, b in zip(slow, fast, strict=True)]
    digits = 0 if statistics.median(ratios) >= 20 else 2
    return f"{statistics.median(ratios):.{digits}f} ({min(ratios):.{digits}f} to {max(ratios):.{digits}f})"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table in Markdown, and where it was made."""
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print(f"\n{os.cpu_count()} cores, Python {sys.version.split()[0]}, {time.strftime('%Y-%m-%d')}")
