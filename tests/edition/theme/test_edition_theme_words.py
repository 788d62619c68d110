"""The phrases the built-in theme prints: all of them written, none forgotten, the same in every language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

TEMPLATES = Path(__file__).parents[3] / "templates"
LANGUAGES = ("ar", "en", "es", "fr", "ru", "zh")
SCRIPTS = {"ar": r"[\u0600-\u06ff]", "ru": r"[\u0400-\u04ff]", "zh": r"[\u4e00-\u9fff]"}


def phrases(language: str) -> dict[str, str]:
    return dict(yaml.safe_load((TEMPLATES / "words" / f"{language}.yaml").read_text("utf-8")))


def test_every_phrase_a_template_asks_for_is_written_and_every_one_written_is_asked_for() -> None:
    files = [path for path in (TEMPLATES / "weekly").iterdir() if path.suffix in (".html", ".txt")]
    asked = {name for path in files for name in re.findall(r"\bwords\.([a-z_]+)", path.read_text("utf-8"))}
    assert asked == set(phrases("en"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_the_same_phrases_with_the_same_places_to_fill(language: str) -> None:
    def places(language: str) -> dict[str, list[str]]:
        return {name: re.findall(r"\{\w+\}", phrase) for name, phrase in phrases(language).items()}

    assert places(language) == places("en")


@pytest.mark.parametrize("language", SCRIPTS)
def test_a_language_with_letters_of_its_own_uses_them_in_every_phrase(language: str) -> None:
    plain = [name for name, phrase in phrases(language).items() if not re.search(SCRIPTS[language], phrase)]
    assert set(plain) <= {"comma", "number"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_phrase_has_spaces_it_does_not_need(language: str) -> None:
    texts = {name: phrase for name, phrase in phrases(language).items() if name != "comma"}
    assert {name for name, phrase in texts.items() if phrase != phrase.strip() or "  " in phrase} == set()
