"""Language tags: which are known, and which way they are written."""

from __future__ import annotations

import pytest

from newsletter import languages


@pytest.mark.parametrize("tag", ["en", "fr", "ar", "pt-BR", "zh-Hant", "sr-Latn-RS", "es-419", "de", "EN"])
def test_languages_that_dates_can_be_written_in_are_known(tag: str) -> None:
    assert languages.known(tag)
    assert languages.locale(tag).language == tag.partition("-")[0].lower()


@pytest.mark.parametrize("tag", ["", "english", "xx", "e", "en_GB", "en-", "en GB", "../en", "en\n", "ar-Arab-EG-x"])
def test_what_is_no_language_is_not_known(tag: str) -> None:
    assert not languages.known(tag)


def test_plain_english_is_the_international_form_and_american_stays_american() -> None:
    assert str(languages.locale("en")) == "en_001"
    assert str(languages.locale("en-US")) == "en_US"


@pytest.mark.parametrize(
    ("tag", "direction"), [("ar", "rtl"), ("he", "rtl"), ("fa", "rtl"), ("en", "ltr"), ("zh", "ltr")]
)
def test_each_language_is_written_its_way(tag: str, direction: str) -> None:
    assert languages.direction(tag) == direction
