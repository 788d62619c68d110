"""Sending on the command line, into the outbox."""

from __future__ import annotations

import email
import email.policy
import json
import os
import pty
import select
import subprocess
import sys
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]
ISSUE = "2016-04-22"
KEYS = {
    "mailing",
    "issue",
    "list",
    "provider",
    "audience",
    "accepted",
    "rejected",
    "left",
    "unknown",
    "pending",
    "complete",
    "started",
    "finished",
    "state",
    "reason",
}


@pytest.fixture
def ready(run: Run) -> Run:
    """A project whose list has its sample readers."""
    assert run("subscribers", "import", "subscribers/sample.csv", "--consent", "invented for a test").exit_code == 0
    return run


def mails(folder: Path) -> dict[int, EmailMessage]:
    found = {}
    for path in (folder / "outbox" / f"{ISSUE}-weekly").glob("*.eml"):
        found[int(path.stem)] = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    return found


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    text: str = part.get_content()
    return text


def test_a_dry_run_shows_the_plan_and_sends_nothing(ready: Run, project_folder: Path) -> None:
    result = ready("send", ISSUE, "--dry-run")
    assert result.exit_code == 0
    assert "12 to send to" in result.stdout
    assert "outbox" in result.stdout
    assert mails(project_folder) == {}
    assert json.loads(ready("status", "--format", "json").stdout) == []
    assert "nothing has been sent yet" in ready("status").stdout


def test_everybody_gets_one_copy_and_a_second_run_sends_nothing(ready: Run, project_folder: Path) -> None:
    sent = ready("send", ISSUE, "--yes", "--no-test")
    assert sent.exit_code == 0, sent.output
    assert "12 readers = 12 accepted + 0 rejected + 0 left + 0 unknown + 0 pending; complete" in sent.stdout
    first = {path: path.stat().st_mtime_ns for path in (project_folder / "outbox").rglob("*.eml")}
    assert len(first) == 12
    again = ready("send", ISSUE, "--yes", "--no-test")
    assert again.exit_code == 0
    assert "nothing to send" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in (project_folder / "outbox").rglob("*.eml")} == first
    (status,) = json.loads(ready("status", "--format", "json").stdout)
    assert set(status) == KEYS
    assert (status["mailing"], status["audience"], status["accepted"]) == (f"{ISSUE}-weekly", 12, 12)
    assert status["complete"] is True
    assert "complete" in ready("status", f"{ISSUE}-weekly").stdout
    unknown = ready("status", "no-such-mailing")
    assert unknown.exit_code == 2
    assert "no-such-mailing" in unknown.stderr


def test_a_reader_of_two_countries_gets_the_lead_those_two_and_the_sections(run: Run, project_folder: Path) -> None:
    run("subscribers", "add", "two@example.org", "--follows", "Burundi; Syria", "--consent", "asked on paper")
    run("subscribers", "add", "all@example.org", "--consent", "asked on paper")
    assert run("send", ISSUE, "--yes", "--no-test").exit_code == 0
    by_address = {str(message["To"]): message for message in mails(project_folder).values()}
    two, everything = by_address["two@example.org"], by_address["all@example.org"]
    for kind in ("html", "plain"):
        text, full = body(two, kind), body(everything, kind)
        assert "Choosing a Secretary-General" in text
        assert "What else is new?" in text
        for country in ("Burundi", "Syria"):
            assert country in text
        for country in ("Kenya", "Nigeria", "Libya"):
            assert country in full
            assert country not in text
    assert body(two, "html").count('href="#') < body(everything, "html").count('href="#')


def test_sending_refuses_while_a_check_blocks(ready: Run, project_folder: Path) -> None:
    issue = project_folder / "issues" / f"{ISSUE}.yaml"
    issue.write_text(issue.read_text().replace("  Burundi:\n", "  Burundi:\n    - TODO write this.\n"))
    result = ready("send", ISSUE, "--yes", "--no-test")
    assert result.exit_code == 1
    assert f"issues/{ISSUE}.yaml:" in result.stderr
    assert mails(project_folder) == {}
    assert json.loads(ready("status", "--format", "json").stdout) == []


def test_a_test_copy_is_marked_and_the_ledger_does_not_hear_of_it(ready: Run, project_folder: Path) -> None:
    result = ready("test", ISSUE, "--to", "editor@example.org")
    assert result.exit_code == 0, result.output
    (copy,) = (project_folder / "outbox").rglob("*.eml")
    message = email.message_from_bytes(copy.read_bytes(), policy=email.policy.default)
    assert str(message["Subject"]).startswith("[Test] ")
    assert str(message["To"]) == "editor@example.org"
    assert json.loads(ready("status", "--format", "json").stdout) == []
    assert ready("test", ISSUE, "--to", "no address").exit_code == 2


def test_without_a_terminal_send_wants_to_be_told_yes(ready: Run, project_folder: Path) -> None:
    result = ready("send", ISSUE, "--no-test", stdin="y\n")
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert mails(project_folder) == {}


def test_a_changed_issue_does_not_go_to_the_rest_of_the_readers(ready: Run, project_folder: Path) -> None:
    assert ready("send", ISSUE, "--yes", "--no-test").exit_code == 0
    issue = project_folder / "issues" / f"{ISSUE}.yaml"
    issue.write_text(issue.read_text().replace("number: 245", "number: 246"))
    result = ready("send", ISSUE, "--yes", "--no-test")
    assert "Traceback" not in result.output
    assert len(mails(project_folder)) == 12


def test_at_a_terminal_send_asks_and_draws_a_bar(ready: Run, project_folder: Path) -> None:
    del ready  # it has brought the readers
    parent, child = pty.openpty()
    command = [sys.executable, "-c", "from newsletter.cli.main import main; main()", "send", ISSUE, "--no-test"]
    process = subprocess.Popen(command, cwd=project_folder, stdin=child, stdout=child, stderr=child)
    os.close(child)
    shown = b""
    answered = False
    while select.select([parent], [], [], 60)[0]:
        try:
            data = os.read(parent, 4096)
        except OSError:  # the terminal is closed on the other side
            break
        shown += data
        if not answered and b"Send to 12 readers?" in shown:
            os.write(parent, b"y\n")
            answered = True
    os.close(parent)
    assert process.wait(60) == 0, shown
    assert b"12 accepted" in shown
    assert len(mails(project_folder)) == 12
