"""Mailings that have begun: paused, resumed, cancelled, put right, counted anew."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import pty
import select
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from doubtful_server import DoubtfulServer

Run = Callable[..., Result]
ISSUE = "2016-04-22"
MAILING = f"{ISSUE}-weekly"
NEWSLETTER = [sys.executable, "-c", "from newsletter.cli.main import main; main()"]


@pytest.fixture
def ready(run: Run) -> Run:
    """A project whose list has its sample readers."""
    assert run("subscribers", "import", "subscribers/sample.csv", "--consent", "invented for a test").exit_code == 0
    return run


@pytest.fixture
def obstacle(project_folder: Path) -> Path:
    """A folder that stands where the seventh reader's copy is to be written."""
    path = project_folder / "outbox" / MAILING / "7.eml"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def stopped(ready: Run, obstacle: Path) -> Run:
    """A project with a mailing that half of the readers have."""
    assert ready("send", ISSUE, "--yes", "--no-test").exit_code == 1
    assert obstacle.is_dir()
    return ready


def status(run: Run, name: str = MAILING) -> dict[str, object]:
    (found,) = json.loads(run("status", name, "--format", "json").stdout)
    return dict(found)


def sql(folder: Path, text: str, *values: str) -> None:
    """Change the ledger from outside: time passes, or a disk goes wrong."""
    with contextlib.closing(sqlite3.connect(folder / "subscribers" / "newsletter.db")) as database, database:
        database.execute(text, values)


def test_a_send_that_stops_says_how_far_it_came(ready: Run, obstacle: Path) -> None:
    result = ready("send", ISSUE, "--yes", "--no-test")
    assert result.exit_code == 1
    assert "12 readers = 6 accepted + 0 rejected + 0 left + 0 unknown + 6 pending; stopped\n" in result.stdout
    assert "6 accepted by this run, in " in result.stdout
    assert f"outbox/{MAILING}/7.eml: cannot be written" in result.stderr
    assert f"outbox/{MAILING}/7.eml: cannot be written" in ready("status", MAILING).stdout
    obstacle.rmdir()
    again = ready("send", ISSUE, "--yes")
    assert "12 readers = 12 accepted + 0 rejected + 0 left + 0 unknown + 0 pending; complete\n" in again.stdout
    assert "6 accepted by this run, in " in again.stdout


def test_a_paused_mailing_waits_until_somebody_resumes_it(stopped: Run, obstacle: Path) -> None:
    obstacle.rmdir()
    assert stopped("pause", MAILING, "--by", "Ann Lee").stdout.startswith(
        f"{MAILING}: paused; who has no copy yet waits"
    )
    assert stopped("pause", MAILING, "--by", "Bob Ray").stdout.startswith(f"{MAILING}: as before: paused")
    refused = stopped("send", ISSUE, "--yes")
    assert refused.exit_code == 1
    assert "paused by Ann Lee" in refused.stderr
    assert status(stopped)["accepted"] == 6
    resumed = stopped("resume", MAILING, "--by", "Bob Ray")
    assert resumed.exit_code == 0
    assert "12 accepted" in resumed.stdout
    shown = stopped("status", MAILING).stdout
    assert "paused by Ann Lee\n" in shown
    assert "resumed by Bob Ray\n" in shown


def test_a_cancelled_mailing_is_over_and_says_who_has_it(stopped: Run, obstacle: Path) -> None:
    obstacle.rmdir()
    assert "cancelled for good" in stopped("cancel", MAILING, "--by", "Ann Lee").stdout
    for command in (("send", ISSUE, "--yes"), ("resume", MAILING, "--by", "Bob Ray")):
        refused = stopped(*command)
        assert refused.exit_code in (1, 2)
        assert "cancelled by Ann Lee" in refused.stderr
    assert (status(stopped)["accepted"], status(stopped)["state"]) == (6, "cancelled")
    assert "  cancelled  " in stopped("status").stdout


@pytest.mark.parametrize("command", ["pause", "resume", "cancel"])
def test_a_finished_or_unknown_mailing_cannot_be_changed(ready: Run, command: str) -> None:
    ready("send", ISSUE, "--yes", "--no-test")
    finished = ready(command, MAILING, "--by", "Ann Lee")
    assert finished.exit_code == 2
    assert f"{MAILING}: finished on " in finished.stderr
    unknown = ready(command, "no-such-mailing", "--by", "Ann Lee")
    assert unknown.exit_code == 2
    assert "no-such-mailing" in unknown.stderr
    assert ready(command, MAILING).exit_code == 2  # nobody's name


