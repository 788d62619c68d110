"""SMTP with the commands of the following message behind the one before: one round trip a message (RFC 2920, 3.1)."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from provider_contract import envelope
from smtp_servers import HANG_UP, RESET, SILENCE, ScriptedServer, dumped, smtp_sink
from test_providers_smtp import _everything_is_closed_after_a_test, carrier_for, scripted

from newsletter.providers import smtp
from newsletter.providers.base import Outcome, ProviderStoppedError, Receipt
from newsletter.providers.smtp import Smtp

pytestmark = pytest.mark.usefixtures(_everything_is_closed_after_a_test.__name__)

GROUP = ["MAIL", "RCPT", "DATA"]


class Listening(ScriptedServer):
    """A server that notes whether more had come with a message when it ended."""

    def __init__(self, replies: dict[str, list[str]] | None = None, features: Sequence[str] = ("PIPELINING",)) -> None:
        super().__init__(replies, features)
        self.more: list[bytes] = []

    def _message(self, lines: Any) -> bytes:
        data = super()._message(lines)
        self.more.append(bytes(lines.peek()[:4]) if _readable(lines) else b"")
        return data


def _readable(lines: Any) -> bool:
    """Whether the reader has more at hand, or the socket does."""
    raw: socket.socket = lines.raw._sock
    raw.setblocking(False)
    try:
        return bool(lines.peek())
    finally:
        raw.setblocking(True)


def in_a_row(carrier: Smtp, readers: Sequence[int]) -> list[Receipt]:
    """Deliver messages, each with the next one named."""
    after = [*readers[1:], None]
    return [
        carrier.deliver(envelope(reader), None if following is None else envelope(following))
        for reader, following in zip(readers, after, strict=True)
    ]


def outcomes(receipts: Sequence[Receipt]) -> list[Outcome]:
    return [receipt.outcome for receipt in receipts]


def recipients(server: ScriptedServer) -> list[str]:
    return [line.split("reader")[1].split("@")[0] for _, line in server.commands if line.startswith("RCPT")]


def test_the_commands_of_the_following_message_leave_with_the_message_before() -> None:
    with Listening() as server:
        assert outcomes(in_a_row(carrier_for(server.port), [1, 2, 3])) == [Outcome.ACCEPTED] * 3
        assert server.more == [b"MAIL", b"MAIL", b""]
        assert server.verbs()[1:] == GROUP * 3
        assert server.connections == 1


@pytest.mark.parametrize("features", [("8BITMIME",), ()])
def test_a_server_that_does_not_offer_it_gets_every_command_alone(features: tuple[str, ...]) -> None:
    with Listening(features=features) as server:
        assert outcomes(in_a_row(carrier_for(server.port), [1, 2, 3])) == [Outcome.ACCEPTED] * 3
        assert server.more == [b"", b"", b""]


def test_a_message_that_cannot_be_asked_for_is_refused_in_its_own_turn() -> None:
    strange = envelope(2)._replace(recipient="a b@example.org")
    with Listening() as server:
        carrier = carrier_for(server.port)
        assert carrier.deliver(envelope(1), strange).outcome is Outcome.ACCEPTED
        assert carrier.deliver(strange, envelope(3)).outcome is Outcome.REJECTED
        assert carrier.deliver(envelope(3)).outcome is Outcome.ACCEPTED
        assert server.more == [b"", b""]
        assert recipients(server) == ["1", "3"]


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ({"END": ["250 ok", "550 spam"]}, [Outcome.ACCEPTED, Outcome.REJECTED, Outcome.ACCEPTED, Outcome.ACCEPTED]),
        ({"END": ["451 later"]}, [Outcome.DEFERRED, Outcome.ACCEPTED, Outcome.ACCEPTED, Outcome.ACCEPTED]),
        ({"RCPT": ["250 ok", "550 who"]}, [Outcome.ACCEPTED, Outcome.REJECTED, Outcome.ACCEPTED, Outcome.ACCEPTED]),
        ({"RCPT": ["250 ok", "451 grey"]}, [Outcome.ACCEPTED, Outcome.DEFERRED, Outcome.ACCEPTED, Outcome.ACCEPTED]),
        ({"DATA": ["354 go", "451 no"]}, [Outcome.ACCEPTED, Outcome.DEFERRED, Outcome.ACCEPTED, Outcome.ACCEPTED]),
    ],
)
def test_a_refusal_is_about_its_own_message_only(replies: dict[str, list[str]], expected: list[Outcome]) -> None:
    with scripted(**replies) as (server, carrier):
        assert outcomes(in_a_row(carrier, [1, 2, 3, 4])) == expected
        assert recipients(server) == ["1", "2", "3", "4"]


@pytest.mark.parametrize("end", [HANG_UP, RESET, "421 enough"])
def test_a_server_that_leaves_before_a_message_was_begun_is_asked_again(end: str) -> None:
    """The reply to the message before was there: nothing of this one has left."""
    with scripted(MAIL=["250 ok", end]) as (server, carrier):
        assert outcomes(in_a_row(carrier, [1, 2, 3])) == [Outcome.ACCEPTED] * 3
        assert len(server.messages) == 3
        assert server.connections == 2


@pytest.mark.parametrize("end", [HANG_UP, SILENCE])
def test_only_the_message_whose_reply_is_missing_is_unknown(end: str) -> None:
    with scripted(END=["250 ok", end]) as (server, carrier):
        assert outcomes(in_a_row(carrier, [1, 2, 3, 4])) == [
            Outcome.ACCEPTED,
            Outcome.UNKNOWN,
            Outcome.ACCEPTED,
            Outcome.ACCEPTED,
        ]
        assert recipients(server) == ["1", "2", "3", "4"]


def test_one_connection_finds_out_for_all_whether_groups_are_borne() -> None:
    with Listening() as server:
        carrier = carrier_for(server.port)
        carrier.deliver(envelope(1), envelope(2))
        assert carrier.deliver(envelope(11), envelope(12)).outcome is Outcome.ACCEPTED
        assert server.more == [b"MAIL", b""]
        carrier.deliver(envelope(2), envelope(3))  # now it is known
        carrier.deliver(envelope(12), envelope(13))
        assert server.more == [b"MAIL", b"", b"MAIL", b"MAIL"]


def test_when_the_first_one_came_to_nothing_another_one_finds_out() -> None:
    with Listening() as server:
        carrier = carrier_for(server.port)
        carrier.deliver(envelope(1), envelope(2))
        carrier.retract(envelope(2))
        carrier.deliver(envelope(3), envelope(4))
        assert server.more == [b"MAIL", b"MAIL"]


def test_after_a_missing_reply_no_message_is_begun_behind_another() -> None:
    """A server that bears no groups may answer them by silence: that may cost one reader, not one each."""
    with Listening({".": [HANG_UP]}) as server:
        carrier = carrier_for(server.port)
        assert outcomes(in_a_row(carrier, [1, 2, 3, 4])) == [Outcome.UNKNOWN, *[Outcome.ACCEPTED] * 3]
        assert server.more == [b"MAIL", b"", b"", b""]


def test_a_server_that_refuses_the_group_gets_no_more_of_them() -> None:
    with Listening({"MAIL": ["250 ok", "554 improper pipelining"]}) as server:
        carrier = carrier_for(server.port)
        assert outcomes(in_a_row(carrier, [1, 2, 3, 4])) == [Outcome.ACCEPTED] * 4
        assert server.more == [b"MAIL", b"", b"", b""]
        assert server.connections == 2


class HangsUpAfterRefusing(Listening):
    def _reply(self, connection: socket.socket, lines: Any, command: str) -> str:
        said = super()._reply(connection, lines, command)
        if said.startswith("554"):
            raise ConnectionAbortedError
        return said


def test_a_server_that_refuses_the_group_and_hangs_up_gets_no_more_of_them() -> None:
    with HangsUpAfterRefusing({"MAIL": ["250 ok", "554 synchronization error"]}) as server:
        carrier = carrier_for(server.port)
        assert outcomes(in_a_row(carrier, [1, 2, 3, 4])) == [Outcome.ACCEPTED] * 4
        assert server.more == [b"MAIL", b"", b"", b""]


@pytest.mark.parametrize(
    "replies",
    [
        {"RCPT": ["250 ok", "503 MAIL first"], "DATA": ["354 go", "503 RCPT first"]},
        {"DATA": ["354 go", "503 RCPT first"]},
        {"RCPT": ["250 ok", "500 what?"], "DATA": ["354 go", "500 what?"]},
        {"MAIL": ["250 ok", "500 what?"], "RCPT": ["250 ok", "500 what?"], "DATA": ["354 go", "500 what?"]},
    ],
)
def test_commands_that_are_out_of_order_behind_a_message_are_no_readers_fault(replies: dict[str, list[str]]) -> None:
    with Listening(replies) as server:
        carrier = carrier_for(server.port)
        assert outcomes(in_a_row(carrier, [1, 2, 3])) == [Outcome.ACCEPTED] * 3
        assert server.more == [b"MAIL", b"", b""]


def test_a_refused_reader_whose_data_is_out_of_order_then_is_refused() -> None:
    with scripted(RCPT=["250 ok", "550 who"], DATA=["354 go", "503 RCPT first"]) as (server, carrier):
        assert outcomes(in_a_row(carrier, [1, 2, 3])) == [Outcome.ACCEPTED, Outcome.REJECTED, Outcome.ACCEPTED]
        assert recipients(server) == ["1", "2", "3"]
        assert server.connections == 1


class Forgetful(Listening):
    """A server that throws away what came behind a message."""

    def _message(self, lines: Any) -> bytes:
        data = super()._message(lines)
        while _readable(lines):
            lines.readline()
        return data


def test_a_server_that_throws_the_group_away_costs_one_wait() -> None:
    with Forgetful() as server:
        carrier = carrier_for(server.port, timeout="0.5", final_timeout="5")
        assert outcomes(in_a_row(carrier, range(1, 7))) == [Outcome.ACCEPTED] * 6
        assert server.connections == 2  # who waits in vain opens another one


def test_a_server_is_not_believed_to_wait_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have hung up since, and a message that is written then is one that nobody knows of."""
    monkeypatch.setattr(smtp, "BEGUN_FOR", 0.05)
    with scripted() as (server, carrier):
        carrier.deliver(envelope(1), envelope(2))
        time.sleep(0.1)
        assert carrier.deliver(envelope(2)).outcome is Outcome.ACCEPTED
        assert server.connections == 2
        assert len(server.messages) == 2


