"""A week's work on the command line, from an empty folder to the archive."""

from __future__ import annotations

import email
import email.policy
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from newsletter.cli.main import main
from newsletter.issue.folding import fold

Run = Callable[..., Result]


def test_a_new_project_can_be_checked_built_and_sent_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "mine"
    made = CliRunner().invoke(main, ["init", str(folder)], catch_exceptions=False)
    assert made.exit_code == 0, made.output
    assert (folder / "secret.key").stat().st_mode & 0o777 == 0o600
    monkeypatch.chdir(folder / "issues")  # any folder inside the project will do
    for command in (["check"], ["build"], ["subscribers", "list"], ["status"], ["archive", "build"]):
        result = CliRunner().invoke(main, command, catch_exceptions=False)
        assert "Traceback" not in result.output
        assert result.exit_code in (0, 1), result.output
    again = CliRunner().invoke(main, ["init", str(folder)], catch_exceptions=False)
    assert again.exit_code == 2
    assert "is there already" in again.stderr


def test_the_next_issue_follows_the_last_one(run: Run, project_folder: Path) -> None:
    assert run("new", "--date", "2016-04-29").exit_code == 0
    text = (project_folder / "issues" / "2016-04-29.yaml").read_text()
    assert "number: 246" in text
    assert "2016-04-25" in text
    again = run("new", "--date", "2016-04-29")
    assert again.exit_code == 2
    assert (project_folder / "issues" / "2016-04-29.yaml").read_text() == text
    assert run("new", "--date", "soon").exit_code == 2


def test_the_sample_issue_checks_clean(run: Run) -> None:
    result = run("check", "2016-04-22", "--format", "json")
    assert result.exit_code == 0
    assert [one for one in json.loads(result.stdout) if one["level"] != "info"] == []


def test_findings_come_as_json_and_an_accepted_warning_no_longer_warns(run: Run, project_folder: Path) -> None:
    issue = project_folder / "issues" / "2016-04-22.yaml"
    text = issue.read_text().replace("  Burundi:\n", "  Burundi:\n    - More [here](https://example.org/elsewhere).\n")
    issue.write_text(text)
    found = json.loads(run("check", "2016-04-22", "--format", "json").stdout)
    warning = next(one for one in found if one["level"] == "warn")
    assert set(warning) == {"code", "level", "message", "file", "line"}
    assert "[here]" in text.splitlines()[warning["line"] - 1]
    text = run("check", "2016-04-22").stdout
    assert f"issues/2016-04-22.yaml:{warning['line']}: warn: " in text
    assert run("check", "2016-04-22", "--accept", warning["code"]).exit_code == 2  # nobody's name
    accepted = run("check", "2016-04-22", "--accept", warning["code"], "--by", "Ann Lee", "--format", "json")
    assert accepted.exit_code == 0
    assert [one for one in json.loads(accepted.stdout) if one["level"] == "warn"] == []
    assert "Ann Lee" in (project_folder / "issues" / "2016-04-22.accepted.yaml").read_text()


def test_a_build_writes_html_text_and_a_message(run: Run, project_folder: Path) -> None:
    result = run("build", "2016-04-22", "-o", "made")
    assert result.exit_code == 0
    folder = project_folder / "made" / "2016-04-22"
    html, text = (folder / "email.html").read_text(), (folder / "email.txt").read_text()
    message = email.message_from_bytes((folder / "message.eml").read_bytes(), policy=email.policy.SMTP)
    assert html.startswith("<!DOCTYPE html")
    assert "Burundi" in text
    assert "__NL_" not in html + text  # a sample reader's own links stand there
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "kB" in result.stdout
    assert "ms" in result.stdout


def test_countries_are_explained_and_unknown_names_get_suggestions(run: Run) -> None:
    known = run("countries", "DRC")
    assert "Democratic Republic of Congo" in known.stdout
    assert json.loads(run("countries", "oPt", "--format", "json").stdout)[0]["key"] == "PSE"
    unknown = run("countries", "Yemn")
    assert unknown.exit_code == 1
    assert "did you mean 'Yemen'" in unknown.stderr
    everything = run("countries").stdout
    assert "International Criminal Court" in everything
    assert run("countries", "Horn", "of", "Africa").exit_code == 0


def test_countries_are_explained_outside_a_project_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "Myanmar" in CliRunner().invoke(main, ["countries", "Burma"], catch_exceptions=False).stdout


def test_the_schema_is_json(run: Run) -> None:
    assert "properties" in json.dumps(json.loads(run("schema").stdout))