def test_an_old_mailing_goes_on_when_somebody_says_so(stopped: Run, obstacle: Path, project_folder: Path) -> None:
    obstacle.rmdir()
    long_ago = (dt.datetime.now(dt.UTC) - dt.timedelta(days=2)).strftime("%Y-%m-%d %H:%M:%S.%f")
    sql(project_folder, "UPDATE mailing SET created_at = ?, started_at = ?", long_ago, long_ago)
    refused = stopped("send", ISSUE, "--yes")
    assert refused.exit_code == 1
    assert f"newsletter resume {MAILING} --late" in refused.stderr
    asked = stopped("resume", MAILING, "--by", "Ann Lee", stdin="y\n")
    assert asked.exit_code == 2
    assert "--late" in asked.stderr
    assert status(stopped)["accepted"] == 6
    assert "12 accepted" in stopped("resume", MAILING, "--by", "Ann Lee", "--late").stdout


def test_a_mailing_is_counted_anew(stopped: Run, project_folder: Path) -> None:
    right = stopped("verify", MAILING, "--readers")
    assert right.exit_code == 0, right.output
    assert "every sum agrees with a count reader by reader" in right.stdout
    assert "the issue as it is now is what was sent" in right.stdout
    assert "\n6  accepted\n7  pending" in right.stdout
    found = json.loads(stopped("verify", MAILING, "--readers", "--format", "json").stdout)
    assert (found["right"], found["faults"], found["frozen_digest"]) == (True, [], found["digest"])
    assert [one["fate"] for one in found["readers"]] == ["accepted"] * 6 + ["pending"] * 6
    assert "readers" not in json.loads(stopped("verify", MAILING, "--format", "json").stdout)
    sql(project_folder, "DELETE FROM delivery WHERE seq = 3")
    wrong = stopped("verify", MAILING)
    assert wrong.exit_code == 1
    assert f"{MAILING}: an audience of 12 by the chunks, 11 were frozen" in wrong.stdout


def test_a_changed_issue_is_told_and_is_a_fault_while_somebody_waits(
    stopped: Run, obstacle: Path, project_folder: Path
) -> None:
    issue = project_folder / "issues" / f"{ISSUE}.yaml"
    text = issue.read_text()
    issue.write_text(text.replace("number: 245", "number: 246"))
    changed = stopped("verify", MAILING)
    assert changed.exit_code == 1
    assert "the issue, a template or the settings are no longer what was sent" in changed.stdout
    issue.write_text(text)
    obstacle.rmdir()
    stopped("send", ISSUE, "--yes")
    issue.unlink()
    gone = stopped("verify", MAILING)
    assert gone.exit_code == 0
    assert f"the issue cannot be set as it is now: issues: there is no issue called '{ISSUE}'" in gone.stdout


@pytest.fixture
def doubtful(ready: Run, project_folder: Path) -> Iterator[Run]:
    """A project whose carrier took three copies, or not: no answer came."""
    with DoubtfulServer() as server:
        settings = project_folder / "newsletter.yaml"
        carrier = f"provider: {{name: smtp, host: 127.0.0.1, port: {server.port}, security: none}}"
        settings.write_text(settings.read_text().replace("provider: {name: outbox, folder: outbox}", carrier))
        assert ready("send", ISSUE, "--yes", "--no-test").exit_code == 1
        server.answers = True
        yield ready


def test_a_persons_word_settles_who_is_unknown(doubtful: Run) -> None:
    found = json.loads(doubtful("verify", MAILING, "--readers", "--format", "json").stdout)
    unknown = [one["reader"] for one in found["readers"] if one["fate"] == "unknown"]
    assert len(unknown) >= 3
    has, *has_not = unknown
    lost = ",".join(map(str, has_not))
    done = doubtful("reconcile", MAILING, "--delivered", str(has), "--not-delivered", lost, "--by", "Ann Lee")
    assert done.exit_code == 0, done.output
    assert f"{MAILING}: taken down of {len(unknown)} on the word of Ann Lee; 'newsletter send {ISSUE}" in done.stdout
    assert (status(doubtful)["unknown"], status(doubtful)["accepted"]) == (0, 1)
    assert "12 accepted" in doubtful("send", ISSUE, "--yes").stdout
    assert f"reconcile by Ann Lee: reader {has} has it\n" in doubtful("status", MAILING).stdout