class Slow(ScriptedServer):
    """A server that looks at each message for a while before it answers."""

    def _message(self, lines: Any) -> bytes:
        data = super()._message(lines)
        time.sleep(0.6)
        return data


def test_a_slow_server_waits_from_its_answer_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "BEGUN_FOR", 0.5)
    with Slow() as server:
        assert outcomes(in_a_row(carrier_for(server.port), [1, 2, 3])) == [Outcome.ACCEPTED] * 3
        assert server.connections == 1


class HangsUpAtRset(ScriptedServer):
    def _reply(self, connection: socket.socket, lines: Any, command: str) -> str:
        if command == "RSET":
            raise ConnectionAbortedError
        return super()._reply(connection, lines, command)


def test_a_clear_refusal_is_believed_although_the_server_hangs_up_then() -> None:
    with HangsUpAtRset({"RCPT": ["250 ok", "550 who"], "DATA": ["354 go", "554 no valid recipients"]}) as server:
        assert outcomes(in_a_row(carrier_for(server.port), [1, 2, 3])) == [
            Outcome.ACCEPTED,
            Outcome.REJECTED,
            Outcome.ACCEPTED,
        ]
        assert recipients(server) == ["1", "2", "3"]


def test_a_message_that_was_composed_anew_is_asked_for_anew() -> None:
    moved = envelope(2)._replace(recipient="moved@example.org")
    with scripted() as (server, carrier):
        carrier.deliver(envelope(1), envelope(2))
        assert carrier.deliver(moved).outcome is Outcome.ACCEPTED
        assert server.commands[-2][1] == "RCPT TO:<moved@example.org>"
        assert len(server.messages) == 2


