"""What an editor does wrong ends in one line that says where and what to write, and changes nothing."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]
HEAD = (
    "kind: weekly\nperiod: {start: 2016-05-02, end: 2016-05-06}\nlead:\n  title: A lead\n  body: Some text.\nupdates:\n"
)
BOMB = "a: &a [x, x, x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\nd: &d [*c, *c, *c]\n"


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


ISSUES = {
    "duplicate country": (HEAD + "  Syria:\n    - One.\n  Syria:\n    - Two.\n", 9, "Syria"),
    "one country under two names": (HEAD + "  Burma:\n    - One.\n  Myanmar:\n    - Two.\n", 9, "Myanmar"),
    "NO as a country": (HEAD + "  NO:\n    - One.\n", 7, "Norway"),
    "alias bomb": (BOMB, 1, "anchor"),
    "tab indent": (HEAD + "\tSyria:\n    - One.\n", 7, "tab"),
    "unknown key": (HEAD + "  Syria:\n    - One.\nupdate: x\n", 9, "updates"),
    "javascript link": (HEAD + "  Syria:\n    - See [this](javascript:alert(1)).\n", 8, "javascript"),
    "line break in a subject": (
        'subject: "One\\r\\nBcc: x@example.org"\n' + HEAD + "  Syria:\n    - One.\n",
        1,
        "line",
    ),
}


@pytest.mark.parametrize("name", ISSUES)
def test_a_bad_issue_is_one_line_with_its_place_and_nothing_is_written(
    name: str, run: Run, project_folder: Path
) -> None:
    text, line, word = ISSUES[name]
    (project_folder / "issues" / "2016-05-06.yaml").write_text(text)
    before = snapshot(project_folder)
    for command in (("check",), ("build",), ("send", "--yes"), ("test", "2016-05-06", "--to", "a@example.org")):
        result = run(*command, *(("2016-05-06",) if command[0] in ("check", "build") else ()))
        if command[0] == "send":
            result = run("send", "2016-05-06", "--yes")
        assert result.exit_code == 2, result.output
        assert f"issues/2016-05-06.yaml:{line}: " in result.stderr
        assert word in result.stderr
        assert "Traceback" not in result.output
        assert snapshot(project_folder) == before


def test_all_faults_of_a_file_are_told_at_once(run: Run, project_folder: Path) -> None:
    text = HEAD + "  Yemn:\n    - One.\n  Syria:\n    - See [this](javascript:x).\nupdate: x\nnumber: many\n"
    (project_folder / "issues" / "2016-05-06.yaml").write_text(text)
    lines = run("check", "2016-05-06").stderr.splitlines()
    assert [line.split(":")[1] for line in lines] == ["7", "10", "11", "12"]


def test_a_slug_that_climbs_out_of_the_folder_is_refused(run: Run) -> None:
    result = run("check", "../../etc/passwd")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1


def test_a_csv_with_a_formula_is_refused_by_line(run: Run, project_folder: Path) -> None:
    (project_folder / "subscribers" / "new.csv").write_text("email,name\na@example.org,Ann\nb@example.org,=1+1\n")
    result = run("subscribers", "import", "subscribers/new.csv", "--consent", "asked on paper")
    assert result.exit_code == 2
    assert "subscribers/new.csv:3: " in result.stderr
    assert "0 readers" in run("subscribers", "list").stdout


def test_a_missing_template_is_named(run: Run, project_folder: Path) -> None:
    (project_folder / "templates" / "weekly").mkdir()
    (project_folder / "templates" / "weekly" / "weekly.html").write_text("\n{% include 'absent.html' %}\n")
    result = run("build", "2016-04-22")
    assert result.exit_code == 2
    assert "templates/weekly/weekly.html:2: " in result.stderr
    assert "absent.html" in result.stderr
    assert not (project_folder / "build").exists()


def test_a_template_with_an_undefined_name_is_shown_with_its_line(run: Run, project_folder: Path) -> None:
    (project_folder / "templates" / "weekly").mkdir()
    (project_folder / "templates" / "weekly" / "weekly.html").write_text("\n\n{{ titel }}\n")
    result = run("build", "2016-04-22")
    assert result.exit_code == 2
    assert "templates/weekly/weekly.html:3: " in result.stderr
    assert "titel" in result.stderr


def test_a_corrupt_database_is_one_line(run: Run, project_folder: Path) -> None:
    (project_folder / "subscribers" / "newsletter.db").write_bytes(b"this is no database at all\n" * 200)
    result = run("subscribers", "list")
    assert result.exit_code == 2
    assert "subscribers/newsletter.db" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def full_disk() -> None:
    """Let no file grow past 32 kB, as on a full disk; the write fails instead of the process being killed."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (32768, 32768))


@pytest.mark.parametrize(
    "arguments",
    [
        ("build", "2016-04-22"),
        ("subscribers", "import", "subscribers/sample.csv", "--consent", "asked on paper"),
        ("archive", "build"),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_a_full_disk_is_one_line(arguments: tuple[str, ...], project_folder: Path) -> None:
    command = [sys.executable, "-c", "from newsletter.cli.main import main; main()", *arguments]
    environment = {**os.environ, "COVERAGE_PROCESS_START": "", "COVERAGE_PROCESS_CONFIG": ""}
    result = subprocess.run(
        command, cwd=project_folder, env=environment, preexec_fn=full_disk, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2, result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.stderr
    assert not list(project_folder.rglob("*.tmp"))


def test_outside_a_project_the_command_says_how_to_make_one(tmp_path: Path, run: Run) -> None:
    result = run("--project", str(tmp_path), "check")
    assert result.exit_code == 2
    assert "newsletter init" in result.stderr


def test_an_unknown_setting_is_told_with_its_line(run: Run, project_folder: Path) -> None:
    settings = project_folder / "newsletter.yaml"
    settings.write_text(settings.read_text() + "providers: x\n")
    result = run("check")
    assert result.exit_code == 2
    assert f"newsletter.yaml:{len(settings.read_text().splitlines())}: " in result.stderr
    assert "'provider'" in result.stderr


def test_a_folder_that_cannot_be_made_is_named_as_the_editor_sees_it(run: Run, project_folder: Path) -> None:
    (project_folder / "build").write_text("a file, not a folder")
    result = run("build", "2016-04-22")
    assert result.exit_code == 2
    assert result.stderr == "build/2016-04-22: Not a directory; nothing more was written\n"


def test_a_port_that_does_not_exist_is_refused_in_a_line(run: Run) -> None:
    result = run("preview", "--port", "99999")
    assert result.exit_code == 2
    assert result.stderr == "there is no port 99999; write one up to 65535, or 0 for any free one\n"


def test_a_port_that_is_taken_is_refused_in_a_line(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("preview", "--port", str(port))
    assert result.exit_code == 2
    assert result.stderr == f"port {port} cannot be used: Address already in use; choose another with --port\n"


def test_faults_come_as_json_too(run: Run, project_folder: Path) -> None:
    (project_folder / "issues" / "2016-05-06.yaml").write_text(HEAD + "  Syrai:\n    - One.\nseccions: []\n")
    result = run("check", "2016-05-06", "--format", "json")
    assert result.exit_code == 2
    first, second = json.loads(result.stdout)
    assert first["file"].endswith("issues/2016-05-06.yaml")
    assert {**first, "file": ""} == {
        "code": "fault",
        "level": "block",
        "message": "no country is called 'Syrai'; did you mean 'Syria'?",
        "file": "",
        "line": 7,
    }
    assert second["line"] == 9
    assert result.stderr.count("\n") == 2
