"""Saving: the loader reads back the same, and what did not change stays as it stands."""

from __future__ import annotations

import datetime as dt
import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from newsletter import config
from newsletter.errors import FaultsError, NewsletterError
from newsletter.issue import folder
from newsletter.issue.countries import Countries
from newsletter.issue.load import load, parse
from newsletter.issue.model import Issue, Notice, Subject, Update, Weekly
from newsletter.issue.save import dump, save, write

# ruff: noqa: E501 - a strategy reads best on one line
COUNTRIES = Countries()
PATH = Path("2016-04-22.yaml")

NASTY = [
    "#R2P", "NO", "yes", "12:30", "010", "0x1F", "1e3", ".inf", "null", "~", "true", "2016-04-22", "245", "=", "<<", "...", "---", "--- a",
    "- item", "? key", ": value", "a: b", "a : b", "a #b", "a:", "a::b", "'", '"', "it's", 'say "no"', "“no”", "''", "\\", "\\n", "C:\\x", "@x", "`x`",
    "%x", "&x", "*x*", "**x**", "!x", "|", ">", "|-", "[x](https://example.org/a?b=c&d=e#f)", "[x]", "{x}", "{a: b}", "[a, b", "a, b", "a]", "}",
    "مرحبا: نعم", "\u200fالنص", "日本語", "e\u0301", "é", "😀", "\u00a0x\u00a0", "x\u00a0y", "\u200bx", "\ufeffx", "x\ufeff", "x\u00ad", "a\tb", "\ta",
    "x" * 200, "word " * 60, ("x" * 130) + ": " + "y" * 130, "a  b", "a - b", "-", "?", ":", "#", ",", "a\\", "ﬁ", "١٢", "\ue000",
]  # fmt: skip
NASTY_LINES = [
    *NASTY, "a\nb", "a\n\nb", "a\n\n\n\nb", "\n\na", "  a\nb", "a\n  b\n c", "a  \nb", "a\n \nb", "a\n\tb", "\ta\nb", "# a\nb", "a\n# b", "- a\n- b",
    "1. a\n2. b", "> a\n> b", "a\\\nb", "a\n---\nb", "a\n...\nb", "a: b\nc: d", " a", "a ", "\u00a0\na", "a\nb: |\n  c", "'a\nb'", '"a\nb"', "|\n a",
    "a\r\nb", "a\n" + "x" * 300,
]  # fmt: skip

