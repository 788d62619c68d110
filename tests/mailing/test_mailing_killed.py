"""Senders killed with SIGKILL: nobody missed, nobody twice, and only what was in flight unknown."""

from __future__ import annotations

import collections
import email
import email.policy
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from components import sink_user
from cryptography.hazmat.primitives.asymmetric import rsa
from dkim_verifiers import write_key
from mailing_carriers import ACCEPTED, DEFERRED, Asked, Batches, BlindBatches, Messages, Repeatable
from mailing_house import House, edition
from sqlalchemy import update

from newsletter.database.engine import writing
from newsletter.errors import TryLaterError
from newsletter.mailing import dispatch, ledger
from newsletter.mailing.message import Compiler
from newsletter.mailing.tables import sender

SENDER = Path(__file__).with_name("mailing_sender.py")
NAME = "2016-04-22-weekly"


def start(house: House, carrier: str, die_at: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, str(SENDER), str(house.root), carrier, str(die_at)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kill_after(house: House, carrier: str, messages: int) -> int:
    """Start a sender and kill it once it has sent so many, or let it end; return its exit code."""
    with start(house, carrier) as process:
        assert process.stdout is not None
        for number, _ in enumerate(process.stdout):
            if number == messages:
                process.kill()
                break
        process.stdout.read()
        code = process.wait()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    return code


def die_at(house: House, carrier: str, reader: int) -> None:
    with start(house, carrier, reader) as process:
        process.communicate()
    assert process.returncode == -signal.SIGKILL


def handed(house: House) -> list[int]:
    return [int(line) for line in (house.root / "handed").read_text().split()]


def restart_machine(house: House) -> None:
    """Make the dead sender's boot another one, as a power cut does."""
    with writing(house.engine) as connection:
        connection.execute(update(sender).values(boot="before the power cut"))


def test_killed_while_handing_a_message_over_only_that_one_is_unknown_and_the_next_run_starts_at_once(
    house: House,
) -> None:
    house.enrol(range(1, 121))
    die_at(house, "Messages", 67)
    assert house.counts() == {"accepted": 50, "pending": 70}  # what its group did so far is in its notes
    carrier = Messages()
    dispatch.send(house.order(carrier))
    assert carrier.readers == list(range(68, 121))
    assert house.counts() == {"accepted": 119, "unknown": 1}
    assert [one.reader for one in ledger.unknown_readers(house.engine, NAME)] == [67]
    assert handed(house) == list(range(1, 68))


def test_killed_at_the_last_message_of_a_chunk(house: House) -> None:
    house.enrol(range(1, 51))
    die_at(house, "Messages", 50)
    dispatch.send(house.order(Messages()))
    assert house.counts() == {"accepted": 49, "unknown": 1}


def test_killed_while_a_put_off_reader_is_tried_again(house: House) -> None:
    house.enrol(range(1, 5))
    put_off = Messages(lambda reader: DEFERRED if reader == 2 else ACCEPTED)
    with pytest.raises(TryLaterError):
        dispatch.send(house.order(put_off), clock=house.clock, sleep=house.clock.sleep, chance=house.clock.chance)
    assert house.counts() == {"accepted": 3, "pending": 1}
    die_at(house, "Messages", 2)
    dispatch.send(house.order(Messages()))
    assert house.counts() == {"accepted": 3, "unknown": 1}


def test_after_a_power_cut_the_whole_chunk_is_held(house: House) -> None:
    house.enrol(range(1, 121))
    die_at(house, "Messages", 67)
    restart_machine(house)
    carrier = Messages()
    dispatch.send(house.order(carrier))
    assert carrier.readers == list(range(101, 121))
    assert house.counts() == {"accepted": 70, "unknown": 50}
    assert [one.reader for one in ledger.unknown_readers(house.engine, NAME)] == list(range(51, 101))


def test_after_a_power_cut_a_carrier_that_knows_its_messages_is_asked(house: House) -> None:
    house.enrol(range(1, 61))
    die_at(house, "Asked", 20)
    restart_machine(house)
    carrier = Asked(has=frozenset(range(1, 31)))
    dispatch.send(house.order(carrier))
    assert sorted(carrier.readers) == list(range(31, 61))
    assert house.counts() == {"accepted": 60}


def test_a_carrier_that_makes_no_second_copies_is_given_the_interrupted_chunk_again(house: House) -> None:
    house.enrol(range(1, 11))
    die_at(house, "Repeatable", 6)
    restart_machine(house)
    carrier = Repeatable()
    dispatch.send(house.order(carrier))
    assert carrier.readers == list(range(5, 11))
    assert house.counts() == {"accepted": 10}


def test_a_batch_killed_under_way_waits_for_the_carriers_word(house: House) -> None:
    house.enrol(range(1, 9))
    die_at(house, "Batches", 6)
    carrier = Batches(known={})
    dispatch.send(house.order(carrier))
    assert (carrier.sent, len(carrier.asked)) == ([], 1)
    assert house.counts() == {"accepted": 4, "unknown": 4}
    house.clock.now = dispatch.utc_now()
    house.clock.forward(minutes=31)
    dispatch.send(house.order(carrier), clock=house.clock)
    assert carrier.groups == [[5, 6, 7, 8]]
    assert house.counts() == {"accepted": 8}


def test_a_batch_killed_under_way_is_held_where_nobody_can_be_asked(house: House) -> None:
    house.enrol(range(1, 9))
    die_at(house, "BlindBatches", 2)
    carrier = BlindBatches()
    dispatch.send(house.order(carrier))
    assert carrier.groups == [[5, 6, 7, 8]]
    assert house.counts() == {"accepted": 4, "unknown": 4}


def test_killed_at_many_points_the_outbox_misses_nobody_and_has_no_second_copy(house: House) -> None:
    house.enrol(range(1, 2001))
    dice = random.Random(7)  # noqa: S311 - which messages to die at; the same on every run
    codes = [kill_after(house, "outbox", dice.randrange(1, 400)) for _ in range(6)]
    assert codes == [-signal.SIGKILL] * 6
    assert kill_after(house, "outbox", 10_000) == 0
    assert house.counts() == {"accepted": 2000}
    files = sorted((house.root / "outbox" / NAME).iterdir())
    assert sorted(int(path.stem) for path in files) == list(range(1, 2001))
    compiler = dispatch.compile_mailing(house.order(Messages()), _mailing(house))
    for path in files[::97]:
        _is_direct_substitution(compiler, int(path.stem), path.read_bytes())


def _mailing(house: House) -> ledger.Mailing:
    with house.engine.connect() as connection:
        found = ledger.find(connection, "2016-04-22", "weekly", "issue")
    assert found is not None
    return found


def _is_direct_substitution(compiler: Compiler, reader: int, data: bytes) -> None:
    parsed = email.message_from_bytes(data, policy=email.policy.SMTP)
    assert parsed.defects == []
    text, html = parsed.iter_parts()
    issue = edition()
    for part, joined, is_html in ((text, issue.join_text(), False), (html, issue.join_html(), True)):
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        want = compiler.fill(joined, reader, f"Reader {reader}", html=is_html)
        assert content.decode().replace("\r\n", "\n") == want


@pytest.fixture
def sink(tmp_path: Path, smtp_sink_program: str) -> Iterator[tuple[int, Path]]:
    """A real smtp-sink that keeps every message in a file of its own; its port and the folder."""
    folder = tmp_path / "sink"
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen([smtp_sink_program, *sink_user(), "-d", "m.", f"127.0.0.1:{port}", "100"], cwd=folder)
    try:
        deadline = time.monotonic() + 10
        while not _answers(port):
            assert time.monotonic() < deadline, "smtp-sink does not answer"
            time.sleep(0.05)
        yield port, folder
    finally:
        server.kill()
        server.wait()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def received(folder: Path) -> collections.Counter[int]:
    """Count the messages that arrived whole, by reader."""
    readers = []
    for path in folder.iterdir():
        data = path.read_bytes()
        found = re.search(rb"^X-Rcpt-Args: <reader(\d+)@example.org>", data, re.MULTILINE)
        boundary = re.search(rb'boundary="([^"]+)"', data)
        if found and boundary and b"--" + boundary[1] + b"--" in data:
            readers.append(int(found[1]))
    return collections.Counter(readers)


@pytest.mark.parametrize("signed", [False, True], ids=["plain", "signed"])
def test_killed_at_many_points_smtp_misses_nobody_and_leaves_at_most_one_unknown_a_connection_and_kill(
    house: House, sink: tuple[int, Path], *, signed: bool
) -> None:
    port, folder = sink
    if signed:
        write_key(house.root / "dkim.pem", rsa.generate_private_key(65537, 2048))
    house.enrol(range(1, 2001))
    dice = random.Random(11)  # noqa: S311 - as above
    codes = [kill_after(house, f"smtp:{port}", dice.randrange(1, 300)) for _ in range(6)]
    assert codes == [-signal.SIGKILL] * 6
    assert kill_after(house, f"smtp:{port}", 10_000) == 0
    got = received(folder)
    assert set(got.values()) == {1}  # nobody twice, not even one of those in flight
    unknown = {one.reader for one in ledger.unknown_readers(house.engine, NAME)}
    assert len(unknown) <= 6 * 2  # on each of two connections one a kill
    assert set(range(1, 2001)) - unknown <= set(got)  # nobody missed
    status = house.status()
    assert (status.accepted, status.unknown, status.pending) == (2000 - len(unknown), len(unknown), 0)
    assert kill_after(house, f"smtp:{port}", 10_000) == 0
    assert received(folder) == got


@pytest.mark.usefixtures("hangups_heard")
def test_a_polite_stop_leaves_nobody_unknown(house: House, sink: tuple[int, Path]) -> None:
    port, folder = sink
    house.enrol(range(1, 1001))
    for number, polite in enumerate((signal.SIGINT, signal.SIGTERM, signal.SIGHUP)):
        with start(house, f"smtp:{port}") as process:
            assert process.stdout is not None
            assert process.stderr is not None
            for line, _ in enumerate(process.stdout):
                if line == 40:
                    process.send_signal(polite)
                    break
            process.stdout.read()
            assert "stopped as asked, between two messages; send again to go on" in process.stderr.read()
        assert process.returncode == 1
        status = house.status()
        assert (status.unknown, status.rejected) == (0, 0)
        assert 30 * (number + 1) <= status.accepted < 1000
        assert sum(received(folder).values()) == status.accepted


def test_a_second_sender_is_told_who_is_sending(house: House) -> None:
    house.enrol(range(1, 1001))
    with start(house, "outbox") as first:
        assert first.stdout is not None
        first.stdout.readline()
        first.send_signal(signal.SIGSTOP)  # it lives, but does nothing
        try:
            with start(house, "outbox") as second:
                _, said = second.communicate()
            assert second.returncode == 75
            assert re.search(
                rf"already sending since \d{{4}}-\d\d-\d\d \d\d:\d\d UTC \(pid {first.pid} on {socket.gethostname()}\)",
                said,
            )
        finally:
            first.send_signal(signal.SIGCONT)
        first.communicate()
    assert first.returncode == 0
    assert house.counts() == {"accepted": 1000}
