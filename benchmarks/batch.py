"""Sends to a million readers through a batch API on loopback that answers after 50 ms, against the ideal."""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import bench

from newsletter.database.engine import open_database
from newsletter.mailing import dispatch
from newsletter.mailing.dispatch import Order, Progress
from newsletter.providers.registry import open_provider

LATENCY = 0.05  # seconds that the API takes for a request
CONNECTIONS = 4  # as Mailgun's are unless the settings say otherwise
ANSWER = '{"id": "<20160422.1@mg.example.org>", "message": "Queued. Thank you."}'


@contextlib.contextmanager
def slow_api(seconds: float = LATENCY) -> Iterator[int]:
    """Start the stand-in in a process of its own; yields its port."""
    line = [sys.executable, str(bench.BENCHMARKS / "slow_api.py"), str(seconds), ANSWER]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as api:
        assert api.stdout is not None
        assert api.stdin is not None
        try:
            yield int(api.stdout.readline())
        finally:
            api.stdin.close()


def provider(port: int, connections: int = CONNECTIONS) -> str:
    """Write the settings of a carrier that talks to the stand-in."""
    return (
        f'{{name: mailgun, domain: mg.example.org, key: "file:secret.key", base_url: "http://127.0.0.1:{port}",'
        f" connections: {connections}}}"
    )


def main() -> None:
    sizes = (2_000, 20_000) if bench.quick(__doc__ or "") else (100_000, 1_000_000)
    rows = []
    for readers in sizes:
        with slow_api() as port, bench.sample_project(provider(port)) as root:
            bench.enrol_many(root, readers)
            rows.append(measure(root, readers))
    bench.table(
        ("readers", "requests", "ideal", "from first to last", "times the ideal", "freeze", "peak memory"), rows
    )


def measure(root: Path, readers: int) -> tuple[object, ...]:
    """Send in a process of its own, which says what it took."""
    line = [sys.executable, __file__, "--send", str(root)]
    said = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    requests, freeze, seconds, memory = (float(word) for word in said.split())
    ideal = requests * LATENCY / CONNECTIONS
    return (
        f"{readers:,}",
        int(requests),
        f"{ideal:.2f} s",
        f"{seconds:.2f} s",
        f"{seconds / ideal:.2f}",
        f"{freeze:.2f} s",
        f"{memory:.0f} MB",
    )


def send(root: Path) -> None:
    """Send, and print requests, seconds of the freeze, seconds from the first to the last reader, and peak MB."""
    project, edition = bench.edition_of(root)
    carrier = open_provider(project.settings.provider, root, project.source)
    order = Order(open_database(project.settings.database, root), project, edition, bench.LIST, carrier)
    requests = dispatch.plan(order).requests
    moments: list[float] = []

    def told(progress: Progress) -> None:
        del progress
        if not moments:
            moments.append(time.perf_counter())

    start = time.perf_counter()
    dispatch.send(order, told)
    end = time.perf_counter()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(requests, moments[0] - start, end - moments[0], memory)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--send"]:
        send(Path(sys.argv[2]))
    else:
        main()
