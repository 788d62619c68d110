from __future__ import annotations

import contextlib
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from provider_contract import SECRET, MessageCarrierContract, envelope
from smtp_servers import HANG_UP, RESET, SILENCE, ScriptedServer, dumped, free_port, smtp_sink

from newsletter.providers.base import Envelope, MessageCarrier, Outcome, ProviderStoppedError
from newsletter.providers.registry import open_provider
from newsletter.providers.smtp import RECONNECT_AFTER, Smtp

OPENED: list[Smtp] = []


@pytest.fixture(autouse=True)
def _everything_is_closed_after_a_test() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


def carrier_for(port: int, **settings: object) -> Smtp:
    given = {"name": "smtp", "host": "127.0.0.1", "port": str(port), "timeout": "5", "final_timeout": "5", **settings}
    opened = open_provider(given, Path())
    assert isinstance(opened, Smtp)
    OPENED.append(opened)
    return opened


@contextlib.contextmanager
def scripted(*features: str, **replies: list[str]) -> Iterator[tuple[ScriptedServer, Smtp]]:
    """A scripted server with a carrier for it; `END` is the reply to the final dot."""
    named = {"." if command == "END" else command: list(given) for command, given in replies.items()}
    with ScriptedServer(named, features or ("PIPELINING", "8BITMIME", "SIZE 1000000")) as server:
        carrier = carrier_for(server.port, timeout="0.5", final_timeout="0.5")
        yield server, carrier
        carrier.close()


class SinkContract(MessageCarrierContract):
    options: tuple[str, ...] = ()

    @pytest.fixture
    def carrier(self, tmp_path: Path) -> Iterator[MessageCarrier]:
        with smtp_sink(tmp_path / "dump", *self.options) as port:
            carrier = carrier_for(port)
            carrier.folder = tmp_path / "dump"  # type: ignore[attr-defined]
            yield carrier
            carrier.close()

    def arrived(self, carrier: MessageCarrier) -> list[bytes]:
        return [message for _, _, message in dumped(carrier.folder)]  # type: ignore[attr-defined]


class TestSmtpToPostfix(SinkContract):
    pass


class TestSmtpToPostfixWithoutPipelining(SinkContract):
    options = ("-p",)


class TestSmtpToPostfixWithoutExtensions(SinkContract):
    options = ("-e",)


def test_the_envelope_names_the_return_path_and_the_reader(tmp_path: Path) -> None:
    with smtp_sink(tmp_path / "dump") as port:
        carrier = carrier_for(port)
        carrier.deliver(envelope(7))
        carrier.close()
    assert [(mail, rcpt) for mail, rcpt, _ in dumped(tmp_path / "dump")] == [
        ("<bounces+7@example.org>", "<reader7@example.org>")
    ]


@pytest.mark.parametrize(
    ("options", "outcome"),
    [
        (("-r", "MAIL"), Outcome.DEFERRED),
        (("-r", "RCPT"), Outcome.DEFERRED),
        (("-r", "DATA"), Outcome.DEFERRED),
        (("-r", "."), Outcome.DEFERRED),
        (("-f", "RCPT"), Outcome.REJECTED),
        (("-f", "DATA"), Outcome.REJECTED),
        (("-f", "."), Outcome.REJECTED),
        (("-Q", "MAIL"), Outcome.DEFERRED),
        (("-Q", "RCPT"), Outcome.DEFERRED),
        (("-Q", "DATA"), Outcome.DEFERRED),
        (("-Q", "."), Outcome.DEFERRED),
        (("-q", "CONNECT"), Outcome.DEFERRED),
        (("-q", "EHLO"), Outcome.DEFERRED),
        (("-q", "MAIL"), Outcome.DEFERRED),
        (("-q", "RCPT"), Outcome.DEFERRED),
        (("-q", "DATA"), Outcome.DEFERRED),
        (("-q", "."), Outcome.UNKNOWN),
        (("-r", "CONNECT"), Outcome.DEFERRED),
        (("-Q", "EHLO"), Outcome.DEFERRED),
    ],
)
def test_postfix_refusing_or_hanging_up_at_a_command_decides_the_outcome(
    tmp_path: Path, options: tuple[str, ...], outcome: Outcome
) -> None:
    with smtp_sink(tmp_path / "dump", *options) as port:
        carrier = carrier_for(port)
        for reader in (1, 2, 3):
            receipt = carrier.deliver(envelope(reader))
            assert receipt.outcome is outcome, receipt
            assert receipt.detail
            assert "\n" not in receipt.detail
        carrier.close()


