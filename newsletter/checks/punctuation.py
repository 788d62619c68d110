"""Checks of spaces, punctuation and quotation marks."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from newsletter.checks.finding import check
from newsletter.checks.proof import FILLER, Proof, Seen, Spot

_RUN = re.compile(
    r"(?<=[^\s\u00a0])[ \u00a0\u2002-\u200a\u202f]{2,}(?=[^\s\u00a0])|\u00a0\s*\u00a0|[ \u00a0]*\u00a0[ \u00a0]*$",
    re.MULTILINE,
)
_LIST_MARK = re.compile(r"^[ >]*(?:[-*+]|\d+[.)])?[ ]*", re.MULTILINE)
_NBSP_JOIN = re.compile(
    r"(?<![\w’'])([^\W\d_]{3,})\u00a0([^\W\d_]{3,})|([^\W\d_]{3,})\u00a0\[|" + FILLER + r"\u00a0([^\W\d_]{3,})"
)
_SPACE_BEFORE = re.compile(r"(?<=[\w)”\"'’\]" + FILLER + r"])[ \u00a0]+([.,;:!?])(?=\s|$)", re.MULTILINE)
_DOUBLED = re.compile(r"(?<!\.)(?<!\.\s)\.\s*\.(?!\s*\.)|([,;:])\s*\1|[,;:]\s*\.(?=\s|$)")
_HYPHEN = re.compile(
    r"(?<![\w-])([^\W\d_]{2,})- (?!(?:and|or|to|nor|but|as|than|through|und|oder|bis|als|wie|et|ou|y|o|e)\b)([^\W\d_]+)"
)
_PARAGRAPH = re.compile(r"[^\n]+(?:\n[^\n]+)*")


@check("space-runs", "warn")
def space_runs(proof: Proof) -> Iterator[Spot]:
    """Two or more spaces in a row, or no-break spaces beside a space, come from copied pages.

    Mail programs show them as gaps. Put one ordinary space there.
    """
    for seen in proof.texts:
        margins = {n for m in _LIST_MARK.finditer(seen.text) for n in range(m.start(), m.end())}
        found = [match for match in _RUN.finditer(seen.text) if match.start() not in margins]
        if found:
            first = found[0]
            what = "no-break and other spaces" if "\u00a0" in first[0] else f"{len(first[0])} spaces"
            place = seen.around(*first.span()).replace("\u00a0", "\N{OPEN BOX}")
            more = f" (and {len(found) - 1} more in this text)" if len(found) > 1 else ""
            yield proof.place(seen, f"{what} in a row: '{place}'{more}; put one space", *_widened(seen.text, first))


def _widened(text: str, match: re.Match[str]) -> tuple[int, int]:
    """Take the words on both sides along, so that the place is found again in the file."""
    left = re.search(r"\S*$", text[: match.start()])
    right = re.match(r"[^\s\u00a0]*", text[match.end() :])
    return match.start() - len(left[0] if left else ""), match.end() + len(right[0] if right else "")


@check("no-break-spaces", "warn")
def no_break_spaces(proof: Proof) -> Iterator[Spot]:
    """No-break spaces between ordinary words are left over from a copied web page.

    Lines cannot break there, so narrow screens show ragged or cut lines. Keep them for '5 km', 'No. 245' and names.
    """
    for seen, group in itertools.groupby(proof.matches(_NBSP_JOIN), key=lambda pair: pair[0]):
        found = [match for _, match in group if not (match[1] and match[1][0].isupper() and match[2][0].isupper())]
        if found:
            place = seen.around(*found[0].span()).replace("\u00a0", "\N{OPEN BOX}")
            many = f", {len(found)} times in this text" if len(found) > 1 else ""
            yield proof.place(
                seen, f"no-break space between words{many}: '{place}'; put an ordinary space", *found[0].span()
            )


@check("space-before-mark", "warn")
def space_before_mark(proof: Proof) -> Iterator[Spot]:
    """A space stands before a full stop, comma or other mark that belongs to the word before it."""
    french = proof.edition.language.lower().startswith("fr")
    for seen, match in proof.matches(_SPACE_BEFORE):
        if not (french and match[1] in ";:!?"):
            place = seen.around(*match.span())
            yield proof.place(seen, f"space before '{match[1]}': '{place}'; delete it", match.start(), match.end())


@check("doubled-mark", "warn")
def doubled_mark(proof: Proof) -> Iterator[Spot]:
    """Two marks stand where one belongs, as in 'worsen. .'; one of them is left over from an edit."""
    for seen, match in proof.matches(_DOUBLED):
        before = seen.text[: match.start()].rpartition(" ")[2]
        if "\n\n" in match[0] or (
            match[0][0] == "." and re.search(r"(?:^|\W)(?:\w|etc|cf|vs|al|Inc|Ltd|Jr|Sr)$", before)
        ):
            continue
        place = seen.around(*match.span())
        yield proof.place(seen, f"doubled punctuation: '{place}'; keep one mark", match.start(), match.end())


@check("broken-hyphen", "warn")
def broken_hyphen(proof: Proof) -> Iterator[Spot]:
    """A hyphen is followed by a space, as in 'anti- government': a line once broke there.

    Write the word together. 'Pre- and post-war' is right and not reported.
    """
    for seen, match in proof.matches(_HYPHEN):
        message = f"space after a hyphen: '{match[0]}'; write '{match[1]}-{match[2]}'"
        yield proof.place(seen, message, *match.span())


@check("unbalanced-quotes", "warn")
def unbalanced_quotes(proof: Proof) -> Iterator[Spot]:
    """A quotation mark is opened and never closed, or closed and never opened.

    Readers cannot tell what was said and what you say. A quotation over several paragraphs may open each of them.
    """
    german = proof.edition.language.lower().startswith("de")
    for seen in proof.texts:
        paragraphs = list(_PARAGRAPH.finditer(seen.text))
        for n, paragraph in enumerate(paragraphs):
            following = paragraphs[n + 1][0] if n + 1 < len(paragraphs) else ""
            place = _unpaired(paragraph[0], german, following.lstrip("> ").startswith("“"))
            if place is not None:
                start = paragraph.start() + place
                shown = seen.around(start, start + 1, 24)
                yield proof.place(
                    seen, f"this quotation mark has no partner: '{shown}'", start - min(place, 8), start + 1
                )


def _unpaired(text: str, german: bool, goes_on: bool) -> int | None:
    """Return where a quotation mark without its partner stands."""
    straight = [match.start() for match in re.finditer('"', text)]
    inches = [place for place in straight if text[place - 1 : place].isdigit()]
    if len(straight) % 2 and not inches:  # 12" is a length
        return straight[-1]
    for opening, closing in (("„", "“"),) if german else (("“", "”"), ("«", "»")):
        waiting: list[int] = []
        for place, character in enumerate(text):
            if character == opening:
                waiting.append(place)
            elif character == closing and not waiting:
                return place
            elif character == closing:
                waiting.pop()
        if waiting and not (goes_on and len(waiting) == 1):
            return waiting[-1]
    return None


@check("mixed-quotes", "info")
def mixed_quotes(proof: Proof) -> Iterator[Spot]:
    """The issue uses both straight and curly marks for quotations or apostrophes; one kind looks more careful."""
    for name, straight, curly in (
        ("quotation marks", r'(?<!\d)"', "[“”]"),
        ("apostrophes", r"(?<=\w)'(?=\w)", r"(?<=\w)’(?=\w)"),
    ):
        plain = [pair for pair in proof.matches(re.compile(straight)) if not _is_country(pair[0])]
        bent = [pair for pair in proof.matches(re.compile(curly)) if not _is_country(pair[0])]
        if plain and bent:
            few, kind = (plain, "straight") if len(plain) <= len(bent) else (bent, "curly")
            seen, match = few[0]
            place = seen.around(*match.span())
            count = f"1 is {kind}," if len(few) == 1 else f"{len(few)} are {kind}, the first"
            message = f"straight and curly {name} are mixed; {count} in '{place}'"
            yield proof.place(seen, message, max(match.start() - 4, 0), match.end() + 4)


def _is_country(seen: Seen) -> bool:
    """Say whether a text names a country, whose marks are those of the table."""
    return seen.location[0] == "updates" and (len(seen.location) == 2 or "countries" in seen.location[2:])
