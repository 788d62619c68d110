from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from newsletter.archive import site
from newsletter.archive.publish import LIST, Page, Report, digest, publish
from newsletter.errors import NewsletterError

Build = Callable[[], site.Report]


def page(path: str, data: str, made_from: str | None = None) -> Page:
    return Page(path, made_from or digest(data), data.encode)


def never() -> bytes:
    raise AssertionError("a page whose sources did not change is not made")


def test_a_second_build_over_the_same_sources_makes_and_writes_nothing(build: Build, out: Path) -> None:
    first = build()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert build() == Report(written=0, unchanged=first.written, removed=0)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before


def test_a_page_whose_sources_did_not_change_is_not_even_made(tmp_path: Path) -> None:
    publish([page("a.html", "A")], tmp_path)
    assert publish([Page("a.html", digest("A"), never)], tmp_path) == Report(0, 1, 0)


def test_a_changed_issue_changes_its_own_pages_only(root: Path, build: Build, out: Path) -> None:
    build()
    before = {path: path.read_bytes() for path in out.rglob("*.html")}
    path = root / "issues/2015-07-03.yaml"
    path.write_text(path.read_text("utf-8").replace("Ships wait.", "Ships sailed."), "utf-8")
    build()
    changed = {file.relative_to(out).as_posix() for file, data in before.items() if file.read_bytes() != data}
    assert changed == {"issues/2015-07-03.html", "countries/yemen.html"}


def test_a_changed_setting_reaches_every_page(root: Path, build: Build, out: Path) -> None:
    build()
    path = root / "newsletter.yaml"
    path.write_text(path.read_text("utf-8").replace("Example Coalition", "Another Coalition"), "utf-8")
    build()
    assert all("Another Coalition" in file.read_text("utf-8") for file in out.rglob("*.html"))


def test_a_changed_picture_is_copied_again(root: Path, build: Build, out: Path) -> None:
    build()
    (root / "issues/images/hall one.png").write_bytes(b"another picture")
    assert build().written == 1
    assert (out / "images/hall one.png").read_bytes() == b"another picture"


def test_pages_of_an_issue_that_is_gone_are_removed_and_nothing_else(root: Path, build: Build, out: Path) -> None:
    build()
    foreign = (out / "CNAME", out / "issues/notes.html", out / "issues/.hidden")
    for path in foreign:
        path.write_text("mine", "utf-8")
    (root / "issues/2015-07-03.yaml").unlink()
    report = build()
    assert report.removed == 7  # the issue, and pages and feeds of Sudan, South Sudan and Yemen
    assert not (out / "issues/2015-07-03.html").exists()
    assert not (out / "countries/yemen.html").exists()
    assert [path.read_text("utf-8") for path in foreign] == ["mine"] * 3