@pytest.mark.parametrize("command", ["CONNECT", "EHLO,HELO", "MAIL"])
def test_postfix_refusing_us_for_good_stops_the_run(tmp_path: Path, command: str) -> None:
    with smtp_sink(tmp_path / "dump", "-f", command) as port:
        carrier = carrier_for(port)
        with pytest.raises(ProviderStoppedError, match="500"):
            carrier.deliver(envelope(1))
        carrier.close()


def test_a_server_that_aborts_after_data_took_nothing_for_good(tmp_path: Path) -> None:
    with smtp_sink(tmp_path / "dump", "-A", "0") as port:
        carrier = carrier_for(port)
        receipt = carrier.deliver(envelope(1))
        assert receipt.outcome in (Outcome.REJECTED, Outcome.DEFERRED, Outcome.UNKNOWN)
        assert receipt.outcome is not Outcome.ACCEPTED


def test_one_connection_serves_all_readers_and_ends_politely() -> None:
    with scripted() as (server, carrier):
        for reader in range(5):
            assert carrier.deliver(envelope(reader)).outcome is Outcome.ACCEPTED
        carrier.close()
        assert server.connections == 1
        assert server.verbs() == ["EHLO", *["MAIL", "RCPT", "DATA"] * 5, "QUIT"]
        assert server.messages == [envelope(reader).data for reader in range(5)]


def test_size_and_8_bits_are_announced_where_the_server_takes_them() -> None:
    message = "Subject: x\r\n\r\nCôte\r\n".encode()
    with scripted() as (server, carrier):
        assert carrier.deliver(envelope(1, data=message)).outcome is Outcome.ACCEPTED
        assert (1, f"MAIL FROM:<bounces+1@example.org> SIZE={len(message)} BODY=8BITMIME") in server.commands
    with scripted("PIPELINING") as (server, carrier):
        assert carrier.deliver(envelope(1)).outcome is Outcome.ACCEPTED
        assert (1, "MAIL FROM:<bounces+1@example.org>") in server.commands
        receipt = carrier.deliver(envelope(1, data=message))
        assert (receipt.outcome, receipt.detail) == (
            Outcome.REJECTED,
            "the server takes no message in 8 bits (8BITMIME)",
        )


def test_an_address_in_other_letters_needs_a_server_that_takes_it() -> None:
    reader = Envelope(1, "m/1", "", "jürgen@xn--mller-kva.example.org", b"Subject: x\r\n\r\nx\r\n")
    with scripted("SMTPUTF8", "PIPELINING") as (server, carrier):
        assert carrier.deliver(reader).outcome is Outcome.ACCEPTED
        assert (1, "MAIL FROM:<> SMTPUTF8") in server.commands
        assert (1, "RCPT TO:<jürgen@xn--mller-kva.example.org>") in server.commands
    with scripted("PIPELINING") as (server, carrier):
        receipt = carrier.deliver(reader)
        assert receipt.outcome is Outcome.REJECTED
        assert "SMTPUTF8" in receipt.detail
        assert server.messages == []


@pytest.mark.parametrize(
    "address",
    ["a@example.org>\r\nRCPT TO:<b@example.org", "a b@example.org", "", "a@b@example.org ", "no-at", "a@example.org\0"],
)
def test_an_address_that_would_break_the_command_is_rejected_and_not_written(address: str) -> None:
    with scripted() as (server, carrier):
        receipt = carrier.deliver(Envelope(1, "m/1", "bounces@example.org", address, b"x\r\n"))
        assert receipt.outcome is Outcome.REJECTED
        assert carrier.deliver(envelope(2)).outcome is Outcome.ACCEPTED
        assert server.verbs().count("RCPT") == 1


