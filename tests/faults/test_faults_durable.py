"""Durable before sent: no request leaves before its intent is on the disk, as the system calls of a sender show."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import mailing_sender
import pytest
from fault_trace import Event, record, too_early
from mailing_house import SECRET, House
from resend_server import ResendServer
from smtp_servers import dumped, smtp_sink
from sqlalchemy import select

from newsletter.mailing.tables import attempt, chunk, delivery

READERS = 120

# Says a token and an address in the order that it is told: "send", "write" (to the log) and "sync".
OTHER_SENDER = """
import os, socket, sys
log, port, token, address, *steps = sys.argv[1:]
handle = os.open(log, os.O_RDWR | os.O_CREAT)
connection = socket.create_connection(("127.0.0.1", int(port)))
for step in steps:
    if step == "send":
        connection.sendall(b"RCPT TO:<" + address.encode() + b">")
    elif step == "write":
        os.pwrite(handle, b"INSERT " + token.encode(), 0)
    elif step == "sync":
        os.fdatasync(handle)
"""


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path / "project")
    made.enrol(range(1, READERS + 1))
    made.engine.dispose()
    return made


def traced_sender(house: House, carrier: str) -> list[Event]:
    path = os.pathsep.join(sys.path)
    command = ["env", f"PYTHONPATH={path}", sys.executable, mailing_sender.__file__, str(house.root), carrier]
    return record(command, house.root / "trace")


def intents(house: House) -> Mapping[str, set[str]]:
    """Return the readers' addresses by the token of every claim, as the ledger tells."""
    place = delivery.c.seq.between(chunk.c.first, chunk.c.first + chunk.c.n - 1)
    query = select(attempt.c.token, delivery.c.reader).join(chunk, chunk.c.seq == attempt.c.chunk).join(delivery, place)
    found: dict[str, set[str]] = {}
    with house.engine.connect() as connection:
        for token, reader in connection.execute(query):
            found.setdefault(token, set()).add(f"reader{reader}@")
    house.engine.dispose()
    return found


@pytest.mark.parametrize("lanes", [1, 3])
def test_no_message_begins_to_leave_before_its_group_is_on_the_disk(house: House, tmp_path: Path, lanes: int) -> None:
    with smtp_sink(tmp_path / "mails") as port:
        events = traced_sender(house, f"smtp:{port}/{lanes}")
    assert len(dumped(tmp_path / "mails")) == READERS
    claims = intents(house)
    assert len(claims) == 3
    assert too_early(events, claims) == []


@pytest.mark.parametrize("lanes", [1, 3])
def test_no_batch_begins_to_leave_before_its_intent_is_on_the_disk(house: House, lanes: int) -> None:
    with ResendServer(SECRET) as server:
        events = traced_sender(house, f"resend:{server.url.rpartition(':')[2]}/{lanes}")
    assert server.got == {f"reader{number}@example.org": 1 for number in range(1, READERS + 1)}
    claims = intents(house)
    assert len(claims) == 2
    assert too_early(events, claims) == []


@pytest.mark.parametrize(
    ("steps", "right"),
    [
        ("write sync send", True),
        ("send write sync", False),
        ("write send sync", False),
        ("sync write send", False),
        ("write send", False),
        ("sync send", False),
        ("write sync", False),
    ],
)
def test_a_program_that_sends_first_is_found_out(tmp_path: Path, steps: str, right: bool) -> None:
    token = "0123456789abcdef0123456789abcdef"
    with smtp_sink(tmp_path / "mails") as port:
        given = [str(tmp_path / "some.db-wal"), str(port), token, "reader1@example.org", *steps.split()]
        events = record([sys.executable, "-c", OTHER_SENDER, *given], tmp_path / "trace")
    assert (too_early(events, {token: {"reader1@"}}) == []) is right
