"""Workers on the command line, with a project on PostgreSQL."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from postgres import Cluster

Run = Callable[..., Result]
ISSUE = "2016-04-22"
NAME = f"{ISSUE}-weekly"
COMMAND = (sys.executable, "-c", "from newsletter.cli.main import main; main()", "worker")


@pytest.fixture
def database(postgres: Cluster, project_folder: Path) -> Iterator[str]:
    """Keep the project's readers on a server."""
    url = postgres.url()
    settings = project_folder / "newsletter.yaml"
    settings.write_text(re.sub(r"(?m)^database: .*\n", "", settings.read_text()) + f"\ndatabase: {url}\n")
    yield url
    postgres.drop(url)


@pytest.fixture
def ready(database: str, run: Run) -> Run:
    """A project on a server whose list has its sample readers."""
    assert database
    assert run("subscribers", "import", "subscribers/sample.csv", "--consent", "invented for a test").exit_code == 0
    return run


@pytest.fixture
def worker(ready: Run, project_folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A worker that waits for mailings."""
    assert ready
    command = [*COMMAND, "--connections", "2", "--name", "north"]
    with subprocess.Popen(command, cwd=project_folder, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        assert started.stdout.readline().startswith("north: 2 connections, waiting for mailings in postgresql://")
        yield started
        started.kill()


def mails(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "outbox" / NAME).glob("*.eml"))


def test_with_sqlite_a_worker_says_what_to_use_instead(run: Run) -> None:
    result = run("worker")
    assert result.exit_code == 2
    assert result.stderr == (
        "a worker needs PostgreSQL (docs/distributed.md); with SQLite, 'newsletter run' sends what is due, and"
        " 'newsletter send' the rest\n"
    )


def test_with_sqlite_nothing_can_be_left_to_workers(run: Run, project_folder: Path) -> None:
    assert run("subscribers", "import", "subscribers/sample.csv", "--consent", "invented for a test").exit_code == 0
    result = run("send", ISSUE, "--yes", "--no-test", "--leave-to-workers")
    assert result.exit_code == 2
    assert "send without --leave-to-workers" in result.stderr
    assert mails(project_folder) == []


def test_a_mailing_that_is_left_to_a_worker_arrives(
    ready: Run, worker: subprocess.Popen[str], project_folder: Path
) -> None:
    sent = ready("send", ISSUE, "--yes", "--no-test", "--leave-to-workers")
    assert sent.exit_code == 0, sent.output
    assert f"{NAME}: left to the workers" in sent.stdout
    assert "12 readers = 12 accepted + 0 rejected + 0 left + 0 unknown + 0 pending; complete" in sent.stdout
    assert len(mails(project_folder)) == 12
    worker.send_signal(signal.SIGTERM)
    said, _ = worker.communicate(timeout=60)
    assert worker.returncode == 0
    assert said.splitlines() == [
        f"north: {NAME}: at work on it",
        f"north: {NAME}: nothing is left to send",
        "north: stopped as asked",
    ]


def test_a_worker_whose_files_differ_stops_the_mailing_and_sends_nothing(
    ready: Run, worker: subprocess.Popen[str], project_folder: Path
) -> None:
    worker.send_signal(signal.SIGSTOP)
    issue = project_folder / "issues" / f"{ISSUE}.yaml"
    before = issue.read_bytes()
    with subprocess.Popen(
        [*COMMAND[:3], "send", ISSUE, "--yes", "--no-test", "--leave-to-workers"],
        cwd=project_folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as sender:
        assert sender.stdout is not None
        while "left to the workers" not in sender.stdout.readline():
            pass
        issue.write_bytes(before + b"\n")
        worker.send_signal(signal.SIGCONT)
        _, errors = sender.communicate(timeout=60)
    assert sender.returncode == 1
    assert "differs from what this mailing was frozen with; nothing was sent from there" in errors
    assert mails(project_folder) == []
    issue.write_bytes(before)
    assert ready("resume", NAME, "--by", "Ann").exit_code == 0
    assert len(mails(project_folder)) == 12


def test_what_is_due_on_the_agenda_is_begun_by_a_worker(ready: Run, project_folder: Path) -> None:
    assert ready("send", ISSUE, "--at", "in 1 minute", "--no-test").exit_code == 0
    line = "UPDATE schedule SET at = at - interval '5 minutes'"
    import psycopg  # noqa: PLC0415 - only here does a test turn the clock

    with psycopg.connect(re.findall("(?m)^database: (.*)$", (project_folder / "newsletter.yaml").read_text())[0]) as on:
        on.execute(line.encode())
    with subprocess.Popen(COMMAND, cwd=project_folder, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        for said in started.stdout:
            if "nothing is left to send" in said:
                break
        started.terminate()
        assert started.wait(60) == 0
    assert len(mails(project_folder)) == 12
    assert "done" in ready("scheduled").stdout
