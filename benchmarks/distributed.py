"""Lets two workers on one PostgreSQL send to a million readers through a batch API on loopback, against the ideal.

The API answers after 50 ms. Without --database, a server is started for the run, as the tests do.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import batch
import bench
from sqlalchemy import func, select

from newsletter import config
from newsletter.database.engine import open_database, reading
from newsletter.mailing.tables import attempt

WORKERS = 2
CONNECTIONS = 4  # of each worker
COMMAND = (sys.executable, "-c", "from newsletter.cli.main import main; main()")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readers", type=int, default=1_000_000)
    parser.add_argument("--connections", type=int, default=CONNECTIONS, help="of each worker")
    parser.add_argument("--database", help="an empty database on a server of yours, postgresql://…")
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it runs; not for reports")
    told = parser.parse_args()
    readers = 5_000 if told.quick else told.readers
    with server(told.database) as database, batch.slow_api() as port:
        settings = batch.provider(port, told.connections)
        with bench.sample_project(settings) as root:
            file = root / "newsletter.yaml"
            file.write_text(re.sub(r"(?m)^database: .*$", f"database: {database}", file.read_text()))
            bench.enrol_many(root, readers)
            row = measure(root, readers, told.connections)
    bench.table(
        (
            "readers",
            "requests",
            "ideal",
            "from first to last",
            "times the ideal",
            "plan, freeze and jobs",
            "peak memory of each worker",
        ),
        [row],
    )


@contextlib.contextmanager
def server(database: str | None) -> Iterator[str]:
    """Yield the address of an empty database."""
    if database is not None:
        yield database
        return
    sys.path.append(str(bench.ROOT / "tests"))
    from components import component  # noqa: PLC0415 - needs the line above
    from postgres import Cluster  # noqa: PLC0415 - the same

    cluster = Cluster(component("postgres"))
    try:
        yield cluster.url()
    finally:
        cluster.remove()


def measure(root: Path, readers: int, connections: int) -> Sequence[object]:
    """Leave the mailing to the workers; the first reader's time is that of the first claim."""
    workers = [start(root, connections) for _ in range(WORKERS)]
    begun = time.time()
    send = [*COMMAND, "send", bench.ISSUE, "--yes", "--no-test", "--leave-to-workers"]
    subprocess.run(send, cwd=root, stdout=subprocess.DEVNULL, check=True)
    peaks = [stop(worker) for worker in workers]
    freeze, seconds, requests = moments(root, begun)
    ideal = requests * batch.LATENCY / (WORKERS * connections)
    memory = " and ".join(f"{peak:.0f} MB" for peak in peaks)
    told = f"{seconds:.2f} s", f"{seconds / ideal:.2f}", f"{freeze:.2f} s", memory
    return (f"{readers:,}", requests, f"{ideal:.2f} s", *told)


def start(root: Path, connections: int) -> subprocess.Popen[str]:
    """Start a worker; return when it waits for mailings."""
    line = [*COMMAND, "worker", "--connections", str(connections)]
    worker = subprocess.Popen(line, cwd=root, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    worker.stdout.readline()
    return worker


def stop(worker: subprocess.Popen[str]) -> float:
    """Stop a worker; return its peak memory in MB."""
    worker.terminate()
    assert worker.stdout is not None
    sys.stderr.write(worker.stdout.read())
    _, status, used = os.wait4(worker.pid, 0)
    worker.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_maxrss / 1000


def moments(root: Path, begun: float) -> tuple[float, float, int]:
    """Ask the ledger for the seconds before the first claim, from there to the last outcome, and for the requests."""
    engine = open_database(config.load(root).database(), root)
    with reading(engine) as connection:
        first, last, requests = connection.execute(
            select(func.min(attempt.c.started_at), func.max(attempt.c.ended_at), func.count())
        ).one()
    engine.dispose()
    return first.timestamp() - begun, (last - first).total_seconds(), requests


if __name__ == "__main__":
    main()