def test_a_line_that_starts_with_a_dot_does_not_end_the_message_early() -> None:
    message = b".Subject: x\r\n\r\nfirst\r\n.\r\nMAIL FROM:<x>\r\n..\r\nend\r\n"
    with scripted() as (server, carrier):
        assert carrier.deliver(envelope(1, data=message)).outcome is Outcome.ACCEPTED
        stuffed = message.replace(b"\r\n.", b"\r\n..").replace(b".Subject", b"..Subject")
        assert server.messages == [stuffed]


def test_a_lost_reply_after_the_message_leaves_that_reader_unknown_and_only_that_one() -> None:
    for lost in (HANG_UP, SILENCE, RESET, "what?", "250", "299-a\r\n2", "354 again"):
        with scripted(END=["250 ok", lost]) as (server, carrier):
            outcomes = [carrier.deliver(envelope(reader)).outcome for reader in (1, 2, 3)]
            expected = Outcome.ACCEPTED if lost == "250" else Outcome.UNKNOWN
            assert outcomes == [Outcome.ACCEPTED, expected, Outcome.ACCEPTED], lost
            assert len(server.messages) == 3


def test_a_connection_that_died_between_two_messages_is_opened_anew_without_a_word() -> None:
    for died in (HANG_UP, RESET, "421 4.4.2 idle too long", "421 too many messages"):
        for features in ("PIPELINING", "SIZE"):
            with scripted(features, MAIL=["250 ok", died]) as (server, carrier):
                outcomes = [carrier.deliver(envelope(reader)).outcome for reader in (1, 2, 3)]
                assert outcomes == [Outcome.ACCEPTED] * 3, died
                assert server.connections == 2
                assert len(server.messages) == 3


def test_a_connection_that_dies_at_once_and_again_defers_the_reader() -> None:
    with scripted(MAIL=["250 ok", HANG_UP, HANG_UP]) as (server, carrier):
        outcomes = [carrier.deliver(envelope(reader)).outcome for reader in (1, 2, 3)]
        assert outcomes == [Outcome.ACCEPTED, Outcome.DEFERRED, Outcome.ACCEPTED]
        assert server.connections == 3


def test_a_connection_that_dies_while_the_message_is_asked_for_defers_the_reader() -> None:
    for place in ("RCPT", "DATA"):
        for died in (HANG_UP, SILENCE, "what?", "250-more\r\nx"):
            with scripted(**{place: ["250 ok", died]} if place == "RCPT" else {place: [died]}) as (server, carrier):
                outcomes = [carrier.deliver(envelope(reader)).outcome for reader in (1, 2)]
                assert Outcome.UNKNOWN not in outcomes
                assert len(server.messages) == outcomes.count(Outcome.ACCEPTED)


def test_a_refused_reader_does_not_trouble_the_next_one() -> None:
    refusals = ["250 ok", "550 5.1.1 no such user", "450 4.2.0 greylisted", "250 ok"]
    for features, data in (("PIPELINING", []), ("PIPELINING", ["354 go"] * 4), ("SIZE", [])):
        with scripted(features, RCPT=list(refusals), DATA=data) as (server, carrier):
            receipts = [carrier.deliver(envelope(reader)) for reader in (1, 2, 3, 4)]
            assert [receipt.outcome for receipt in receipts] == [
                Outcome.ACCEPTED,
                Outcome.REJECTED,
                Outcome.DEFERRED,
                Outcome.ACCEPTED,
            ]
            assert receipts[1].detail == "550 5.1.1 no such user"
            assert server.connections == 1
            assert [message for message in server.messages if message] == [envelope(1).data, envelope(4).data]


def test_a_refusal_holds_though_the_connection_is_lost_while_leaving_the_transaction() -> None:
    with scripted("SIZE", RCPT=["550 no such user"], RSET=[HANG_UP]) as (server, carrier):
        assert carrier.deliver(envelope(1)).outcome is Outcome.REJECTED
        assert carrier.deliver(envelope(2)).outcome is Outcome.ACCEPTED
        assert server.connections == 2


def test_a_message_too_large_is_this_messages_fault_and_a_refused_sender_ours() -> None:
    with scripted(MAIL=["552 5.3.4 too big"], RCPT=["503 no"], DATA=["503 no"]) as (_, carrier):
        assert carrier.deliver(envelope(1)).outcome is Outcome.REJECTED
        assert carrier.deliver(envelope(2)).outcome is Outcome.ACCEPTED
    for reply in ("550 5.7.1 sender refused", "530 5.7.0 log in first", "553 not your address"):
        with scripted(MAIL=[reply]) as (_, carrier):
            with pytest.raises(ProviderStoppedError, match=f"127.0.0.1:[0-9]+ refuses our mail: {reply}"):
                carrier.deliver(envelope(1))
            assert carrier.deliver(envelope(2)).outcome is Outcome.ACCEPTED


