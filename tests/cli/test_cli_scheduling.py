"""An issue on the agenda, and the process that sends what is due."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import Result
from doubtful_server import DoubtfulServer

Run = Callable[..., Result]
ISSUE = "2016-04-22"
MAILING = f"{ISSUE}-weekly"
NEWSLETTER = [sys.executable, "-u", "-c", "from newsletter.cli.main import main; main()"]


@pytest.fixture
def ready(run: Run) -> Run:
    """A project whose list has its sample readers, and whose editor has looked at a copy."""
    assert run("subscribers", "import", "subscribers/sample.csv", "--consent", "invented for a test").exit_code == 0
    assert run("test", ISSUE, "--to", "editor@example.org").exit_code == 0
    return run


def sql(folder: Path, text: str, *values: str) -> None:
    """Change the ledger from outside: time passes."""
    with contextlib.closing(sqlite3.connect(folder / "subscribers" / "newsletter.db")) as database, database:
        database.execute(text, values)


def ago(**interval: float) -> str:
    return (dt.datetime.now(dt.UTC) - dt.timedelta(**interval)).strftime("%Y-%m-%d %H:%M:%S.%f")


def let_pass(folder: Path, **interval: float) -> None:
    """Let the moment of everything on the agenda be so long ago."""
    sql(folder, "UPDATE schedule SET at = ? WHERE state = 'waiting'", ago(**interval))


def accepted(run: Run) -> list[int]:
    return [one["accepted"] for one in json.loads(run("status", "--format", "json").stdout)]


def test_an_issue_is_put_on_the_agenda_and_nothing_leaves_before_its_moment(ready: Run) -> None:
    planned = ready("send", ISSUE, "--at", "Friday 16:00", "--timezone", "America/New_York")
    assert planned.exit_code == 0, planned.output
    assert "12 to send to" in planned.stdout
    assert f"number 1 on the agenda: {ISSUE} to weekly, Friday " in planned.stdout
    assert " 16:00 in America/New_York\n" in planned.stdout
    assert ready("run", "--once").exit_code == 0
    assert accepted(ready) == []
    (line,) = ready("scheduled").stdout.splitlines()[1:]
    assert line.startswith("1 ")
    assert "16:00 in America/New_York" in line
    assert line.endswith("waiting")


def test_what_is_due_is_sent_once(ready: Run, project_folder: Path) -> None:
    ready("send", ISSUE, "--at", "in 1 minute", "--timezone", "UTC")
    let_pass(project_folder, minutes=1)
    told = ready("run", "--once")
    assert told.exit_code == 0
    assert f"Z  number 1: {MAILING}: 12 readers = 12 accepted + " in told.stdout
    assert "example.org" not in told.stdout
    assert ready("run", "--once").stdout == ""
    assert accepted(ready) == [12]
    assert "  done" in ready("scheduled").stdout


def test_an_issue_is_on_the_agenda_once(ready: Run) -> None:
    ready("send", ISSUE, "--at", "in 1 hour", "--timezone", "UTC")
    again = ready("send", ISSUE, "--at", "in 2 hours", "--timezone", "UTC")
    assert "number 1 on the agenda is cancelled: this takes its place\nnumber 2 on the agenda: " in again.stdout
    assert "cancelled  number 2 took its place" in ready("scheduled").stdout


def test_what_is_not_ready_cannot_be_put_on_the_agenda(run: Run, project_folder: Path) -> None:
    run("subscribers", "import", "subscribers/sample.csv", "--consent", "invented for a test")
    refused = run("send", ISSUE, "--at", "in 1 hour", "--timezone", "UTC")
    assert refused.exit_code == 1
    assert "no test copy" in refused.stderr
    issue = project_folder / "issues" / f"{ISSUE}.yaml"
    issue.write_text(issue.read_text().replace("  Burundi:\n", "  Burundi:\n    - TODO write this.\n"))
    assert run("send", ISSUE, "--at", "in 1 hour", "--timezone", "UTC", "--no-test").exit_code == 1
    assert run("scheduled").stdout == "nothing is on the agenda\n"


def test_what_was_sent_cannot_be_put_on_the_agenda(ready: Run) -> None:
    ready("send", ISSUE, "--yes")
    refused = ready("send", ISSUE, "--at", "in 1 hour", "--timezone", "UTC")
    assert refused.exit_code == 2
    assert f"{MAILING}: has begun already" in refused.stderr


def test_a_test_that_was_done_without_is_not_asked_for_at_the_moment(ready: Run, project_folder: Path) -> None:
    ready("send", "2016-04-15", "--at", "in 1 hour", "--timezone", "UTC", "--no-test")
    let_pass(project_folder, minutes=1)
    assert "12 accepted" in ready("run", "--once").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--at", "Friday"], "says no time"),
        (["--at", "Friday 16:00", "--timezone", "Europe/Atlantis"], "there is no time zone"),
        (["--at", "2016-04-22 16:00", "--timezone", "UTC"], "is past"),
        (["--timezone", "UTC"], "belong to --at"),
        (["--reader-time"], "belong to --at"),
    ],
)
def test_a_moment_that_cannot_be_is_one_line(ready: Run, words: list[str], said: str) -> None:
    refused = ready("send", ISSUE, "--yes", *words)
    assert refused.exit_code == 2
    assert said in refused.stderr
    assert accepted(ready) == []


def test_what_was_changed_since_is_refused_at_its_moment(ready: Run, project_folder: Path) -> None:
    ready("send", ISSUE, "--at", "in 1 hour", "--timezone", "UTC")
    issue = project_folder / "issues" / f"{ISSUE}.yaml"
    issue.write_text(issue.read_text().replace("number: 245", "number: 246"))
    let_pass(project_folder, minutes=1)
    told = ready("run", "--once").stdout
    assert f"number 1: {MAILING}: not sent: the issue, a template or newsletter.yaml has changed since" in told
    assert accepted(ready) == []
    assert "refused  " in ready("scheduled").stdout
    assert ready("run", "--once").stdout == ""


def test_what_was_missed_for_too_long_is_refused(ready: Run, project_folder: Path) -> None:
    ready("send", ISSUE, "--at", "in 1 hour", "--timezone", "UTC")
    let_pass(project_folder, hours=25)
    assert "its moment passed more than 24h ago" in ready("run", "--once").stdout
    assert accepted(ready) == []


def test_what_lost_its_approval_is_refused(ready: Run, project_folder: Path) -> None:
    ready("send", ISSUE, "--at", "in 1 hour", "--timezone", "UTC")
    settings = project_folder / "newsletter.yaml"
    settings.write_text(settings.read_text() + "send: {require_approval: 1}\n")
    let_pass(project_folder, minutes=1)
    assert "0 of 1 approvals" in ready("run", "--once").stdout
    assert "refused  " in ready("scheduled").stdout


def test_a_line_is_taken_off_the_agenda(ready: Run, project_folder: Path) -> None:
    ready("send", ISSUE, "--at", "in 1 hour", "--timezone", "UTC")
    assert ready("scheduled", "--cancel", "1").stdout == "number 1 is off the agenda\n"
    let_pass(project_folder, minutes=1)
    assert ready("run", "--once").stdout == ""
    assert ready("scheduled", "--cancel", "1").exit_code == 2
    assert "nothing on the agenda has the number 9" in ready("scheduled", "--cancel", "9").stderr


def test_readers_own_time_begins_where_the_day_begins_first(ready: Run) -> None:
    day = dt.datetime.now(ZoneInfo("America/New_York")).date() + dt.timedelta(days=3)
    planned = ready("send", ISSUE, "--at", f"{day} 16:00", "--timezone", "America/New_York", "--reader-time")
    assert planned.exit_code == 0, planned.output
    assert f"{day} 16:00 by each reader's own clock, else in America/New_York" in planned.stdout


def test_a_mailing_by_readers_own_time_is_not_old_while_it_goes_around_the_world(
    run: Run, project_folder: Path
) -> None:
    for name, zone in (("first", "Pacific/Kiritimati"), ("last", "Pacific/Pago_Pago")):
        run("subscribers", "add", f"{name}@example.org", "--timezone", zone, "--consent", "asked on paper")
    at = ("--at", "in 1 minute", "--timezone", "Pacific/Kiritimati")
    assert run("send", ISSUE, *at, "--reader-time", "--no-test").exit_code == 0
    let_pass(project_folder, minutes=1)
    sql(project_folder, "UPDATE schedule SET made_at = at")
    run("run", "--once")
    assert accepted(run) == [1]
    sql(project_folder, "UPDATE mailing SET started_at = ?", ago(hours=25))
    sql(project_folder, "UPDATE schedule SET at = ?", ago(hours=25))
    assert run("run", "--once").exit_code == 0
    assert accepted(run) == [1]  # it is not yet that hour there
    sql(project_folder, "UPDATE chunk SET not_before = ? WHERE not_before IS NOT NULL", ago(minutes=1))
    assert "2 accepted + " in run("run", "--once").stdout


def test_the_hour_is_that_of_this_machine_unless_said(ready: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    assert " 16:00 in Asia/Kathmandu\n" in ready("send", ISSUE, "--at", "Friday 16:00").stdout


def test_a_mailing_that_was_interrupted_goes_on(ready: Run, project_folder: Path) -> None:
    with DoubtfulServer(answers=True, pause=0.1) as server:
        settings = project_folder / "newsletter.yaml"
        carrier = f"provider: {{name: smtp, host: 127.0.0.1, port: {server.port}, security: none, connections: 1}}"
        settings.write_text(settings.read_text().replace("provider: {name: outbox, folder: outbox}", carrier))
        process = subprocess.Popen(
            [*NEWSLETTER, "send", ISSUE, "--yes"],
            cwd=project_folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert server.taken.wait(30)
        process.kill()
        process.wait()
        server.pause = 0.0
        assert ready("pause", MAILING, "--by", "Ann Lee").exit_code == 0
        assert ready("run", "--once").stdout == ""  # what is paused is left alone
        sql(project_folder, "UPDATE mailing SET state = 'sending'")
        told = ready("run", "--once").stdout
    assert f"{MAILING}: 12 readers = 11 accepted + 0 rejected + 0 left + 1 unknown + 0 pending; not complete" in told


def test_a_mailing_too_old_waits_for_a_person(ready: Run, project_folder: Path) -> None:
    obstacle = project_folder / "outbox" / MAILING / "7.eml"
    obstacle.mkdir(parents=True)
    ready("send", ISSUE, "--yes")
    obstacle.rmdir()
    assert ready("run", "--once").stdout == ""  # stopped by its carrier: a person is to look first
    sql(project_folder, "UPDATE mailing SET state = 'sending', started_at = ?", ago(days=2))
    assert f"{MAILING}: waits for a person, it is old" in ready("run", "--once").stdout
    assert accepted(ready) == [6]


def test_a_fault_in_the_settings_is_told_and_shown_in_the_exit_code(run: Run, project_folder: Path) -> None:
    settings = project_folder / "newsletter.yaml"
    settings.write_text(settings.read_text().replace("{name: outbox,", "{name: outbax,"))
    result = run("run", "--once")
    assert result.exit_code == 1
    assert "mailings: newsletter.yaml:" in result.stdout
    assert "did you mean 'outbox'?" in result.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_process_stays_until_a_signal_and_stops_between_two_messages(
    ready: Run, project_folder: Path, number: signal.Signals
) -> None:
    with DoubtfulServer(answers=True, pause=0.1) as server:
        settings = project_folder / "newsletter.yaml"
        carrier = f"provider: {{name: smtp, host: 127.0.0.1, port: {server.port}, security: none, connections: 1}}"
        settings.write_text(settings.read_text().replace("provider: {name: outbox, folder: outbox}", carrier))
        ready("send", ISSUE, "--at", "in 1 hour", "--timezone", "UTC")
        process = subprocess.Popen(
            [*NEWSLETTER, "run", "--every", "1"],
            cwd=project_folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        let_pass(project_folder, minutes=1)
        assert server.taken.wait(30)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "number 1: stopped as asked, between two messages" in out
    (status,) = json.loads(ready("status", "--format", "json").stdout)
    assert (status["unknown"], status["accepted"]) == (0, server.count)
    assert status["pending"] > 0
