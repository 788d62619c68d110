"""The most memory a sender ever holds, and how fast it is with ledger and all, for few readers and for many."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import bench


def main() -> None:
    quick = bench.quick(__doc__ or "")
    rows = []
    for readers in (20, 300) if quick else (100, 10_000):
        with bench.sample_project() as root:
            rows.append(("outbox", *weigh(root, readers)))
        with bench.smtp_sink() as port:
            smtp = f"{{name: smtp, host: 127.0.0.1, port: {port}, security: none}}"
            with bench.sample_project(smtp) as root:
                rows.append(("smtp to smtp-sink", *weigh(root, readers)))
    bench.table(("carrier", "readers", "peak memory (RSS)", "from first to last reader", "readers per second"), rows)


def weigh(root: Path, readers: int) -> tuple[str, str, str, str]:
    """Run a sender as a process of its own and ask the system for its peak."""
    bench.enrol(root, readers)
    line = [sys.executable, str(bench.BENCHMARKS / "sender.py"), str(root)]
    sender = subprocess.Popen(line, stdout=subprocess.PIPE)
    assert sender.stdout is not None
    dots = len(sender.stdout.read(1))
    start = time.perf_counter()
    while some := sender.stdout.read1(65536):  # type: ignore[attr-defined]
        dots += len(some)
    seconds = time.perf_counter() - start
    sender.stdout.close()
    _, state, used = os.wait4(sender.pid, 0)
    sender.returncode = os.waitstatus_to_exitcode(state)
    assert sender.returncode == 0
    assert re.fullmatch(r"\d+", str(dots))
    assert dots == readers, f"{dots} of {readers}"
    return f"{readers:,}", f"{used.ru_maxrss / 1024:.0f} MB", f"{seconds:.2f} s", f"{readers / seconds:,.0f}"


if __name__ == "__main__":
    main()
