"""Runs every benchmark and writes docs/performance.md from what they print; let nothing else run meanwhile."""

from __future__ import annotations

import subprocess
import sys

import bench

HEAD = """# Performance

Every table is what the command above it printed, both sides of a comparison in one run. `python benchmarks/report.py`
writes this page anew. The ratios count: seconds depend on the machine. A ratio is the median over the rounds, with the
lowest and the highest round in brackets.
"""

PARTS = {
    "compose": """## Composing a reader's copy

All that is the same for every reader is encoded once; a copy is a join of those runs with the reader's links and name
between them. The other two build the same headers and parts with `EmailMessage`, the last one after rendering and
inlining the page for each reader. Links are made and signed on all three sides.""",
    "smtp": """## Sending by SMTP

The same composed bytes on both sides, each over one connection that is kept, each into a `smtp-sink` of its own. Ours
sends MAIL, RCPT and DATA in one write (PIPELINING); `smtplib` waits for each, and doubles leading dots with a regular
expression.""",
    "cold": """## Commands from a cold start

Whole processes, started by turns. The two imports are what any program that inlines with premailer and talks to a
provider pays before it does anything.""",
    "memory": """## Memory, and speed with the ledger

One process sends to everybody; what it is about to do is committed to the ledger before each message leaves. Peak
memory is what the system counted for it (`ru_maxrss`).""",
    "kill": """## Killed and resumed

The sender is killed with SIGKILL at random points and started again until all is done. *Missed* are readers who neither
got it nor are listed as unknown; *unknown* are those whose reply was lost with the process, at most one a kill, never
sent again. Every message is parsed back by Python's `email` and compared with plain substitution.""",
}


def main() -> None:
    options = ["--quick"] if bench.quick(__doc__ or "") else []
    page = [HEAD]
    for name, text in PARTS.items():
        command = ["benchmarks/" + name + ".py", *options]
        printed = subprocess.run(
            [sys.executable, *command], cwd=bench.ROOT, check=True, stdout=subprocess.PIPE, text=True
        ).stdout
        print(printed, flush=True)
        page.append(f"{text}\n\n```sh\npython {' '.join(command)}\n```\n\n{printed}")
    if not options:
        (bench.ROOT / "docs" / "performance.md").write_text("\n".join(page))


if __name__ == "__main__":
    main()