def test_a_server_that_does_not_relay_for_us_stops_the_run_before_every_reader_is_marked_rejected() -> None:
    refused = "554 5.7.1 <reader1@example.org>: Relay access denied"
    stopped = pytest.raises(ProviderStoppedError, match="does not pass mail on for us")
    with scripted("SIZE", RCPT=[refused]) as (_, carrier), stopped:
        carrier.deliver(envelope(1))
    with scripted("SIZE", RCPT=["250 ok", refused]) as (_, carrier):
        outcomes = [carrier.deliver(envelope(reader)).outcome for reader in (1, 2)]
        assert outcomes == [Outcome.ACCEPTED, Outcome.REJECTED]
    stopped = pytest.raises(ProviderStoppedError, match="STARTTLS")
    with scripted("SIZE", RCPT=["530 5.7.0 Must issue a STARTTLS command first"]) as (_, carrier), stopped:
        carrier.deliver(envelope(1))


def test_a_server_out_of_step_defers_the_reader_and_is_left() -> None:
    with scripted("SIZE", DATA=["250 what message?"]) as (server, carrier):
        receipt = carrier.deliver(envelope(1))
        assert receipt.outcome is Outcome.DEFERRED
        assert "out of step" in receipt.detail
        assert carrier.deliver(envelope(2)).outcome is Outcome.ACCEPTED
        assert server.connections == 2


def test_an_endless_reply_is_no_reply() -> None:
    for endless in ("250-x\r\n" * 150 + "250 x", "250 " + "x" * 10_000):
        with scripted(END=[endless]) as (_, carrier):
            receipt = carrier.deliver(envelope(1))
            assert receipt.outcome is Outcome.UNKNOWN
            assert "an endless reply" in receipt.detail


def test_a_reply_in_several_lines_and_strange_bytes_is_reported_in_one_short_line() -> None:
    said = "550-5.7.1 first\tline\r\n550-\x1b[31msecond\r\n550 " + "long " * 100
    with scripted(END=[said]) as (_, carrier):
        receipt = carrier.deliver(envelope(1))
        assert receipt.outcome is Outcome.REJECTED
        assert receipt.detail.startswith("550 5.7.1 first line [31msecond long long")
        assert len(receipt.detail) <= 200
        assert receipt.detail.isprintable()


def test_a_server_that_is_not_there_defers_and_asks_for_a_pause() -> None:
    carrier = carrier_for(free_port())
    receipt = carrier.deliver(envelope(1))
    assert receipt.outcome is Outcome.DEFERRED
    assert receipt.retry_after == RECONNECT_AFTER
    assert "Connection refused" in receipt.detail


def test_a_host_that_does_not_exist_defers() -> None:
    carrier = carrier_for(25, host="no-such-host.invalid", security="none")
    receipt = carrier.deliver(envelope(1))
    assert receipt.outcome is Outcome.DEFERRED
    assert "there is no such host" in receipt.detail


def test_a_name_that_cannot_be_a_host_stops_the_run() -> None:
    carrier = carrier_for(25, host="mail..example.org", security="none")
    with pytest.raises(ProviderStoppedError, match="cannot be the name of a host"):
        carrier.deliver(envelope(1))


def test_a_server_that_says_nothing_at_the_start_defers() -> None:
    with scripted(CONNECT=[SILENCE]) as (_, carrier):
        receipt = carrier.deliver(envelope(1))
        assert receipt.outcome is Outcome.DEFERRED
        assert "no answer in time" in receipt.detail


def test_a_message_the_server_stops_reading_is_deferred_because_its_end_never_left() -> None:
    huge = b"Subject: x\r\n\r\n" + b"x" * 30_000_000 + b"\r\n"

    class Deaf(ScriptedServer):
        def _message(self, lines: object) -> bytes:
            time.sleep(1.2)
            raise ConnectionAbortedError(lines)

    with Deaf() as server:
        carrier = carrier_for(server.port, timeout="0.5")
        assert carrier.deliver(envelope(1, data=huge)).outcome is Outcome.DEFERRED


