"""Printed phrases come from the project, then the language, then English."""

from __future__ import annotations

from pathlib import Path

import pytest

from newsletter.edition import themes, words
from newsletter.errors import FaultsError


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("project", "house"):
        (tmp_path / name / "words").mkdir(parents=True)
    (tmp_path / "house/words/en.yaml").write_text("read: Read online\nleave: Unsubscribe\nback: Back to top\n")
    (tmp_path / "house/words/pt.yaml").write_text("read: Ler\nleave: Sair\n")
    (tmp_path / "project/words/pt-BR.yaml").write_text("read: Ler na internet\n")
    return tmp_path / "project", tmp_path / "house"


def test_a_phrase_is_taken_from_the_nearest_language_that_has_it(folders: tuple[Path, Path]) -> None:
    found = words.read(folders, "pt-BR")
    assert (found.read, found.leave, found.back) == ("Ler na internet", "Sair", "Back to top")


def test_a_language_nobody_wrote_phrases_for_is_printed_in_english(folders: tuple[Path, Path]) -> None:
    assert words.read(folders, "eo").leave == "Unsubscribe"


def test_a_project_overrides_single_phrases(folders: tuple[Path, Path]) -> None:
    (folders[0] / "words/en.yaml").write_text("leave: Leave this list\n")
    found = words.read(folders, "en")
    assert (found.leave, found.read) == ("Leave this list", "Read online")


def test_a_phrase_of_the_language_stands_before_an_english_one_of_the_project(folders: tuple[Path, Path]) -> None:
    (folders[0] / "words/en.yaml").write_text("leave: Leave this list\n")
    assert words.read(folders, "pt").leave == "Sair"


def test_the_files_that_were_read_are_kept_for_the_digest(folders: tuple[Path, Path]) -> None:
    assert words.read(folders, "pt-BR").files == {
        "words/0/pt-BR.yaml": b"read: Ler na internet\n",
        "words/1/pt.yaml": b"read: Ler\nleave: Sair\n",
        "words/1/en.yaml": b"read: Read online\nleave: Unsubscribe\nback: Back to top\n",
    }


def test_a_language_cannot_name_a_file_elsewhere(folders: tuple[Path, Path]) -> None:
    assert list(words.read(folders, "../words/pt").files) == ["words/1/en.yaml"]


def test_a_phrase_that_is_missing_everywhere_is_an_attribute_error(folders: tuple[Path, Path]) -> None:
    with pytest.raises(AttributeError, match="hello"):
        _ = words.read(folders, "en").hello


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a list\n", "en.yaml:1: write each phrase as 'name: the phrase'"),
        ("read: Read\nleave: [a]\n", "en.yaml:2: the phrase 'leave' must be text on one line"),
        ("read:\n", "en.yaml:1: the phrase 'read' must be text on one line"),
        ("read: |\n  a\n  b\n", "en.yaml:2: the phrase 'read' must be text on one line"),
        ("\nfiles: Files\n", "en.yaml:2: a phrase cannot be called 'files'; choose another name"),
        ("read: a\nread: b\n", "en.yaml:2: 'read' is here a second time"),
    ],
)
def test_a_words_file_with_a_fault_is_named_with_its_line(folders: tuple[Path, Path], text: str, message: str) -> None:
    (folders[0] / "words/en.yaml").write_text(text)
    with pytest.raises(FaultsError, match=r"^\S*/project/words/") as caught:
        words.read(folders, "en")
    assert message in str(caught.value)


def test_an_empty_words_file_has_no_phrases(folders: tuple[Path, Path]) -> None:
    (folders[0] / "words/en.yaml").write_text("# nothing yet\n")
    assert words.read(folders, "en").read == "Read online"


@pytest.mark.parametrize("language", ["ar", "es", "fr", "ru", "zh"])
def test_every_built_in_language_has_every_english_phrase(language: str) -> None:
    houses = (themes.built_in(),)
    english, other = words.read(houses, "en"), words.read(houses, language)
    own = (themes.built_in() / "words" / f"{language}.yaml").read_text("utf-8")
    missing = [name for name in english.phrases if f"{name}:" not in own]
    assert missing == []
    assert set(other.phrases) == set(english.phrases)