def test_a_folder_that_is_empty_without_its_pages_goes_with_them(tmp_path: Path) -> None:
    publish([page("a.html", "A"), page("b/c/d.html", "D")], tmp_path)
    assert publish([page("a.html", "A")], tmp_path) == Report(0, 1, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [LIST, "a.html"]


def test_a_file_that_the_archive_did_not_make_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("mine", "utf-8")
    with pytest.raises(NewsletterError, match=r"index.html: the archive did not make this file"):
        publish([page("about.html", "A"), page("index.html", "I")], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html"]
    assert (tmp_path / "index.html").read_text("utf-8") == "mine"


def test_an_archive_that_lost_its_list_is_taken_over_where_it_is_the_same(build: Build, out: Path) -> None:
    first = build()
    (out / LIST).unlink()
    assert build() == Report(0, first.written, 0)
    assert build() == Report(0, first.written, 0)


def test_a_page_that_was_deleted_or_cut_by_hand_is_made_again(build: Build, out: Path) -> None:
    first = build()
    (out / "index.html").unlink()
    (out / "feed.xml").write_text("cut", "utf-8")
    assert build() == Report(2, first.written - 2, 0)


def test_a_page_that_is_gone_already_is_not_counted_as_removed(tmp_path: Path) -> None:
    publish([page("a.html", "A"), page("b.html", "B")], tmp_path)
    (tmp_path / "b.html").unlink()
    assert publish([page("a.html", "A")], tmp_path) == Report(0, 1, 0)


def test_a_build_that_was_cut_off_knows_its_files(tmp_path: Path) -> None:
    def full_disk() -> bytes:
        raise NewsletterError("the disk is full")

    publish([page("a.html", "A")], tmp_path)
    (tmp_path / "z").write_text("in the way of a folder", "utf-8")
    with pytest.raises(NewsletterError, match=r"cannot be written"):
        publish([page("b.html", "B"), page("z/y.html", "Y")], tmp_path)
    assert (tmp_path / "b.html").exists()
    assert publish([page("a.html", "A")], tmp_path) == Report(0, 1, 1)
    assert not (tmp_path / "b.html").exists()
    with pytest.raises(NewsletterError, match="the disk is full"):
        publish([Page("c.html", "c", full_disk)], tmp_path)
    assert (tmp_path / "a.html").exists()


def test_no_half_written_file_stays_behind(tmp_path: Path) -> None:
    (tmp_path / "a.html").mkdir()
    (tmp_path / LIST).write_text(json.dumps({"version": 1, "files": {"a.html": ["", 1]}}), "utf-8")
    with pytest.raises(NewsletterError, match=r"a.html: cannot be written: Is a directory"):
        publish([page("a.html", "A")], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [LIST, "a.html"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "the archive's list of its own files is damaged"),
        ("[]", "the archive's list of its own files is damaged"),
        ('{"version": 1, "files": {"a": []}}', "the archive's list of its own files is damaged"),
        ('{"version": 1, "files": {"../a": ["", 1]}}', "'../a' lies outside the archive"),
        ('{"version": 1, "files": {"/etc/a": ["", 1]}}', "'/etc/a' lies outside the archive"),
    ],
)
def test_a_damaged_list_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / LIST).write_text(text, "utf-8")
    with pytest.raises(NewsletterError, match=message):
        publish([page("a.html", "A")], tmp_path)


def test_the_list_of_another_version_is_good_for_the_names_only(tmp_path: Path) -> None:
    publish([page("a.html", "A"), page("b.html", "B")], tmp_path)
    raw = json.loads((tmp_path / LIST).read_text("utf-8"))
    (tmp_path / LIST).write_text(json.dumps({**raw, "version": 0}), "utf-8")
    assert publish([page("a.html", "A2")], tmp_path) == Report(1, 0, 1)


def test_a_list_that_is_a_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / LIST).mkdir()
    with pytest.raises(NewsletterError, match=r"cannot be read: Is a directory"):
        publish([page("a.html", "A")], tmp_path)


def test_a_page_that_became_a_folder_cannot_be_removed(tmp_path: Path) -> None:
    publish([page("a.html", "A")], tmp_path)
    (tmp_path / "a.html").unlink()
    (tmp_path / "a.html").mkdir()
    with pytest.raises(NewsletterError, match=r"a.html: cannot be removed"):
        publish([], tmp_path)


def test_only_pictures_of_the_issues_folder_are_published(root: Path, build: Build, out: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    (root / "issues/images/link.png").symlink_to(secret)
    (root / "issues/images/.draft.png").write_bytes(b"draft")
    (root / "issues/maps").mkdir()
    (root / "issues/maps/map.png").write_bytes(b"map")
    (root / "issues/2016-05-06.yaml").write_text(
        "lead:\n  title: A map\n  body: Words.\n  figures:\n"
        "    - {src: maps/map.png, alt: A map}\n    - {src: ../../secret.png, alt: None}\n"
        "    - {src: gone.png, alt: None}\n",
        "utf-8",
    )
    build()
    pictures = {path.relative_to(out).as_posix() for path in out.rglob("*.png")}
    assert pictures == {"images/hall one.png", "maps/map.png"}


def test_a_digest_tells_where_one_part_ends_and_the_next_begins() -> None:
    assert digest("a", "bc") != digest("ab", "c")
    assert digest("a", b"b") == digest("a", "b")
