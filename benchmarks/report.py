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

Every message is another one, of 70 kB, and every sender has a `smtp-sink` of its own and keeps its connections.
Postfix's `smtp-source` is written in C, sends the same message again and again, and signs nothing. Our carrier
composes each message, signs it and sends it, in as many threads as there are sessions; our whole send is `newsletter
send` without its checks: it freezes the audience, and notes in the ledger what it is about to do before each message
leaves, while one helper for two sessions composes and signs the next ones. `smtplib` has a thread for each connection
and sends what we composed; in one row we sign it, in the other dkimpy, as `smtplib` has nothing of the kind. Signing
by RSA takes longer than all else we do for a message: with one session it finds room on the second core, with two the
sink and the senders have little left of it.""",
    "batch": """## Sending through a batch API

A stand-in for Mailgun's API on loopback answers each request after 50 ms. The ideal is requests x 50 ms /
connections: what it would take if nothing else took any time.""",
    "distributed": """## Sending by two workers

The same through PostgreSQL, by two processes of `newsletter worker` on the same machine, with two connections each.""",
    "freeze": """## Freezing an audience

Readers follow different countries, and some are suppressed. The freeze finds out who gets what, puts them in order
and into chunks, in one transaction. The bare statement copies the rows that came out of it into an equal table of the
same database.""",
    "cold": """## Commands from a cold start

Whole processes, started by turns. The two imports are what any program that inlines with premailer and talks to a
provider pays before it does anything.""",
    "memory": """## Memory, and speed with the ledger

One process sends to everybody; what it is about to do is committed to the ledger before each message leaves. Peak
memory is what the system counted for it (`ru_maxrss`).""",
    "kill": """## Killed and resumed

The sender is killed with SIGKILL at random points and started again until all is done. *Missed* are readers who neither
got it nor are listed as unknown; *unknown* are those whose reply was lost with the process, at most one a kill and
connection, never sent again. Every message is parsed back by Python's `email` and compared with plain substitution.""",
    "peers": """## Beside others

museletter and django-newsletter, as they come from PyPI, with all their delays turned off, into a `smtp-sink` like
ours. museletter speaks to Amazon SES; a stand-in passes its messages on to the sink. The rate is from the order to
send to the end, starting a program included where one has to be started. Then, in another run, the sender is killed
with SIGKILL up to ten times on its way and started again each time. *Lost* are readers who got nothing and are listed
nowhere as unknown; django-newsletter counts a mailing as being sent for ever after its first kill, and sends no more
of it.""",
}

ARGUMENTS = {
    "smtp": ("--sessions", "1", "2", "--dkim", "rsa-2048", "off"),
    "distributed": ("--connections", "2"),
}


def main() -> None:
    options = ["--quick"] if bench.quick(__doc__ or "") else []
    page = [HEAD]
    for name, text in PARTS.items():
        command = ["benchmarks/" + name + ".py", *ARGUMENTS.get(name, ()), *options]
        printed = subprocess.run(
            [sys.executable, *command], cwd=bench.ROOT, check=True, stdout=subprocess.PIPE, text=True
        ).stdout
        print(printed, flush=True)
        page.append(f"{text}\n\n```sh\npython {' '.join(command)}\n```\n\n{printed}")
    if not options:
        (bench.ROOT / "docs" / "performance.md").write_text("\n".join(page))


if __name__ == "__main__":
    main()
