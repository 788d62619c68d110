from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from provider_contract import MessageCarrierContract, envelope

from newsletter.errors import StoppedError
from newsletter.providers.base import MessageCarrier, Outcome
from newsletter.providers.outbox import Outbox
from newsletter.providers.registry import open_provider


class TestOutboxAsACarrier(MessageCarrierContract):
    @pytest.fixture
    def carrier(self, tmp_path: Path) -> MessageCarrier:
        opened = open_provider({"name": "outbox", "folder": "outbox"}, tmp_path)
        assert isinstance(opened, Outbox)
        return opened

    def arrived(self, carrier: MessageCarrier) -> list[bytes]:
        assert isinstance(carrier, Outbox)
        return [path.read_bytes() for path in carrier.folder.glob("*/*") if path.is_file()]


def test_a_message_is_a_file_named_by_mailing_and_reader(tmp_path: Path) -> None:
    Outbox(tmp_path / "outbox").deliver(envelope(7))
    assert (tmp_path / "outbox" / "2016-04-22-weekly" / "7.eml").read_bytes() == envelope(7).data


def test_folders_and_files_are_for_the_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        Outbox(tmp_path / "outbox").deliver(envelope(7))
    finally:
        os.umask(before)
    paths = [tmp_path / "outbox", tmp_path / "outbox" / "2016-04-22-weekly"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o700, 0o700]
    assert stat.S_IMODE((paths[1] / "7.eml").stat().st_mode) == 0o600


@pytest.mark.parametrize("mailing", ["..", "../../etc", "a/b", "", ".hidden", "/etc", "a\0b", "x" * 300])
def test_a_mailing_whose_name_would_leave_the_folder_is_refused(tmp_path: Path, mailing: str) -> None:
    with pytest.raises(StoppedError, match="cannot be the name"):
        Outbox(tmp_path / "outbox").deliver(envelope(7, mailing))
    assert list(tmp_path.iterdir()) == []


def test_its_place_is_the_folder_however_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "other")
    named = [open_provider({"name": "outbox", "folder": folder}, tmp_path).place() for folder in ("other", "link", "a")]
    assert named == [str(tmp_path / "other"), str(tmp_path / "other"), str(tmp_path / "a")]


def test_it_knows_only_the_very_same_message(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.deliver(envelope(7))
    assert outbox.knows(envelope(7))
    assert not outbox.knows(envelope(7, data=b"another"))
    assert not outbox.knows(envelope(8))


def test_a_half_written_message_of_a_killed_sender_is_cleared_away(tmp_path: Path) -> None:
    folder = tmp_path / "2016-04-22-weekly"
    folder.mkdir()
    (folder / ".3.eml.tmp").write_bytes(b"half a mess")
    outbox = Outbox(tmp_path)
    assert not outbox.knows(envelope(3))
    outbox.deliver(envelope(7))
    assert [path.name for path in folder.iterdir()] == ["7.eml"]


def test_a_folder_that_cannot_be_written_stops_the_run_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("a file, where the folder should be")
    with pytest.raises(StoppedError) as stopped:
        Outbox(tmp_path / "outbox").deliver(envelope(7))
    assert "cannot be written: " in str(stopped.value)
    assert "\n" not in str(stopped.value)


def test_what_cannot_be_read_stops_the_run_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "2016-04-22-weekly" / "7.eml").mkdir(parents=True)
    with pytest.raises(StoppedError, match=r"7\.eml: cannot be"):
        Outbox(tmp_path).knows(envelope(7))


def test_a_full_disk_stops_the_run_and_leaves_no_half_message(tmp_path: Path) -> None:
    program = """
import resource, signal, sys
from pathlib import Path
from newsletter.errors import StoppedError
from newsletter.providers.base import Envelope
from newsletter.providers.outbox import Outbox
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    Outbox(Path(sys.argv[1])).deliver(Envelope(7, "m/7", "a@example.org", "b@example.org", b"x" * 5000))
except StoppedError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "cannot be written: File too large" in said.stdout
    assert said.stderr == ""
    assert list((tmp_path / "m").iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_called_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def full(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    outbox = Outbox(tmp_path / "outbox")
    outbox.deliver(envelope(6))
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoppedError) as stopped:
        outbox.deliver(envelope(7))
    monkeypatch.undo()
    assert str(stopped.value).endswith(
        "7.eml: the disk is full; free some space and run the command again, it goes on where it stopped"
    )
    assert [path.name for path in (tmp_path / "outbox").rglob("*.*")] == ["6.eml"]
    assert outbox.deliver(envelope(7)).outcome is Outcome.ACCEPTED


def test_a_link_laid_in_the_way_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "outbox" / "2016-04-22-weekly"
    outbox = Outbox(tmp_path / "outbox")
    outbox.deliver(envelope(6))
    (tmp_path / "precious").write_text("precious")
    (folder / ".7.eml.tmp").symlink_to(tmp_path / "precious")
    with pytest.raises(StoppedError):
        outbox.deliver(envelope(7))
    assert (tmp_path / "precious").read_text() == "precious"
