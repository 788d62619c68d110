"""A sender in a process of its own, to be killed: ROOT CARRIER [DIE_AT [DATABASE]].

CARRIER is outbox, smtp:PORT, resend:PORT, the latter two also with /LANES, or the name of a scripted carrier. Mail by
SMTP is signed when there is a key ROOT/dkim.pem. A scripted carrier kills its process with SIGKILL when it is handed
reader DIE_AT; every reader it was handed is a line of ROOT/handed. After every message a line is printed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import mailing_carriers
from mailing_house import House

from newsletter.errors import NewsletterError
from newsletter.mailing import dispatch
from newsletter.providers.base import Batch, Provider, Receipt
from newsletter.providers.registry import open_provider


def scripted(kind: str, log: Path, die_at: int) -> Provider:
    def note(reader: int) -> None:
        with log.open("a") as handle:
            handle.write(f"{reader}\n")
        if reader == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def one(reader: int) -> Receipt:
        note(reader)
        return mailing_carriers.ACCEPTED

    def many(batch: Batch) -> Receipt:
        for recipient in batch.recipients:
            note(recipient.reader)
        return mailing_carriers.ACCEPTED

    carrier = getattr(mailing_carriers, kind)
    made: Provider = carrier(many if issubclass(carrier, mailing_carriers.Batches) else one)
    return made


def provider(kind: str, root: Path, die_at: int) -> Provider:
    if kind == "outbox":
        return open_provider({"name": "outbox", "folder": "outbox"}, root)
    name, _, where = kind.partition(":")
    port, _, lanes = where.partition("/")
    if name == "smtp":
        smtp = {"name": name, "host": "127.0.0.1", "port": port, "security": "none", "connections": lanes or 2}
        keys = [{"selector": "test", "key": "file:dkim.pem"}] if (root / "dkim.pem").exists() else []
        return open_provider({**smtp, "dkim": keys}, root)
    if name == "resend":
        api = {"name": name, "key": "file:secret.key", "base_url": f"http://127.0.0.1:{port}", "rate": 10_000}
        return open_provider({**api, "connections": lanes or 2}, root)
    return scripted(kind, root / "handed", die_at)


def main(root: str, kind: str, die_at: str = "0", database: str = "sqlite:///newsletter.db") -> None:
    house = House(Path(root), url=database)
    order = house.order(provider(kind, house.root, int(die_at)))
    try:
        dispatch.send(order, lambda progress: print(progress.done, flush=True))  # noqa: T201 - what the test counts
    except NewsletterError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main(*sys.argv[1:])