def test_a_server_that_refuses_us_is_believed_when_it_says_so_again() -> None:
    with scripted(MAIL=["250 ok", "550 not you", "550 not you"]) as (_, carrier):
        assert carrier.deliver(envelope(1), envelope(2)).outcome is Outcome.ACCEPTED
        with pytest.raises(ProviderStoppedError, match="550 not you"):
            carrier.deliver(envelope(2))


def test_another_message_than_the_one_named_goes_over_another_connection() -> None:
    with scripted() as (server, carrier):
        carrier.deliver(envelope(1), envelope(2))
        assert carrier.deliver(envelope(3)).outcome is Outcome.ACCEPTED
        assert carrier.deliver(envelope(2)).outcome is Outcome.ACCEPTED
        assert server.connections == 2
        assert len(server.messages) == 3


def test_a_message_that_is_retracted_leaves_nothing_open() -> None:
    with scripted() as (server, carrier):
        carrier.deliver(envelope(1), envelope(2))
        carrier.retract(envelope(2))
        assert carrier.deliver(envelope(3)).outcome is Outcome.ACCEPTED
        carrier.close()
        assert server.connections == 2
        assert len(server.messages) == 2


def test_postfix_itself_bears_groups(tmp_path: Path) -> None:
    with smtp_sink(tmp_path / "dump") as port:
        carrier = carrier_for(port)
        assert outcomes(in_a_row(carrier, range(1, 101))) == [Outcome.ACCEPTED] * 100
        carrier.close()
    assert len(dumped(tmp_path / "dump")) == 100
