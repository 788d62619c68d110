"""What has to be done before an issue goes out: a look at a test copy, and the approvals that the settings ask for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]
ISSUE = "2016-04-22"


@pytest.fixture
def ready(run: Run) -> Run:
    """A project whose list has its sample readers."""
    assert run("subscribers", "import", "subscribers/sample.csv", "--consent", "invented for a test").exit_code == 0
    return run


def require(folder: Path, text: str) -> None:
    settings = folder / "newsletter.yaml"
    settings.write_text(settings.read_text() + f"send: {text}\n")


def change(folder: Path) -> None:
    issue = folder / "issues" / f"{ISSUE}.yaml"
    issue.write_text(issue.read_text().replace("number: 245", "number: 246"))


def test_a_send_wants_a_test_copy_of_exactly_this(ready: Run, project_folder: Path) -> None:
    refused = ready("send", ISSUE, "--yes")
    assert refused.exit_code == 1
    assert (
        f"{ISSUE}: not sent: no test copy of it as it is now; 'newsletter test {ISSUE} --to ADDRESS" in refused.stderr
    )
    assert json.loads(ready("status", "--format", "json").stdout) == []
    assert ready("test", ISSUE, "--to", "editor@example.org").exit_code == 0
    change(project_folder)
    assert ready("send", ISSUE, "--yes").exit_code == 1  # that copy was of another issue
    assert ready("test", ISSUE, "--to", "editor@example.org", "--list", "press").exit_code == 0
    assert ready("send", ISSUE, "--yes").exit_code == 1  # and that one for other readers
    assert ready("test", ISSUE, "--to", "editor@example.org").exit_code == 0
    assert "12 accepted" in ready("send", ISSUE, "--yes").stdout


def test_a_test_copy_that_did_not_leave_does_not_count(ready: Run, project_folder: Path) -> None:
    (project_folder / "outbox").write_text("a file, not a folder")
    assert ready("test", ISSUE, "--to", "editor@example.org").exit_code == 1
    assert "no test copy" in ready("send", ISSUE, "--yes").stderr


def test_two_different_people_approve_what_is_sent(ready: Run, project_folder: Path) -> None:
    require(project_folder, "{require_approval: 2}")
    ready("test", ISSUE, "--to", "editor@example.org")
    assert "0 of 2 approvals of it as it is now" in ready("send", ISSUE, "--yes").stderr
    first = ready("approve", ISSUE, "--by", "Zoë Müller")
    assert first.exit_code == 0
    assert "approved as it is now" in first.stdout
    assert "subject  The Protection Weekly No. 245" in first.stdout
    assert "checks   none warns" in first.stdout
    assert "approved 1 of 2 needed (Zoë Müller)" in first.stdout
    again = ready("approve", ISSUE, "--by", "zoe  muller")
    assert "was approved by the same person before" in again.stdout
    assert "1 of 2" in again.stdout
    refused = ready("send", ISSUE, "--yes")
    assert refused.exit_code == 1
    assert "1 of 2 approvals" in refused.stderr
    assert "approved 2 of 2 needed (Zoë Müller, Ann Lee)" in ready("approve", ISSUE, "--by", "Ann Lee").stdout
    assert "12 accepted" in ready("send", ISSUE, "--yes").stdout


@pytest.mark.parametrize("what", ["issue", "settings", "template"])
def test_any_later_change_voids_an_approval(ready: Run, project_folder: Path, what: str) -> None:
    require(project_folder, "{require_approval: 1}")
    assert "1 of 1" in ready("approve", ISSUE, "--by", "Ann Lee").stdout
    if what == "issue":
        change(project_folder)
    elif what == "settings":
        settings = project_folder / "newsletter.yaml"
        settings.write_text(settings.read_text().replace("1 Example Street", "2 Example Street"))
    else:
        folder = project_folder / "templates" / "weekly"
        folder.mkdir()
        (folder / "weekly.html").write_text('{% extends "built-in/weekly/weekly.html" %}\n')
    refused = ready("send", ISSUE, "--yes", "--no-test")
    assert refused.exit_code == 1
    assert "0 of 1 approvals" in refused.stderr


def test_how_a_mailing_is_sent_is_no_change_of_what_is_sent(ready: Run, project_folder: Path) -> None:
    ready("test", ISSUE, "--to", "editor@example.org")
    ready("approve", ISSUE, "--by", "Ann Lee")
    require(project_folder, "{require_approval: 1, max_age: 3d}")
    assert "12 accepted" in ready("send", ISSUE, "--yes").stdout


def test_what_a_check_blocks_cannot_be_approved(ready: Run, project_folder: Path) -> None:
    issue = project_folder / "issues" / f"{ISSUE}.yaml"
    issue.write_text(issue.read_text().replace("  Burundi:\n", "  Burundi:\n    - TODO write this.\n"))
    refused = ready("approve", ISSUE, "--by", "Ann Lee")
    assert refused.exit_code == 1
    assert f"issues/{ISSUE}.yaml:" in refused.stderr


def test_the_rules_that_warn_are_named_to_whoever_approves(ready: Run, project_folder: Path) -> None:
    issue = project_folder / "issues" / f"{ISSUE}.yaml"
    link = "  Burundi:\n    - More [here](https://example.org/elsewhere).\n"
    issue.write_text(issue.read_text().replace("  Burundi:\n", link))
    assert "checks   1 rule warns: vague-link" in ready("approve", ISSUE, "--by", "Ann Lee").stdout


def test_nobody_approves_without_a_name(ready: Run) -> None:
    assert ready("approve", ISSUE).exit_code == 2
    nobody = ready("approve", ISSUE, "--by", "  ")
    assert nobody.exit_code == 2
    assert nobody.stderr == "a name stands behind this; write --by and yours\n"


def test_going_on_with_a_mailing_needs_neither(ready: Run, project_folder: Path) -> None:
    blocked = project_folder / "outbox" / f"{ISSUE}-weekly" / "7.eml"
    blocked.mkdir(parents=True)  # a folder of that name cannot be written
    assert ready("send", ISSUE, "--yes", "--no-test").exit_code == 1
    blocked.rmdir()
    require(project_folder, "{require_approval: 2}")
    assert "12 accepted" in ready("send", ISSUE, "--yes").stdout


def test_the_plan_says_how_far_people_are(ready: Run, project_folder: Path) -> None:
    require(project_folder, "{require_approval: 2}")
    before = ready("send", ISSUE, "--dry-run")
    assert before.exit_code == 0
    assert "approved 0 of 2 needed" in before.stdout
    assert "test     no copy of it as it is now was sent yet" in before.stdout
    ready("test", ISSUE, "--to", "editor@example.org")
    ready("approve", ISSUE, "--by", "Ann Lee")
    after = ready("send", ISSUE, "--dry-run").stdout
    assert "approved 1 of 2 needed (Ann Lee)" in after
    assert "test     a copy of exactly this was sent" in after
