"""The folder of issues: their order, and which file a name means."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from newsletter import config
from newsletter.errors import FaultsError, NewsletterError
from newsletter.issue import folder
from newsletter.issue.countries import Countries


def write(project: config.Project, slug: str, text: str = "") -> Path:
    path = project.issues / f"{slug}.yaml"
    path.write_text(text, "utf-8")
    return path


@pytest.fixture
def empty(project: config.Project) -> config.Project:
    for path in project.issues.glob("*.yaml"):
        path.unlink()
    return project


def slugs(project: config.Project) -> list[str]:
    return [path.stem for path in folder.paths(project.issues)]


def test_issues_stand_newest_first_by_the_day_they_are_published(empty: config.Project) -> None:
    write(empty, "2016-04-01", "period: {start: 2016-04-18, end: 2016-04-22}\n")
    write(empty, "2016-04-08", "# published: 2020-01-01\nlead:\n  body: |\n    published: 2020-01-01\n")
    write(empty, "2016-04-15", "published: '2016-04-02'\nperiod: {start: 2019-04-18, end: 2019-04-22}\n")
    write(empty, "long-form", "period:\n  start: 2016-04-25\n  # weekend\n\n  end: 2016-04-29\nnumber: 1\n")
    write(empty, "dos", "kind: weekly\r\nperiod:\r\n  start: 2016-05-02\r\n  end: 2016-05-06\r\n")
    write(empty, "no-day", "period: {start: 2016-05-02}\nlead: {title: end: 2030-01-01}\n")
    write(empty, "2016-06-01-wrong-day", "published: 2016-02-30\n")
    assert slugs(empty) == [
        "2016-06-01-wrong-day", "dos", "long-form", "2016-04-01", "2016-04-08", "2016-04-15", "no-day",
    ]  # fmt: skip


def test_two_issues_of_one_day_stand_by_their_names(empty: config.Project) -> None:
    for slug in ("2016-04-22", "2016-04-22-extra", "2016-04-22-b"):
        write(empty, slug)
    assert slugs(empty) == ["2016-04-22-extra", "2016-04-22-b", "2016-04-22"]


def test_notes_beside_an_issue_and_other_files_are_no_issues(empty: config.Project) -> None:
    write(empty, "2016-04-22")
    write(empty, "2016-04-22.accepted")
    write(empty, ".2016-04-22.yaml.x")
    (empty.issues / "readme.txt").write_text("x")
    (empty.issues / "2016-04-29.yaml").mkdir()
    assert slugs(empty) == ["2016-04-22"]


def test_the_quick_order_is_that_of_the_loaded_issues(project: config.Project, countries: Countries) -> None:
    files = folder.load_all(project, countries)
    assert [file.slug for file in files] == slugs(project)
    assert [file.published for file in files] == sorted((file.published for file in files), reverse=True)


def test_without_a_name_the_newest_issue_is_meant(empty: config.Project) -> None:
    with pytest.raises(NewsletterError, match="no issue yet; 'newsletter new' makes one"):
        folder.find(empty)
    write(empty, "2016-04-15")
    write(empty, "2016-04-22")
    assert folder.find(empty).stem == "2016-04-22"


def test_an_issue_is_found_by_its_slug_its_file_name_and_its_path(
    project: config.Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = project.issues / "2016-04-22.yaml"
    monkeypatch.chdir(tmp_path)
    assert folder.find(project, "2016-04-22") == path
    assert folder.find(project, "2016-04-22.yaml") == path
    assert folder.find(project, str(path)) == path
    assert folder.find(project, "project/issues/2016-04-22.yaml").samefile(path)
    monkeypatch.chdir(project.templates)
    assert folder.find(project, "../issues/2016-04-22.yaml").samefile(path)


@pytest.mark.parametrize(
    "reference",
    ["../2016-04-22", "issues/../../x", "/etc/passwd", "..", "", "A", "a\nb", "2016-04-22/", "x" * 500, "\0"],
)
def test_what_is_no_slug_is_refused_in_one_line(project: config.Project, reference: str) -> None:
    with pytest.raises(
        NewsletterError, match=r"is no issue's name; write it like 2016-04-22, or the path of its file$"
    ) as e:
        folder.find(project, reference)
    assert "\n" not in str(e.value)
    assert len(str(e.value)) < 200


def test_an_issue_that_is_not_there_is_named_with_the_nearest(project: config.Project) -> None:
    with pytest.raises(
        NewsletterError, match=r"there is no issue called '2016-04-21'; did you mean '2016-04-2[0-9]'\?"
    ):
        folder.find(project, "2016-04-21")
    with pytest.raises(NewsletterError, match=r"there is no issue called 'zzz'$"):
        folder.find(project, "zzz.yaml")
    with pytest.raises(NewsletterError, match=r"^issues/zzz\.yaml: there is no such file$"):
        folder.find(project, "issues/zzz.yaml")


def test_a_file_whose_name_is_no_slug_is_refused(project: config.Project) -> None:
    path = write(project, "My Issue")
    with pytest.raises(NewsletterError, match=r"'My Issue\.yaml' cannot name an issue"):
        folder.find(project, str(path))


def test_only_a_slug_leads_to_a_file_where_pages_ask(project: config.Project) -> None:
    assert folder.by_slug(project, "2016-04-22") == project.issues / "2016-04-22.yaml"
    with pytest.raises(NewsletterError, match="is no issue's name"):
        folder.by_slug(project, str(project.issues / "2016-04-22.yaml"))


def test_the_faults_of_all_issues_come_together(project: config.Project, countries: Countries) -> None:
    write(project, "2016-05-06", "titel: x\n")
    write(project, "Draft", "a: &b c\n")
    with pytest.raises(FaultsError) as caught:
        folder.load_all(project, countries)
    assert len(caught.value.faults) == 3
    assert {Path(fault.file).stem for fault in caught.value.faults} == {"2016-05-06", "Draft"}


def test_a_folder_that_is_not_there_has_no_issues(tmp_path: Path) -> None:
    assert folder.paths(tmp_path / "none") == ()


def test_an_issue_that_cannot_be_read_is_one_line(empty: config.Project, monkeypatch: pytest.MonkeyPatch) -> None:
    write(empty, "2016-04-22")

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)  # a test runs as root too, whom no mode keeps out
    with pytest.raises(NewsletterError, match="cannot be read: Permission denied"):
        folder.paths(empty.issues)


def test_issues_of_one_folder_load_with_their_days(project: config.Project, countries: Countries) -> None:
    days = {file.slug: file.published for file in folder.load_all(project, countries)}
    assert days["2016-04-22"] == dt.date(2016, 4, 22)


def test_a_path_may_start_at_the_project(
    project: config.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert folder.find(project, "issues/2016-04-22.yaml") == project.issues / "2016-04-22.yaml"


def test_a_folder_that_cannot_be_read_does_not_look_empty(tmp_path: Path) -> None:
    (tmp_path / "issues").write_text("a file where the folder should be")
    with pytest.raises(NewsletterError, match=r"issues: cannot be read"):
        folder.paths(tmp_path / "issues")