LINES = st.one_of(
    st.sampled_from(NASTY), st.text(max_size=40), st.lists(st.sampled_from(NASTY), min_size=2, max_size=3).map(" ".join)
)
PROSE = st.one_of(
    st.sampled_from(NASTY_LINES),
    st.text(max_size=60),
    st.lists(st.sampled_from(NASTY_LINES), max_size=4).map("\n".join),
)
URLS = st.sampled_from(
    [
        "https://example.org/",
        "https://example.org/a,b?c=[d]&e={f}#g:h",
        "mailto:a@example.org",
        "#top",
        "http://example.org/'\"!*",
    ]
)
DAYS = st.dates(min_value=dt.date(1, 1, 1))
MOMENTS = st.datetimes().map(lambda moment: moment.replace(second=0, microsecond=0))
SOURCE = st.fixed_dictionaries({"name": LINES, "url": URLS}, optional={"date": DAYS})
UPDATE = st.one_of(
    PROSE, st.fixed_dictionaries({"text": PROSE}, optional={"kicker": LINES, "headline": LINES, "source": SOURCE})
)
UPDATES = st.lists(UPDATE, min_size=1, max_size=3)
OPTIONS = {
    "heading": LINES,
    "label": LINES,
    "intro": PROSE,
    "sort": LINES,
    "style": st.sampled_from(["bullets", "paragraphs", "headlines"]),
}
SUBJECT = st.one_of(UPDATES, st.fixed_dictionaries({"updates": UPDATES}, optional=OPTIONS))
FREE_SUBJECT = st.fixed_dictionaries({"updates": UPDATES, "countries": st.just(["Haiti"])}, optional=OPTIONS)
EVENT = st.fixed_dictionaries(
    {"title": LINES, "start": MOMENTS, "timezone": st.sampled_from(["UTC", "America/New_York"])},
    optional={"end": MOMENTS, "host": LINES, "summary": PROSE, "url": URLS},
)
ITEM = st.one_of(
    UPDATE,
    EVENT.map(lambda event: {"event": event}),
    st.fixed_dictionaries({"title": LINES}, optional={"organisations": st.lists(LINES, max_size=2), "date": DAYS}).map(
        lambda value: {"publication": value}
    ),
)
COMMON = {
    "period": st.fixed_dictionaries({"start": DAYS, "end": DAYS}), "number": st.integers(1, 999_999_999), "subject": LINES, "published": DAYS,
    "preheader": LINES, "language": st.sampled_from(["ar", "fr", "pt-BR"]), "translations": st.just({"fr": "2016-04-22-fr"}), "topics": st.lists(LINES, max_size=2),
    "authors": st.lists(st.fixed_dictionaries({"name": LINES}, optional={"note": PROSE}), max_size=2), "legacy_urls": st.lists(URLS, max_size=2),
    "actions": st.lists(st.fixed_dictionaries({"text": LINES, "url": URLS}), max_size=2), "notices": st.lists(PROSE, max_size=2), "credits": PROSE, "disclaimer": PROSE,
}  # fmt: skip
LEAD = st.fixed_dictionaries(
    {"title": LINES, "body": PROSE},
    optional={
        "kicker": LINES,
        "figures": st.lists(st.fixed_dictionaries({"src": LINES}, optional={"caption": PROSE}), max_size=2),
    },
)
SUBJECTS = st.builds(
    lambda known, free: {**known, **free},
    st.dictionaries(
        st.sampled_from(["Syria", "Burma/Myanmar", "Sudan/Darfur", "Armenia / Azerbaijan", "NOR", "Côte d’Ivoire"]),
        SUBJECT,
        max_size=3,
    ),
    st.dictionaries(LINES, FREE_SUBJECT, max_size=1),
)
WEEKLIES = st.fixed_dictionaries(
    {},
    optional={
        **COMMON,
        "title": LINES,
        "lead": LEAD,
        "updates": SUBJECTS,
        "sections": st.lists(
            st.fixed_dictionaries({"title": LINES}, optional={"items": st.lists(ITEM, max_size=3)}), max_size=2
        ),
    },
)
NOTICES = st.fixed_dictionaries({"title": LINES, "body": PROSE}, optional=COMMON)


def made(model: type[Issue], values: Any) -> Issue:
    try:
        return model.model_validate(values)
    except ValidationError:
        assume(False)  # an empty text, a control character, a preheader too long
        raise


def reread(text: str) -> Issue:
    return parse(PATH, text.encode(), COUNTRIES).issue


MANY = settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))


@MANY
@given(WEEKLIES)
def test_a_weekly_that_is_saved_is_read_back_the_same(values: Any) -> None:
    issue = made(Weekly, values)
    assert reread(dump(issue)) == issue


@MANY
@given(NOTICES)
def test_a_notice_that_is_saved_is_read_back_the_same(values: Any) -> None:
    issue = made(Notice, values)
    assert reread(dump(issue)) == issue


@pytest.mark.parametrize("text", NASTY)
def test_each_risky_line_comes_back_alone(text: str) -> None:
    issue = Weekly.model_validate(
        {"subject": text, "topics": [text], "updates": {text: {"countries": ["Mali"], "updates": [text]}}}
    )
    assert reread(dump(issue)) == issue


@pytest.mark.parametrize("text", NASTY_LINES)
def test_each_risky_text_comes_back_alone(text: str) -> None:
    issue = Weekly.model_validate(
        {"notices": [text], "lead": {"title": "x", "body": text}, "updates": {"Mali": [{"text": text, "kicker": "k"}]}}
    )
    assert reread(dump(issue)) == issue


@settings(MANY, max_examples=60)
@given(WEEKLIES, WEEKLIES)
def test_any_issue_saved_over_any_other_is_read_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, first: Any, second: Any
) -> None:
    path = tmp_path_factory.mktemp("issue") / "2016-04-22.yaml"
    for values in (first, {**first, **second}, second):
        issue = made(Weekly, values)
        save(path, issue)
        assert load(path, COUNTRIES).issue == issue


