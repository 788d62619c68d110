from __future__ import annotations

from typing import Any

import pytest

from newsletter.config import Newsletter
from newsletter.errors import NewsletterError
from newsletter.issue.countries import Countries
from newsletter.issue.folding import slug
from newsletter.issue.model import Notice, Weekly
from newsletter.issue.subjects import PrintedSubject, fold, printed

SETTINGS = Newsletter.model_validate(
    {
        "name": "The Weekly",
        "sender": {"name": "The Weekly", "address": "weekly@example.org"},
        "address": ["Example Coalition"],
        "reason": "You subscribed.",
        "url": "https://news.example.org",
        "lists": {"weekly": {"title": "The Weekly"}},
        "subjects": {"International Criminal Court": {"label": "ICC", "sort": "Court"}, "Sahel": {}},
        "countries": {"MMR": {"heading": "Burma/Myanmar", "label": "Burma"}},
    }
)


def subjects(updates: dict[str, Any], language: str = "en") -> tuple[PrintedSubject, ...]:
    return printed(Weekly.model_validate({"updates": updates}), Countries(SETTINGS), language)


def headings(updates: dict[str, Any], language: str = "en") -> list[str]:
    return [subject.heading for subject in subjects(updates, language)]


def test_the_printed_order_is_alphabetical_whatever_the_files_order() -> None:
    names = [
        "Yemen",
        "The Gambia",
        "Côte d'Ivoire",
        "Colombia",
        "Åland Islands",
        "Burma",
        "International Criminal Court",
    ]
    assert headings({name: ["News."] for name in names}) == [
        "Åland Islands",
        "Burma/Myanmar",
        "Colombia",
        "Côte d'Ivoire",
        "International Criminal Court",
        "Gambia",
        "Yemen",
    ]


def test_a_leading_the_is_dropped_for_the_order_and_sort_overrides_it() -> None:
    order = headings(
        {
            "Yemen": {"sort": "Arabia", "updates": ["News."]},
            "Kenya": {"heading": "The Bright Land", "updates": ["News."]},
            "Chad": ["News."],
        }
    )
    assert order == ["Yemen", "The Bright Land", "Chad"]


def test_numbers_count_from_zero_in_printed_order() -> None:
    assert [(s.number, s.name) for s in subjects({"Yemen": ["b"], "Burma": ["a"]})] == [(0, "Burma"), (1, "Yemen")]


def test_a_subject_is_followed_by_its_country_its_regions_and_what_it_is_part_of() -> None:
    (darfur,) = subjects({"Sudan/Darfur": ["News."]})
    assert {"SDN-DARFUR", "SDN", "africa", "northern-africa", "horn-of-africa", "sub-saharan-africa"} <= darfur.keys
    (sahel,) = subjects({"Sahel": ["News."]})
    assert sahel.keys == {"sahel"}


def test_a_heading_written_in_the_file_is_the_label_too() -> None:
    (darfur,) = subjects({"Sudan/Darfur": {"heading": "Sudan", "updates": ["News."]}})
    assert (darfur.heading, darfur.label, darfur.anchor) == ("Sudan", "Sudan", "sudan")
    (labelled,) = subjects({"Sudan/Darfur": {"heading": "Sudan: Darfur", "label": "Darfur", "updates": ["News."]}})
    assert labelled.label == "Darfur"


def test_labels_are_the_houses_short_forms() -> None:
    names = {"Burma": ["a"], "CAF": ["a"], "Congo-Kinshasa": ["a"], "ICC": ["a"]}
    assert [subject.label for subject in subjects(names)] == ["Burma", "CAR", "ICC", "DRC"]


def test_a_group_has_the_keys_and_headings_of_all_its_countries() -> None:
    (group,) = subjects({"South Sudan / DRC": ["News."]})
    assert (group.heading, group.label) == ("South Sudan / Democratic Republic of Congo", "South Sudan / DRC")
    assert {"SSD", "COD"} <= group.keys
    assert group.anchor == "south-sudan-democratic-republic-of-congo"


def test_listed_countries_let_a_subject_be_called_anything() -> None:
    (lake,) = subjects({"Lake Chad crisis": {"countries": ["Chad", "NGA", "Niger / Cameroon"], "updates": ["News."]}})
    assert (lake.heading, lake.label) == ("Lake Chad crisis", "Lake Chad crisis")
    assert [place.key for place in lake.places] == ["TCD", "NGA", "NER", "CMR"]
    (chad,) = subjects({"Chad": {"countries": ["Niger"], "updates": ["News."]}})
    assert chad.heading == "Chad / Niger"


def test_headings_are_in_the_issues_language_with_anchors_that_every_client_follows() -> None:
    syria, court = subjects({"Syria": ["خبر."], "ICC": ["خبر."]}, "ar")[::-1]
    assert (syria.heading, syria.label, syria.anchor) == ("سوريا", "سوريا", "syria")
    assert court.heading == "International Criminal Court"
    (french,) = subjects({"CAR": ["Une nouvelle."]}, "fr")
    assert french.heading == french.label == "République centrafricaine"


def test_anchors_are_unique_and_ascii() -> None:
    made = subjects(
        {
            "Sudan": ["a"],
            "Sudan/Darfur": {"heading": "Sudan", "updates": ["b"]},
            "ما": {"countries": ["Chad"], "updates": ["c"]},
            "مب": {"countries": ["Chad"], "updates": ["c"]},
        }
    )
    assert [subject.anchor for subject in made] == ["sudan", "sudan-2", "chad", "chad-2"]


def test_a_subject_keeps_what_its_editors_wrote() -> None:
    (yemen,) = subjects({"Yemen": {"intro": "An intro.", "style": "paragraphs", "updates": ["One.", "Two."]}})
    assert (yemen.intro, yemen.style, [update.text for update in yemen.updates]) == (
        "An intro.",
        "paragraphs",
        ["One.", "Two."],
    )


def test_a_notice_has_no_subjects() -> None:
    assert printed(Notice(kind="notice", title="A title", body="A body."), Countries(SETTINGS), "en") == ()


@pytest.mark.parametrize("updates", [{"Yemn": ["a"]}, {"Here": {"countries": ["Yemn"], "updates": ["a"]}}])
def test_an_unknown_name_is_refused_with_a_suggestion(updates: dict[str, Any]) -> None:
    with pytest.raises(NewsletterError, match="did you mean 'Yemen'"):
        subjects(updates)


def test_folding_makes_one_name_of_its_spellings() -> None:
    assert fold("  The CÔTE  d’Ivoire ") == fold("cote d'ivoire")
    assert fold("Burma / Myanmar") == fold("burma/myanmar")
    assert fold("Timor\u2013Leste") == fold("Timor Leste")
    assert fold("Trinidad & Tobago") == fold("Trinidad and Tobago")
    assert slug("The Côte d'Ivoire / x_y") == "cote-divoire-x-y"
