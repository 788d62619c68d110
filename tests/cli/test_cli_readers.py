"""The readers' book on the command line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

Run = Callable[..., Result]
CONSENT = ("--consent", "asked at the spring assembly")


def listed(run: Run, *arguments: str) -> list[dict[str, object]]:
    result = run("subscribers", "list", "--format", "json", *arguments)
    assert result.exit_code == 0, result.output
    found: list[dict[str, object]] = json.loads(result.stdout)
    return found


def test_a_reader_is_added_listed_shown_and_removed(run: Run) -> None:
    added = run("subscribers", "add", "ann@example.org", "--name", "Ann Lee", "--follows", "Syria; Burundi", *CONSENT)
    assert added.exit_code == 0, added.output
    (one,) = listed(run)
    assert set(one) == {"id", "address", "name", "language", "timezone", "lists", "status", "follows"}
    assert (one["address"], one["status"], one["lists"]) == ("ann@example.org", "active", ["weekly"])
    assert one["follows"] == ["BDI", "SYR"]
    assert "ann@example.org" in run("subscribers", "list").stdout
    shown = run("subscribers", "show", "ann@example.org").stdout
    assert "Syria" in shown
    assert json.loads(run("subscribers", "show", str(one["id"]), "--format", "json").stdout) == one
    assert run("subscribers", "remove", "ann@example.org", "--dry-run").exit_code == 0
    assert len(listed(run)) == 1
    assert run("subscribers", "remove", "ann@example.org").exit_code == 0
    assert listed(run) == []
    missing = run("subscribers", "show", "ann@example.org")
    assert missing.exit_code == 2
    assert len(missing.stderr.splitlines()) == 1


def test_a_dry_run_of_an_import_writes_nothing_and_the_import_reports_what_it_did(run: Run) -> None:
    dry = run("subscribers", "import", "subscribers/sample.csv", "--dry-run", *CONSENT)
    assert dry.exit_code == 0, dry.output
    assert "nothing was written" in dry.stdout
    assert listed(run) == []
    done = run("subscribers", "import", "subscribers/sample.csv", "--format", "json", *CONSENT)
    assert json.loads(done.stdout)["written"] is True
    assert len(listed(run, "--list", "weekly", "--status", "active")) == json.loads(done.stdout)["added"] > 5
    again = run("subscribers", "import", "subscribers/sample.csv", *CONSENT)
    assert "unchanged" in again.stdout


def test_somebody_who_left_does_not_come_back_by_import_but_does_by_hand(run: Run, project_folder: Path) -> None:
    (project_folder / "one.csv").write_text("email\nann@example.org\n")
    assert run("subscribers", "import", "one.csv", *CONSENT).exit_code == 0
    assert run("subscribers", "remove", "ann@example.org", "--list", "weekly").exit_code == 0
    again = run("subscribers", "import", "one.csv", *CONSENT)
    assert again.exit_code == 0
    assert "one.csv:2: info: " in again.stdout
    assert listed(run, "--list", "weekly", "--status", "active") == []
    assert run("subscribers", "add", "ann@example.org", *CONSENT).exit_code == 0
    assert len(listed(run, "--list", "weekly", "--status", "active")) == 1


def test_an_unknown_list_or_country_is_one_line_with_what_there_is(run: Run) -> None:
    unknown = run("subscribers", "add", "ann@example.org", "--list", "weakly", *CONSENT)
    assert unknown.exit_code == 2
    assert "weekly, press" in unknown.stderr
    country = run("subscribers", "add", "ann@example.org", "--follows", "Sirya", *CONSENT)
    assert country.exit_code == 2
    assert "Syria" in country.stderr


def test_an_export_reads_back_and_is_safe_in_a_spreadsheet(run: Run, project_folder: Path) -> None:
    run("subscribers", "add", "ann@example.org", "--name", "Ann", *CONSENT)
    rows = list(csv.DictReader(io.StringIO(run("subscribers", "export", "--list", "weekly").stdout)))
    assert [row["email"] for row in rows] == ["ann@example.org"]
    written = run("subscribers", "export", "--status", "active", "-o", "out.csv")
    assert written.exit_code == 0
    assert (project_folder / "out.csv").stat().st_mode & 0o077 == 0


def test_a_misspelt_domain_is_added_with_a_hint(run: Run) -> None:
    result = run("subscribers", "add", "ann@gmail.con", *CONSENT)
    assert "gmail.com" in result.stderr


def test_a_dry_run_of_adding_a_reader_says_the_same_and_keeps_nothing(run: Run) -> None:
    dry = run("subscribers", "add", "ann@example.org", "--dry-run", *CONSENT)
    assert dry.exit_code == 0, dry.output
    assert "ann@example.org: would be added" in dry.stdout
    assert listed(run) == []
    assert run("subscribers", "add", "no address", "--dry-run", *CONSENT).exit_code == 2
    assert "ann@example.org: added" in run("subscribers", "add", "ann@example.org", *CONSENT).stdout
