"""A send sees within seconds that what it sends was changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from newsletter.desk.issue import check
from newsletter.desk.posting import open_posting
from newsletter.desk.project import Desk, open_desk
from newsletter.desk.watching import StillTheSame, stamps

ISSUE = "2016-04-22"


@pytest.fixture
def desk(project_folder: Path) -> Desk:
    return open_desk(project_folder)


def watching(desk: Desk) -> StillTheSame:
    before = stamps(desk)
    checked = check(desk, ISSUE)
    return StillTheSame(desk, checked.file.path, checked.edition.digest, before)


def test_nothing_is_made_anew_while_no_file_changes(desk: Desk) -> None:
    still = watching(desk)
    assert still.seen is not None
    still.digest = "not asked for"
    assert still()


def test_a_changed_issue_stops_and_brought_back_it_goes_on(desk: Desk) -> None:
    still = watching(desk)
    text = still.path.read_text()
    still.path.write_text(text.replace("number: 245", "number: 246"))
    assert not still()
    assert not still()
    still.path.write_text(text)
    assert still()


@pytest.mark.parametrize("what", ["settings", "template", "fault", "gone"])
def test_whatever_shapes_the_mail_is_watched(desk: Desk, what: str) -> None:
    still = watching(desk)
    root = desk.project.root
    if what == "settings":
        settings = root / "newsletter.yaml"
        settings.write_text(settings.read_text().replace("1 Example Street", "2 Example Street"))
    elif what == "template":
        (root / "templates" / "weekly").mkdir()
        (root / "templates" / "weekly" / "weekly.html").write_text('{% extends "built-in/weekly/weekly.html" %}\n')
    elif what == "fault":
        still.path.write_text("updates: [")
    else:
        still.path.unlink()
    assert not still()


def test_another_issue_and_the_carrier_may_change(desk: Desk) -> None:
    still = watching(desk)
    (desk.project.issues / "2016-04-29.yaml").write_text("updates:\n  Syria:\n    - Talks resumed.\n")
    settings = desk.project.root / "newsletter.yaml"
    settings.write_text(settings.read_text() + "send: {max_age: 3d}\n")
    os.utime(still.path, (0, 0))
    assert still()
    assert still()


def test_a_change_before_the_edition_was_made_is_not_overlooked(desk: Desk) -> None:
    settings = desk.project.root / "newsletter.yaml"
    settings.write_text(settings.read_text().replace("1 Example Street", "2 Example Street"))
    assert stamps(desk) is None  # the settings have been read before
    assert not watching(desk)()


def test_a_send_is_given_the_watch(desk: Desk) -> None:
    with open_posting(desk, ISSUE, None) as work:
        assert work.order.still()
        work.checked.file.path.unlink()
        assert not work.order.still()