def test_the_archive_is_built_and_a_second_time_nothing_changes(run: Run, project_folder: Path) -> None:
    assert run("archive", "build").exit_code == 0
    pages = {path: path.stat().st_mtime_ns for path in (project_folder / "public").rglob("*") if path.is_file()}
    assert (project_folder / "public" / "archive" / "countries" / "syria.html") in pages
    assert run("archive", "build").exit_code == 0
    assert pages == {path: path.stat().st_mtime_ns for path in (project_folder / "public").rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "arguments", [(), ("check",), ("subscribers",), ("subscribers", "import"), ("archive", "build")]
)
def test_help_is_there_for_everything(run: Run, arguments: tuple[str, ...]) -> None:
    result = run(*arguments, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout


def test_the_next_issue_has_the_number_after_the_one_before_its_own_week(run: Run, project_folder: Path) -> None:
    assert run("new", "--date", "2016-04-29").exit_code == 0
    (project_folder / "issues" / "2016-04-15.yaml").unlink()
    assert run("new", "--date", "2016-04-14").exit_code == 0
    number = re.search(r"(?m)^number: (\d+)", (project_folder / "issues" / "2016-04-08.yaml").read_text())
    assert number
    assert f"\nnumber: {int(number[1]) + 1}\n" in (project_folder / "issues" / "2016-04-15.yaml").read_text()


def test_the_first_issue_makes_the_folder_that_git_did_not_keep(run: Run, project_folder: Path) -> None:
    shutil.rmtree(project_folder / "issues")
    result = run("new", "--date", "2016-04-22")
    assert result.stdout.startswith("made issues/2016-04-22.yaml\n")
    assert (project_folder / "issues" / "2016-04-22.yaml").is_file()


def test_files_are_named_as_seen_from_where_the_editor_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = CliRunner().invoke(main, ["init", "mine"], catch_exceptions=False).stdout.split("\n")
    assert made[0] == "made mine/newsletter.yaml"
    assert made[1].startswith("made mine/issues/2")
    spaced = CliRunner().invoke(main, ["init", "my weekly"], catch_exceptions=False).stdout
    assert "\n  cd 'my weekly'\n" in spaced
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert "  cd " not in CliRunner().invoke(main, ["init", "."], catch_exceptions=False).stdout
    beside = CliRunner().invoke(main, ["init", "../beside"], catch_exceptions=False).stdout.split("\n")
    assert beside[0] == "made ../beside/newsletter.yaml"
    assert beside[1].startswith("made ../beside/issues/2")


def test_a_build_counts_one_as_one_and_the_archive_says_where_it_stands(run: Run, project_folder: Path) -> None:
    (project_folder / "issues" / "2016-05-06.yaml").write_text("updates:\n  Syria:\n    - Talks resumed.\n")
    assert "1 subject, 1 update; " in run("build", "2016-05-06").stdout
    assert run("archive", "build").stdout.startswith("public/archive/index.html: ")
    (project_folder / "public" / "archive" / "style.css").unlink()
    assert run("archive", "build").stdout.startswith("public/archive/index.html: 1 file written, ")


def test_the_countries_of_a_region_are_listed_by_the_alphabet(run: Run) -> None:
    (holds,) = [line for line in run("countries", "East", "Africa").stdout.split("\n") if line.startswith("holds:")]
    names = holds.removeprefix("holds:").strip().split(", ")
    assert names == sorted(names, key=fold)
    assert len(names) > 3


def test_the_archive_names_an_issue_that_may_be_unfinished(run: Run, project_folder: Path) -> None:
    assert run("archive", "build").stderr == ""
    (project_folder / "issues" / "2999-01-04.yaml").write_text("updates:\n  Syria:\n    - Talks resumed.\n")
    result = run("archive", "build")
    assert result.exit_code == 0
    assert result.stderr == ("issues/2999-01-04.yaml: its day, 2999-01-04, is still to come, but its page is made\n")
    assert (project_folder / "public/archive/issues/2999-01-04.html").is_file()


def test_a_project_builds_on_the_template_that_it_hides(run: Run, project_folder: Path) -> None:
    folder = project_folder / "templates" / "weekly"
    folder.mkdir()
    (folder / "weekly.html").write_text(
        '{% extends "built-in/weekly/weekly.html" %}\n'
        "{% block content %}<tr><td>A line of our own</td></tr>{{ super() }}{% endblock %}\n"
    )
    assert run("build", "2016-04-22").exit_code == 0
    html = (project_folder / "build" / "2016-04-22" / "email.html").read_text()
    assert html.index("A line of our own") < html.index("Choosing a Secretary-General")


def test_the_shell_completes_commands_and_the_names_of_issues(
    project_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def completed(words: str) -> list[str]:
        environment = {"_NEWSLETTER_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "2"}
        result = CliRunner().invoke(main, env=environment, prog_name="newsletter")
        return [line.partition(",")[2] for line in result.stdout.splitlines() if line.startswith("plain,")]

    monkeypatch.chdir(project_folder)
    assert completed("newsletter check 2016-04-2") == ["2016-04-25-no-issue-next-week", "2016-04-22"]
    assert completed("newsletter subscribers im") == ["import"]
    monkeypatch.chdir(tmp_path)
    assert completed("newsletter check 2016-04-2") == []