def test_a_kind_may_change(tmp_path: Path) -> None:
    path = tmp_path / "2016-04-22.yaml"
    save(path, Weekly.model_validate({"number": 1, "updates": {"Mali": ["x"]}}))
    notice = Notice(title="x", body="y", number=1)
    save(path, notice)
    assert load(path, COUNTRIES).issue == notice


def test_what_is_written_is_what_a_person_would_write() -> None:
    issue = Weekly.model_validate(
        {
            "period": {"start": "2016-04-18", "end": "2016-04-22"},
            "number": 245,
            "subject": "NO: 12:30",
            "topics": ["NO", "010", "2016", "#R2P", "plain words"],
            "lead": {"title": "The lead", "body": "First.\n\nSecond [link](https://example.org/)."},
            "updates": {
                "Burma/Myanmar": ["One sentence."],
                "Syria": {"style": "paragraphs", "updates": ["One.\nTwo.", {"text": "x", "source": {"name": "OHCHR", "url": "https://example.org/", "date": "2016-04-18"}}]},
            },
            "sections": [{"title": "New", "items": ["x", {"event": {"title": "y", "start": "2016-04-28 18:00", "timezone": "UTC"}}]}],
        }
    )  # fmt: skip
    assert dump(issue) == (
        """\
kind: weekly
period: {start: 2016-04-18, end: 2016-04-22}
number: 245
subject: 'NO: 12:30'
topics:
  - "NO"
  - "010"
  - 2016
  - '#R2P'
  - plain words
lead:
  title: The lead
  body: |
    First.

    Second [link](https://example.org/).
updates:
  Burma/Myanmar:
    - One sentence.
  Syria:
    style: paragraphs
    updates:
      - |
        One.
        Two.
      - text: x
        source: {name: OHCHR, url: https://example.org/, date: 2016-04-18}
sections:
  - title: New
    items:
      - x
      - event:
          title: y
          start: 2016-04-28 18:00
          timezone: UTC
"""
    )


ORIGINAL = """\
# The issue of the week.
kind: weekly   # as ever
number:   245
period: {start: 2016-04-18,   end: 2016-04-22}
title:
topics: [a,
  b]   # two

# About the lead.
lead:
  # Its title.
  title: 'The lead'   # in quotes
  body: |
    # A heading

    First words, with
    a second line.   Runs of spaces stay.

# The countries.
updates:
  # From the mission.
  Syria:
  - One update,
    over two lines.
  - "Another \\
    one."
  # From the office.
  Mali:
      heading: Mali   # as it is
      updates:
        # The first.
        - One.
        # The second.
        - text: Two.
          source: {name: x,
                   url: https://example.org/}
  Burundi: [x]
sections:
  - title: New
    items: [y]
# The end.
"""


def changed(text: str, tmp_path: Path, change: Any) -> str:
    path = tmp_path / "2016-04-22.yaml"
    path.write_bytes(text.encode())
    before = load(path, COUNTRIES).issue
    after = type(before).model_validate({**before.model_dump(), **change(before)})
    save(path, after)
    assert load(path, COUNTRIES).issue == after
    return path.read_bytes().decode()


def subjects(issue: Weekly, **changes: Any) -> dict[str, Any]:
    return {"updates": {name: value for name, value in {**issue.updates, **changes}.items() if value is not None}}


