"""SMTP from several threads: a connection for each call under way, kept for the next, all of them left politely."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from provider_contract import envelope
from smtp_servers import HANG_UP, ScriptedServer, dumped, smtp_sink
from test_providers_smtp import carrier_for

from newsletter.errors import NewsletterError, TryLaterError
from newsletter.providers.base import Outcome, ProviderStoppedError, Receipt
from newsletter.providers.smtp import RECONNECT_AFTER, Smtp


class Meeting(ScriptedServer):
    """A server that takes no message before so many are under way at once; later ones go through."""

    def __init__(self, number: int, replies: dict[str, list[str]] | None = None) -> None:
        super().__init__(replies)
        self._meeting = threading.Barrier(number)
        self._met = False
        self.leaving: threading.Barrier | None = None

    def _reply(self, connection: socket.socket, lines: Any, command: str) -> str:
        if command == "QUIT" and self.leaving:
            self.leaving.wait(1)
        return super()._reply(connection, lines, command)

    def _message(self, lines: Any) -> bytes:
        data = super()._message(lines)
        if not self._met:
            self._meeting.wait(10)
            self._met = True
        return data

    def verbs_of(self, connection: int) -> list[str]:
        return [
            line.split(" ")[0].split(":")[0].upper() for number, line in list(self.commands) if number == connection
        ]


def deliver(carrier: Smtp, readers: range) -> list[Receipt]:
    return [carrier.deliver(envelope(reader)) for reader in readers]


@pytest.fixture
def three() -> Iterator[tuple[Meeting, Smtp]]:
    """A server and a carrier with three connections, all idle."""
    with Meeting(3) as server, ThreadPoolExecutor(3) as threads:
        carrier = carrier_for(server.port, timeout="0.5", final_timeout="10")
        assert {r.outcome for r in threads.map(carrier.deliver, map(envelope, range(3)))} == {Outcome.ACCEPTED}
        assert server.connections == 3
        yield server, carrier
        carrier.close()


def test_each_call_under_way_has_a_connection_and_an_idle_one_serves_the_next(three: tuple[Meeting, Smtp]) -> None:
    server, carrier = three
    deliver(carrier, range(3, 9))
    assert server.connections == 3
    carrier.close()
    verbs = [server.verbs_of(number) for number in (1, 2, 3)]
    assert sorted(map(len, verbs)) == [5, 5, 23]  # the one used last is the one used next
    for said in verbs:
        assert (said[0], said[-1], len(said) % 3) == ("EHLO", "QUIT", 2)
        assert said[1:-1] == ["MAIL", "RCPT", "DATA"] * (len(said) // 3)


def test_connections_that_died_while_idle_are_opened_anew_one_by_one(three: tuple[Meeting, Smtp]) -> None:
    server, carrier = three
    server.replies["MAIL"] = [HANG_UP, "250 ok", "421 idle too long", "250 ok"]
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(deliver, carrier, range(10, 13)).result()[0].outcome is Outcome.ACCEPTED
    assert [receipt.outcome for receipt in deliver(carrier, range(13, 16))] == [Outcome.ACCEPTED] * 3
    assert server.connections == 5
    assert len(server.messages) == 9


def test_a_server_that_refuses_us_stops_one_call_and_the_others_keep_their_connections(
    three: tuple[Meeting, Smtp],
) -> None:
    server, carrier = three
    server.replies["MAIL"] = ["550 5.7.1 sender refused"]
    with pytest.raises(ProviderStoppedError, match="refuses our mail"):
        carrier.deliver(envelope(4))
    assert carrier.deliver(envelope(5)).outcome is Outcome.ACCEPTED
    assert server.connections == 3


def test_all_connections_are_told_before_any_is_waited_for(three: tuple[Meeting, Smtp]) -> None:
    server, carrier = three
    server.leaving = threading.Barrier(3)
    carrier.close()
    assert not server.leaving.broken
    server.leaving = None
    carrier.close()
    assert carrier.deliver(envelope(6)).outcome is Outcome.ACCEPTED


def test_many_threads_deliver_every_message_once_to_postfix(tmp_path: Path) -> None:
    with smtp_sink(tmp_path / "dump") as port, ThreadPoolExecutor(8) as threads:
        carrier = carrier_for(port)
        parts = list(threads.map(lambda n: deliver(carrier, range(100 * n, 100 * n + 50)), range(8)))
        carrier.close()
    assert Counter(receipt.outcome for part in parts for receipt in part) == {Outcome.ACCEPTED: 400}
    expected = [(f"<reader{100 * n + k}@example.org>", envelope(100 * n + k).data) for n in range(8) for k in range(50)]
    assert sorted((rcpt, data) for _, rcpt, data in dumped(tmp_path / "dump")) == sorted(expected)


@pytest.mark.parametrize(
    ("command", "reply", "waits"),
    [
        ("MAIL", "450 4.3.2 not now", True),
        ("MAIL", "421 too busy", True),
        ("RCPT", "421 too many of you", True),
        ("DATA", "421 shutting down", True),
        (".", "421 shutting down", True),
        ("MAIL", HANG_UP, True),
        ("RCPT", HANG_UP, True),
        ("DATA", HANG_UP, True),
        ("RCPT", "450 4.2.0 greylisted", False),
        ("DATA", "451 4.3.0 cannot take it", False),
        (".", "451 4.7.1 greylisted", False),
    ],
)
def test_what_the_server_has_against_us_asks_for_a_pause_and_what_it_has_against_a_reader_does_not(
    command: str, reply: str, waits: bool
) -> None:
    with ScriptedServer({command: [reply]}) as server:
        carrier = carrier_for(server.port)
        receipt = carrier.deliver(envelope(1))
        kept = len(carrier._idle)
        carrier.close()
    assert kept == (0 if reply == HANG_UP or reply.startswith("421") else 1)
    assert (receipt.outcome, receipt.retry_after) == (Outcome.DEFERRED, RECONNECT_AFTER if waits else None)


def test_the_terms_come_from_the_settings_and_are_careful_by_default() -> None:
    careful = carrier_for(25)
    assert (careful.connections, careful.rate, careful.domains) == (2, None, {})
    agreed = carrier_for(25, connections="8", rate="50", domains={"Gmail.com": 5})
    assert (agreed.connections, agreed.rate, agreed.domains) == (8, 50.0, {"gmail.com": 5.0})
    for wrong in ({"gmail.com": 0}, {"a@gmail.com": 5}, {"gmail.com": "fast"}):
        with pytest.raises(NewsletterError, match=r"gmail\.com"):
            carrier_for(25, domains=wrong)


def test_a_probe_logs_in_and_sends_nothing_and_its_connection_serves_the_first_message() -> None:
    with ScriptedServer() as server:
        carrier = carrier_for(server.port)
        assert carrier.probe() == "it lets us in"
        assert server.verbs() == ["EHLO"]
        assert carrier.deliver(envelope(1)).outcome is Outcome.ACCEPTED
        assert server.connections == 1
    with ScriptedServer({"CONNECT": ["554 go away"]}) as server, pytest.raises(ProviderStoppedError, match="go away"):
        carrier_for(server.port).probe()
    with ScriptedServer({"CONNECT": ["421 later"]}) as server, pytest.raises(TryLaterError, match="421 later"):
        carrier_for(server.port).probe()
