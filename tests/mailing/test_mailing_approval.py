"""Approvals and test copies belong to exactly what was seen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from mailing_house import House, edition

from newsletter.edition.model import Piece
from newsletter.errors import NewsletterError
from newsletter.mailing import approval

ISSUE = "2016-04-22"


def names(house: House, digest: str) -> list[str]:
    return [one.name for one in approval.approvals(house.engine, ISSUE, digest)]


def test_two_people_approve_and_one_person_counts_once_however_written(house: House) -> None:
    for name in ("Zoë  Müller", "zoe muller", "ZOË MÜLLER", "Zoë\tMüller"):
        approval.approve(house.engine, ISSUE, "a" * 64, name, house.clock())
    assert names(house, "a" * 64) == ["Zoë Müller"]
    assert approval.approve(house.engine, ISSUE, "a" * 64, "Ann Lee", house.clock())
    assert not approval.approve(house.engine, ISSUE, "a" * 64, "Ann-Lee", house.clock())
    assert sorted(names(house, "a" * 64)) == ["Ann Lee", "Zoë Müller"]


def test_an_approval_holds_for_one_digest_of_one_issue(house: House) -> None:
    approval.approve(house.engine, ISSUE, "a" * 64, "Ann Lee", house.clock())
    assert names(house, "b" * 64) == []
    assert approval.approvals(house.engine, "2016-04-29", "a" * 64) == ()


def test_nobody_approves_without_a_name(house: House) -> None:
    with pytest.raises(NewsletterError, match="--by"):
        approval.approve(house.engine, ISSUE, "a" * 64, " ", house.clock())


def test_a_test_copy_counts_for_its_digest_and_its_list(house: House) -> None:
    assert not approval.was_tested(house.engine, "a" * 64, "weekly")
    for _ in range(2):
        approval.record_test(house.engine, "a" * 64, "weekly", house.clock())
    assert approval.was_tested(house.engine, "a" * 64, "weekly")
    assert not approval.was_tested(house.engine, "a" * 64, "press")
    assert not approval.was_tested(house.engine, "b" * 64, "weekly")


def test_whatever_is_seen_is_in_the_digest_of_what_was_seen() -> None:
    one = edition()
    html, text = one.html, one.text
    others = [
        replace(one, digest="cd" * 32),
        replace(one, subject="Another week"),
        replace(one, preheader="Another lead"),
        replace(one, html=(Piece("changed"), *html[1:])),
        replace(one, html=(replace(html[0], when="S1"), *html[1:])),
        replace(one, html=html[:-1]),
        replace(one, text=(*text[:-1], Piece("changed"))),
        replace(one, html=(*html, text[0]), text=text[1:]),
        replace(one, html=(Piece(html[0].content + html[1].content), *html[2:])),
    ]
    assert len({one.seen, *(other.seen for other in others)}) == len(others) + 1
    assert edition().seen == one.seen