def test_a_carrier_that_cannot_be_asked_says_nothing_new(doubtful: Run) -> None:
    before = status(doubtful)
    asked = doubtful("reconcile", MAILING)
    assert asked.exit_code == 0, asked.output
    assert f"{MAILING}: the carrier knew of 0\n" in asked.stdout
    assert "Unknown: their copy may or may not have left" in asked.stdout
    assert status(doubtful)["unknown"] == before["unknown"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--delivered", "1"], "--by NAME and the readers"),
        (["--by", "Ann Lee"], "--by NAME and the readers"),
        (["--delivered", "1,2", "--not-delivered", "2", "--by", "Ann Lee"], "either has it or has it not"),
        (["--delivered", "ann@example.org", "--by", "Ann Lee"], "are no readers' ids"),
        (["--delivered", "1", "--by", "Ann Lee"], "not unknown: 1"),
    ],
)
def test_what_cannot_be_taken_down_is_refused(stopped: Run, words: list[str], said: str) -> None:
    refused = stopped("reconcile", MAILING, *words)
    assert refused.exit_code == 2
    assert said in refused.stderr
    assert status(stopped)["accepted"] == 6


def test_watching_a_mailing_ends_when_it_ends(stopped: Run, obstacle: Path) -> None:
    watched = stopped("status", "--watch")
    assert watched.stdout.count("\n") == 1
    assert "6 pending; stopped" in watched.stdout
    obstacle.rmdir()
    stopped("send", ISSUE, "--yes")
    assert "12 accepted + 0 rejected" in stopped("status", MAILING, "--watch").stdout
    assert stopped("status", "no-such-mailing", "--watch").exit_code == 2


def test_watching_nothing_says_so(run: Run) -> None:
    result = run("status", "--watch")
    assert result.exit_code == 2
    assert result.stderr == "nothing has been sent yet\n"


def test_watching_tells_each_change_once(stopped: Run, obstacle: Path, project_folder: Path) -> None:
    sql(project_folder, "UPDATE mailing SET state = 'sending'")
    obstacle.rmdir()
    watcher = subprocess.Popen(
        [*NEWSLETTER, "status", MAILING, "--watch"], cwd=project_folder, stdout=subprocess.PIPE, text=True
    )
    assert watcher.stdout
    first = watcher.stdout.readline()
    assert "6 pending; not complete" in first
    stopped("send", ISSUE, "--yes")
    rest = watcher.stdout.read()
    watcher.stdout.close()
    assert watcher.wait(30) == 0
    assert rest.endswith("0 pending; complete\n")
    assert first not in rest


def test_at_a_terminal_the_numbers_change_in_place(stopped: Run, obstacle: Path, project_folder: Path) -> None:
    obstacle.rmdir()
    stopped("send", ISSUE, "--yes")
    parent, child = pty.openpty()
    process = subprocess.Popen([*NEWSLETTER, "status", "--watch"], cwd=project_folder, stdout=child, stderr=child)
    os.close(child)
    shown = b""
    with contextlib.suppress(OSError):  # the terminal is closed on the other side
        while select.select([parent], [], [], 30)[0] and (data := os.read(parent, 4096)):
            shown += data
    os.close(parent)
    assert process.wait(30) == 0
    assert b"accepted" in shown
    assert b"complete" in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_send_and_nobody_is_unknown(ready: Run, project_folder: Path, number: signal.Signals) -> None:
    with DoubtfulServer(answers=True, pause=0.1) as server:
        settings = project_folder / "newsletter.yaml"
        carrier = f"provider: {{name: smtp, host: 127.0.0.1, port: {server.port}, security: none, connections: 1}}"
        settings.write_text(settings.read_text().replace("provider: {name: outbox, folder: outbox}", carrier))
        process = subprocess.Popen(
            [*NEWSLETTER, "send", ISSUE, "--yes", "--no-test"],
            cwd=project_folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert server.taken.wait(30)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 1, err
    assert "stopping after what is under way" in err
    assert "stopped as asked, between two messages; send again to go on" in err
    assert " 0 unknown " in out
    assert "accepted by this run, in " in out
    now = status(ready)
    assert (now["unknown"], now["complete"]) == (0, False)
    assert now["accepted"] == server.count