def test_an_interrupt_in_the_middle_leaves_no_half_used_connection() -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with ScriptedServer({".": ["250 ok", SILENCE]}) as server:
        carrier = carrier_for(server.port)
        assert carrier.deliver(envelope(1)).outcome is Outcome.ACCEPTED
        before = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            carrier.deliver(envelope(2))
        signal.signal(signal.SIGALRM, before)
        assert carrier.deliver(envelope(3)).outcome is Outcome.ACCEPTED
        assert server.connections == 2


def test_closing_a_dead_connection_does_no_harm() -> None:
    for reply in (HANG_UP, SILENCE):
        with scripted(QUIT=[reply]) as (_, carrier):
            carrier.deliver(envelope(1))
            carrier.close()


def test_it_says_hello_with_its_own_address_unless_told_otherwise() -> None:
    with scripted() as (server, carrier):
        carrier.deliver(envelope(1))
        assert server.commands[0] == (1, "ehlo [127.0.0.1]")
    with ScriptedServer() as server:
        carrier = carrier_for(server.port, hello="mail.example.org")
        carrier.deliver(envelope(1))
        carrier.close()
        assert server.commands[0] == (1, "ehlo mail.example.org")


def test_an_old_server_that_only_knows_helo_is_served() -> None:
    with scripted(EHLO=["502 what?"]) as (server, carrier):
        assert carrier.deliver(envelope(1)).outcome is Outcome.ACCEPTED
        assert server.verbs()[:4] == ["EHLO", "HELO", "MAIL", "RCPT"]


def test_a_password_may_travel_on_this_machine_without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", SECRET)
    with ScriptedServer(features=("AUTH PLAIN",)) as server:
        carrier = carrier_for(server.port, username="weekly", password="env:SMTP_PASSWORD")
        assert carrier.deliver(envelope(1)).outcome is Outcome.ACCEPTED
        carrier.close()
        assert server.credentials == [f"\0weekly\0{SECRET}"]
        assert SECRET not in repr(carrier) + carrier.describe() + repr(vars(carrier))


@pytest.mark.parametrize(
    ("reply", "stops"), [("535 5.7.8 wrong password", True), ("454 4.7.0 not now", False), (HANG_UP, False)]
)
def test_a_refused_log_in_stops_the_run_and_a_hiccup_defers(
    monkeypatch: pytest.MonkeyPatch, reply: str, stops: bool
) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", SECRET)
    with ScriptedServer({"AUTH": [reply]}, ("AUTH PLAIN",)) as server:
        carrier = carrier_for(server.port, username="weekly", password="env:SMTP_PASSWORD")
        if stops:
            with pytest.raises(ProviderStoppedError, match=re.escape(reply)):
                carrier.deliver(envelope(1))
        else:
            assert carrier.deliver(envelope(1)).outcome is Outcome.DEFERRED
        assert server.messages == []


def test_a_server_without_log_in_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", SECRET)
    with ScriptedServer(features=("SIZE",)) as server:
        carrier = carrier_for(server.port, username="weekly", password="env:SMTP_PASSWORD")
        with pytest.raises(ProviderStoppedError, match="it takes no log-in"):
            carrier.deliver(envelope(1))


def test_a_server_that_offers_other_ways_to_log_in_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", SECRET)
    with ScriptedServer(features=("AUTH GSSAPI XOAUTH2",)) as server:
        carrier = carrier_for(server.port, username="weekly", password="env:SMTP_PASSWORD")
        with pytest.raises(ProviderStoppedError, match="no way of logging in with a password"):
            carrier.deliver(envelope(1))
        assert server.messages == []


def test_a_password_the_server_cannot_be_told_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "pässword")
    with ScriptedServer(features=("AUTH PLAIN",)) as server:
        carrier = carrier_for(server.port, username="weekly", password="env:SMTP_PASSWORD")
        with pytest.raises(ProviderStoppedError, match="must be ASCII") as stopped:
            carrier.deliver(envelope(1))
        assert "pässword" not in str(stopped.value)