def test_a_save_without_a_change_changes_no_byte(tmp_path: Path) -> None:
    assert changed(ORIGINAL, tmp_path, lambda _: {}) == ORIGINAL
    assert changed("\ufeff" + ORIGINAL.replace("\n", "\r\n"), tmp_path, lambda _: {}) == ORIGINAL.replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("change", "old", "new"),
    [
        (lambda _: {"number": 246}, "number:   245\n", "number: 246\n"),
        (lambda _: {"title": "A title"}, "title:\n", "title: A title\n"),
        (lambda _: {"subject": "#R2P"}, "number:   245\n", "number:   245\nsubject: '#R2P'\n"),
        (lambda issue: {"lead": issue.lead.model_copy(update={"title": "NewLead!"})}, "title: 'The lead'   # in quotes\n", "title: 'NewLead!'   # in quotes\n"),
        (lambda issue: {"lead": issue.lead.model_copy(update={"kicker": "In focus"})}, "  # Its title.\n  title", "  kicker: In focus\n  # Its title.\n  title"),
        (lambda issue: subjects(issue, Burundi=Subject(updates=(Update(text="NO"),))), "Burundi: [x]", 'Burundi: ["NO"]'),
        (lambda issue: subjects(issue, Burundi=None), "  Burundi: [x]\n", ""),
        (lambda issue: subjects(issue, Yemen=Subject(updates=(Update(text="x"),))), "  Burundi: [x]\n", "  Burundi: [x]\n  Yemen:\n    - x\n"),
        (lambda _: {"sections": ()}, "sections:\n  - title: New\n    items: [y]\n", ""),
        (lambda _: {"number": None}, "number:   245\n", ""),
    ],
)  # fmt: skip
def test_only_what_changed_is_written_anew(tmp_path: Path, change: Any, old: str, new: str) -> None:
    assert ORIGINAL.count(old) == 1
    assert changed(ORIGINAL, tmp_path, change) == ORIGINAL.replace(old, new)


def test_a_changed_update_leaves_its_neighbours_and_their_comments(tmp_path: Path) -> None:
    def change(issue: Weekly) -> dict[str, Any]:
        mali = issue.updates["Mali"]
        return subjects(issue, Mali=mali.model_copy(update={"updates": (Update(text="First: now."), mali.updates[1])}))

    text = changed(ORIGINAL, tmp_path, change)
    assert "# The first.\n      - 'First: now.'\n        # The second.\n      - text: Two.\n" in text
    assert text.partition("  Mali:")[0] == ORIGINAL.partition("  Mali:")[0]
    assert text.partition("  Burundi:")[2] == ORIGINAL.partition("  Burundi:")[2]


def test_a_changed_update_of_a_file_indented_as_ours_leaves_its_neighbours_bytes(tmp_path: Path) -> None:
    text = "updates:\n  Mali:\n    # a\n    - One,\n      folded.\n    # b\n    - Two.\n\n    # c\n    - 'Three,\n      too.'\n    # d\n"

    def to(*texts: str) -> str:
        return changed(
            text, tmp_path, lambda issue: subjects(issue, Mali=Subject(updates=tuple(Update(text=x) for x in texts)))
        )

    assert to("One, folded.", "2", "Three, too.") == text.replace("Two.", "2")
    assert to("One, folded.", "Three, too.") == text.replace("    # b\n    - Two.\n", "")
    assert to("One, folded.", "Two.", "New", "Three, too.") == text.replace("    - Two.\n", "    - Two.\n    - New\n")
    assert to("Three, too.", "Two.").count("#") >= 2


def test_a_bare_subject_that_gains_an_option_keeps_its_updates(tmp_path: Path) -> None:
    text = changed(
        ORIGINAL,
        tmp_path,
        lambda issue: subjects(issue, Syria=issue.updates["Syria"].model_copy(update={"style": "paragraphs"})),
    )
    assert "  # From the mission.\n  Syria:\n    style: paragraphs\n    updates:\n" in text
    text = changed(text, tmp_path, lambda issue: subjects(issue, Mali=Subject(updates=issue.updates["Syria"].updates)))
    assert "heading" not in text.partition("updates:")[2]


def test_a_changed_text_below_a_bar_stays_below_it(tmp_path: Path) -> None:
    text = changed(ORIGINAL, tmp_path, lambda issue: {"lead": issue.lead.model_copy(update={"body": "One.\n\nTwo."})})
    assert "  body: |\n    One.\n\n    Two.\n\n# The countries.\nupdates:" in text


def test_a_file_in_one_line_may_change_too(tmp_path: Path) -> None:
    text = changed("{kind: weekly, number: 1, updates: {Mali: [x]}}\n", tmp_path, lambda _: {"number": 2})
    assert text == "{kind: weekly, number: 2, updates: {Mali: [x]}}\n"


