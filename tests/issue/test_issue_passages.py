"""Every text of an issue is found, with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from newsletter import config
from newsletter.issue import folder
from newsletter.issue.countries import Countries
from newsletter.issue.load import parse
from newsletter.issue.passages import passages

FULL = """\
kind: weekly
period: {start: 2016-04-18, end: 2016-04-22}
title: t1
subject: t2
preheader: t3
language: en
translations: {fr: no-text}
authors: [{name: t4, role: t5, organisation: t6, note: t7}]
topics: [t8]
legacy_urls: [https://example.org/no-text]
actions: [{text: t9, url: https://example.org/no-text}]
notices: [t10]
credits: t11
disclaimer: t12
lead:
  kicker: t13
  title: t14
  body: t15
  figures: [{src: t16, alt: t17, caption: t18, credit: t19}]
  actions: [{text: t20, url: https://example.org/no-text}]
updates:
  Syria:
    heading: t22
    label: t23
    intro: t24
    style: headlines
    sort: t25
    updates:
      - text: t26
        kicker: t27
        headline: t28
        source: {name: t29, url: https://example.org/no-text, date: 2016-04-18}
  Elections: {countries: [Haiti], updates: [t32]}
sections:
  - title: t33
    items:
      - t34
      - event: {title: t35, host: t36, start: 2016-04-28 18:00, timezone: UTC, place: t37, url: https://example.org/no-text,
                summary: t38}
      - publication: {title: t39, organisations: [t40], url: https://example.org/no-text, summary: t41}
"""
FILE = parse(Path("2016-04-22.yaml"), FULL.encode(), Countries())


def test_every_text_is_found_once_in_the_order_of_the_format() -> None:
    found = [passage.text for passage in passages(FILE.issue)]
    expected = [f"t{number}" for number in range(1, 42)]
    expected[20], expected[29], expected[30] = "Syria", "Elections", "Haiti"
    assert found == expected


def test_each_text_has_the_line_it_stands_in() -> None:
    lines = FULL.splitlines()
    for passage in passages(FILE.issue):
        assert passage.text in lines[FILE.line(passage.location) - 1], passage


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("t1", "line", "title"),
        ("t3", "line", "preheader"),
        ("t7", "prose", "authors, note"),
        ("t8", "line", "topics"),
        ("t10", "prose", "notices"),
        ("t15", "body", "lead, body"),
        ("t18", "prose", "lead, figures, caption"),
        ("Syria", "line", "Syria"),
        ("t24", "prose", "Syria, intro"),
        ("t26", "prose", "Syria"),
        ("t29", "line", "Syria, source, name"),
        ("Haiti", "line", "Elections, countries"),
        ("t32", "prose", "Elections"),
        ("t34", "prose", "sections, items, text"),
        ("t40", "line", "sections, items, publication, organisations"),
    ],
)
def test_each_text_is_told_apart_by_its_kind_and_named_in_words(text: str, kind: str, name: str) -> None:
    assert [(passage.kind, passage.name) for passage in passages(FILE.issue) if passage.text == text] == [(kind, name)]


def test_what_readers_never_read_is_no_text() -> None:
    assert not [passage for passage in passages(FILE.issue) if "no-text" in passage.text or passage.text == "headlines"]


def test_the_texts_of_the_sample_issues_are_found_where_they_stand(
    project: config.Project, countries: Countries
) -> None:
    for file in folder.load_all(project, countries):
        lines = file.source.data.decode("utf-8").splitlines()
        for passage in passages(file.issue):
            first_words = passage.text.split("\n")[0].split()[0]
            assert first_words in lines[file.line(passage.location) - 1], passage
