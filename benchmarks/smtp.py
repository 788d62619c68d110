"""Readers per second through our SMTP carrier, and through smtplib with a connection that is kept: the same bytes."""

from __future__ import annotations

import datetime as dt
import smtplib
import statistics
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import bench

from newsletter.mailing.message import Compiler
from newsletter.providers.base import Envelope, MessageCarrier, Outcome
from newsletter.providers.registry import open_provider


def main() -> None:
    quick = bench.quick(__doc__ or "")
    number = 200 if quick else 2000
    with bench.sample_project() as root, carriers() as (ours, theirs):
        envelopes = composed(root, number)

        def send_ours() -> None:
            for envelope in envelopes:
                assert ours.deliver(envelope).outcome is Outcome.ACCEPTED

        def send_theirs() -> None:
            for envelope in envelopes:
                theirs.sendmail(envelope.sender, [envelope.recipient], envelope.data)

        send_ours()
        send_theirs()
        seconds = bench.by_turns(3 if quick else 9, send_ours, send_theirs)
    rates = [number / statistics.median(side) for side in seconds]
    rows = [
        ("ours", f"{rates[0]:,.0f}", bench.ratio(seconds[1], seconds[0])),
        ("smtplib, one connection", f"{rates[1]:,.0f}", "1"),
    ]
    bench.table((f"{len(envelopes[0].data):,} bytes each into smtp-sink", "readers per second", "times smtplib"), rows)


def composed(root: Path, number: int) -> list[Envelope]:
    project, edition = bench.edition_of(root)
    moment = dt.datetime.now(dt.UTC)
    compiler = Compiler(edition, project.settings, bench.LIST, project.secret(), "bench", moment)
    return [compiler.compose(n, f"reader{n}@example.org", f"Reader {n}") for n in range(1, number + 1)]


@contextmanager
def carriers() -> Iterator[tuple[MessageCarrier, smtplib.SMTP]]:
    """Open both sides, each to a sink of its own kind: they do not share a queue."""
    with bench.smtp_sink() as port, bench.smtp_sink() as other_port:
        ours = open_provider({"name": "smtp", "host": "127.0.0.1", "port": str(port), "security": "none"}, Path())
        assert isinstance(ours, MessageCarrier)
        with closing(ours), smtplib.SMTP("127.0.0.1", other_port, local_hostname="localhost") as theirs:
            yield ours, theirs


if __name__ == "__main__":
    main()