def test_an_empty_file_is_as_good_as_none(tmp_path: Path) -> None:
    path = tmp_path / "2016-04-22.yaml"
    path.write_text("\n")
    save(path, Weekly(number=1))
    assert path.read_text() == "kind: weekly\nnumber: 1\n"


def test_only_comments_are_kept_with_what_is_added(tmp_path: Path) -> None:
    assert "# Only this.\n" in changed("# Only this.\n", tmp_path, lambda _: {"number": 1})


def test_a_file_that_says_nothing_at_length_is_written_anew(tmp_path: Path) -> None:
    assert changed("null # nothing\n", tmp_path, lambda _: {"number": 1}) == "kind: weekly\nnumber: 1\n"


def test_a_list_that_shrinks_to_nothing_or_stands_in_brackets_is_no_obstacle(tmp_path: Path) -> None:
    text = "topics: [a, b]\nnotices:\n  - x\n  - y\n"
    assert changed(text, tmp_path, lambda _: {"topics": ["b", "c"], "notices": ()}) == "topics: [b, c]\n"


def test_a_subject_written_with_its_one_key_keeps_it(tmp_path: Path) -> None:
    text = "updates:\n  Mali:\n    updates:\n      - x\n      - y\n"
    after = changed(
        text, tmp_path, lambda issue: subjects(issue, Mali=Subject(updates=(Update(text="x"), Update(text="z"))))
    )
    assert after == text.replace("y", "z")


def test_a_default_written_out_may_change(tmp_path: Path) -> None:
    text = "updates:\n  Mali:\n    style: bullets\n    updates: [x]\n"
    after = changed(
        text,
        tmp_path,
        lambda issue: subjects(issue, Mali=issue.updates["Mali"].model_copy(update={"style": "headlines"})),
    )
    assert after == text.replace("bullets", "headlines")


def test_a_file_that_cannot_be_read_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "2016-04-22.yaml"
    for text in ("a: &b c\n", "titel: x\n", "a: 'b\n", "kind: special\n"):
        path.write_text(text)
        with pytest.raises(FaultsError):
            save(path, Weekly(number=1))
        assert path.read_text() == text


def test_every_sample_issue_is_saved_to_the_same_bytes(project: config.Project, countries: Countries) -> None:
    for file in folder.load_all(project, countries):
        before = file.path.read_bytes()
        save(file.path, file.issue)
        assert file.path.read_bytes() == before
        assert parse(file.path, dump(file.issue).encode(), countries).issue == file.issue


def test_nothing_is_left_beside_a_saved_file_and_its_mode_stays(tmp_path: Path) -> None:
    path = tmp_path / "2016-04-22.yaml"
    save(path, Weekly(number=1))
    assert stat.S_IMODE(path.stat().st_mode) & 0o600 == 0o600
    path.chmod(0o640)
    save(path, Weekly(number=2))
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["2016-04-22.yaml"]


def test_a_link_to_a_file_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.yaml", tmp_path / "2016-04-22.yaml"
    real.write_text("number: 1\n")
    link.symlink_to(real)
    save(link, Weekly(number=2))
    assert link.is_symlink()
    assert "number: 2" in real.read_text()


@pytest.mark.parametrize("step", ["fsync", "fchmod", "mkstemp"])
def test_a_full_disk_leaves_the_old_file_and_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "2016-04-22.yaml"
    path.write_text("number: 1\n")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tempfile.mkstemp" if step == "mkstemp" else f"os.{step}", full)
    with pytest.raises(NewsletterError, match=r"2016-04-22\.yaml: cannot be written: No space left on device$"):
        save(path, Weekly(number=2))
    assert path.read_text() == "number: 1\n"
    assert [path.name for path in tmp_path.iterdir()] == ["2016-04-22.yaml"]


def test_a_folder_in_the_files_place_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(NewsletterError, match="cannot be read: Is a directory"):
        save(tmp_path, Weekly())


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(NewsletterError, match="cannot be written: No such file or directory"):
        write(tmp_path / "none" / "a.yaml", b"x")
