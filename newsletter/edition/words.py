"""The phrases a theme prints, in the language of the issue: templates/words/<language>.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from newsletter import source
from newsletter.errors import Fault, FaultsError

FALLBACK = "en"
_TAG = re.compile(r"[A-Za-z0-9-]+")
_TAKEN = frozenset({"language", "phrases", "files", "missing"})  # attributes of Words itself


@dataclass(frozen=True)
class Words:
    """The phrases of one language; a template says `words.read_online`.

    `files` maps the name of each words file that was read to its bytes, for the edition's digest.
    """

    language: str
    phrases: Mapping[str, str]
    files: Mapping[str, bytes]

    def __getattr__(self, name: str) -> str:
        try:
            return self.phrases[name]
        except KeyError:
            raise AttributeError(name) from None

    def missing(self, name: str) -> str:
        """Say where a phrase would have to be written."""
        return f"no phrase is called '{name}'; write it into templates/words/{FALLBACK}.yaml"


def read(folders: tuple[Path, ...], language: str) -> Words:
    """Read the phrases of a language from the folders that hold `words/`, the first folder winning phrase by phrase.

    A phrase that the language lacks is taken from its base language (pt for pt-BR), then from English.
    Raises FaultsError for a words file that is not a list of phrases.
    """
    phrases: dict[str, str] = {}
    files: dict[str, bytes] = {}
    wanted = dict.fromkeys((language, language.partition("-")[0], FALLBACK))
    for name in wanted:
        for number, folder in enumerate(folders):
            path = folder / "words" / f"{name}.yaml"
            if _TAG.fullmatch(name) and path.is_file():
                read_file = source.read(path)
                files[f"words/{number}/{name}.yaml"] = read_file.data
                phrases = {**_phrases(read_file), **phrases}
    return Words(language, phrases, files)


def _phrases(read_file: source.Source) -> dict[str, str]:
    tree = read_file.tree if read_file.tree is not None else {}
    if not isinstance(tree, dict):
        raise FaultsError([Fault(read_file.file, 1, "write each phrase as 'name: the phrase'")])
    faults = [
        Fault(read_file.file, read_file.line((name,)), f"a phrase cannot be called '{name}'; choose another name")
        for name in tree
        if name in _TAKEN
    ]
    faults += [
        Fault(read_file.file, read_file.line((name,)), f"the phrase '{name}' must be text on one line")
        for name, phrase in tree.items()
        if not isinstance(phrase, str) or not phrase or "\n" in phrase
    ]
    if faults:
        raise FaultsError(faults)
    return {name: str(phrase) for name, phrase in tree.items()}
