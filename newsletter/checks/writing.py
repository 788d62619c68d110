"""Checks of the writing itself: spaces, punctuation, quotation marks, capitals, words run together."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from newsletter.checks import words
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
_DOUBLED = re.compile(r"(?<!\.)\.\s*\.(?!\.)|([,;:])\s*\1|[,;:]\s*\.(?=\s|$)|\.\s*,(?=\s)")
_HYPHEN = re.compile(r"(?<![\w-])([^\W\d_]{2,})- (?!(?:and|or|to|nor|but|und|oder|et|ou|y|o|e)\b)([^\W\d_]+)")
_CAPITALS = re.compile(r"(?<![\w./@-])(?:[A-Z]{2}[a-z]{2,}|[a-z]{2,}[A-Z][A-Za-z]*)(?![\w@])")
_CAPITALS_ALLOWED = frozenset({"OKed", "PhDs", "mRNA", "vCard"})
_REPEATED = re.compile(r"(?<![\w’'-])([^\W\d_]+)[ \n\u00a0]+(\1)(?![\w’'-])", re.IGNORECASE)
_REPEATED_ALLOWED = frozenset({"had", "that", "nous", "vous", "very", "sie", "se", "no"})
_PLACEHOLDER = re.compile(
    r"\b(?:TODO|FIXME|TBD|TKTK|XXX+)\b|\blorem ipsum\b|\[(?:link|source|date|name|title|text|insert[^\]]*)\](?!\()",
    re.IGNORECASE,
)
_BROKEN = re.compile("[\u00ad\u200b\u2060\ufeff\ufffc\ufffd\u202a-\u202e]|â€.|Ã[\u00a0-\u00bf]")
_MARKUP = re.compile(
    r"</?(?:a|b|i|u|p|br|em|strong|span|div|ul|li|img|font)(?:\s[^<>]*)?/?>|\]\s+\(https?:|\]\[|\*\*(?=\w)[^*]*$",
    re.IGNORECASE | re.MULTILINE,
)
_ADDRESS = re.compile(r"(?<![\w@/.(<" + FILLER + r"])(?:https?://|www\.)[^\s<>)\]" + FILLER + "]+", re.IGNORECASE)
_GROUPED = re.compile(r"(?<![\d.,:/-])\d{1,3}(?:,\d{3})+(?![\d.,]*\d)")
_UNGROUPED = re.compile(r"(?<![\d.,:/#-])(?<!No\. )\d{4,}(?![\d./:-]*\d)")
_PARAGRAPH = re.compile(r"[^\n]+(?:\n[^\n]+)*")
_NO_SPACES = ("zh", "ja", "th", "lo", "km", "my")


def _around(text: str, start: int, end: int, width: int = 14) -> str:
    """Quote a place with a few letters on both sides, cut at words, on one line."""
    left = text[max(0, start - width) : start]
    right = text[end : end + width]
    if start > width:
        left = re.sub(r"^\S*\s", "", left)
    if end + width < len(text):
        right = re.sub(r"\s\S*$", "", right)
    return (left + text[start:end] + right).replace(FILLER, "").replace("\n", " ").strip()


def _spot(proof: Proof, seen: Seen, message: str, start: int, end: int) -> Spot:
    """Make a spot at a place in a text; the words there find the line of a text folded over several."""
    line = seen.text[start:end].split("\n")[0]
    return proof.spot(message, seen.location, seen.text.count("\n", 0, start), "" if FILLER in line else line)


def _each(proof: Proof, pattern: re.Pattern[str]) -> Iterator[tuple[Seen, re.Match[str]]]:
    for seen in proof.texts:
        for match in pattern.finditer(seen.text):
            yield seen, match


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
            place = _around(seen.text.replace("\u00a0", "\N{OPEN BOX}"), *first.span())
            more = f" (and {len(found) - 1} more in this text)" if len(found) > 1 else ""
            yield _spot(proof, seen, f"{what} in a row: '{place}'{more}; put one space", *_widened(seen.text, first))


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
    for seen, group in itertools.groupby(_each(proof, _NBSP_JOIN), key=lambda pair: pair[0]):
        found = [match for _, match in group if not (match[1] and match[1][0].isupper() and match[2][0].isupper())]
        if found:
            place = _around(seen.text, *found[0].span()).replace("\u00a0", "\N{OPEN BOX}")
            many = f", {len(found)} times in this text" if len(found) > 1 else ""
            yield _spot(
                proof, seen, f"no-break space between words{many}: '{place}'; put an ordinary space", *found[0].span()
            )


@check("glued-words", "warn")
def glued_words(proof: Proof) -> Iterator[Spot]:
    """Two words run into each other, as in 'demandthat'; this happens where a link was lost in copying.

    Put the space back. (English issues only.)
    """
    known = words.vocabulary("\n".join(seen.text for seen in proof.texts)) if proof.english else {}
    for seen in proof.texts if proof.english else ():
        for start, left, right in words.glued(seen.text, known):
            message = f"two words run together: '{left}{right}'; write '{left} {right}'"
            yield _spot(proof, seen, message, start, start + len(left + right))


@check("glued-link", "warn")
def glued_link(proof: Proof) -> Iterator[Spot]:
    """A link touches the word before or after it, so the two are read as one word.

    Put a space between them, outside the brackets.
    """
    if proof.edition.language.lower().startswith(_NO_SPACES):
        return
    for link in proof.links:
        left = link.before.isalnum() and link.label[:1].isalnum()
        right = link.after.isalnum() and link.label[-1:].isalnum()
        if left or right:
            shown = f"{link.before if left else ''}[{link.label}]{link.after if right else ''}"
            message = (
                f"the link '{link.label}' touches the word {'before' if left else 'after'} it: '{shown}'; put a space"
            )
            yield proof.spot(message, link.location, link.offset, link.href)


@check("space-before-mark", "warn")
def space_before_mark(proof: Proof) -> Iterator[Spot]:
    """A space stands before a full stop, comma or other mark that belongs to the word before it."""
    french = proof.edition.language.lower().startswith("fr")
    for seen, match in _each(proof, _SPACE_BEFORE):
        if not (french and match[1] in ";:!?"):
            place = _around(seen.text, *match.span())
            yield _spot(proof, seen, f"space before '{match[1]}': '{place}'; delete it", match.start(), match.end())


@check("doubled-mark", "warn")
def doubled_mark(proof: Proof) -> Iterator[Spot]:
    """Two marks stand where one belongs, as in 'worsen. .'; one of them is left over from an edit."""
    for seen, match in _each(proof, _DOUBLED):
        before = seen.text[: match.start()].rpartition(" ")[2]
        if "\n\n" in match[0] or (
            match[0][0] == "." and re.search(r"(?:^|\W)(?:\w|etc|cf|vs|al|Inc|Ltd|Jr|Sr)$", before)
        ):
            continue
        place = _around(seen.text, *match.span())
        yield _spot(proof, seen, f"doubled punctuation: '{place}'; keep one mark", match.start(), match.end())


@check("broken-hyphen", "warn")
def broken_hyphen(proof: Proof) -> Iterator[Spot]:
    """A hyphen is followed by a space, as in 'anti- government': a line once broke there.

    Write the word together. 'Pre- and post-war' is right and not reported.
    """
    for seen, match in _each(proof, _HYPHEN):
        message = f"space after a hyphen: '{match[0]}'; write '{match[1]}-{match[2]}'"
        yield _spot(proof, seen, message, *match.span())


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
                shown = _around(seen.text, start, start + 1, 24)
                yield _spot(
                    proof, seen, f"this quotation mark has no partner: '{shown}'", start - min(place, 8), start + 1
                )


def _unpaired(text: str, german: bool, goes_on: bool) -> int | None:
    """Return where a quotation mark without its partner stands."""
    straight = [match.start() for match in re.finditer(r'(?<!\d)"', text)]
    if len(straight) % 2:
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
        plain = list(_each(proof, re.compile(straight)))
        bent = list(_each(proof, re.compile(curly)))
        if plain and bent:
            few, kind = (plain, "straight") if len(plain) <= len(bent) else (bent, "curly")
            seen, match = few[0]
            place = _around(seen.text, *match.span())
            message = f"straight and curly {name} are mixed; {len(few)} are {kind}, the first in '{place}'"
            yield _spot(proof, seen, message, max(match.start() - 4, 0), match.end() + 4)


@check("odd-capitals", "warn")
def odd_capitals(proof: Proof) -> Iterator[Spot]:
    """A word has capitals where a finger stayed on the shift key, as in 'RIghts', or lacks the space before a name."""
    for seen, match in _each(proof, _CAPITALS):
        if match[0] not in _CAPITALS_ALLOWED:
            yield _spot(proof, seen, f"odd capitals in '{match[0]}'", *match.span())


@check("repeated-word", "warn")
def repeated_word(proof: Proof) -> Iterator[Spot]:
    """The same word stands twice in a row, as in 'the the'."""
    for seen, match in _each(proof, _REPEATED):
        if match[1].lower() not in _REPEATED_ALLOWED and not (match[1][0].isupper() and match[2][0].isupper()):
            shown = " ".join(match[0].split())
            yield _spot(proof, seen, f"the word '{match[1]}' stands twice: '{shown}'", *match.span())


@check("placeholder", "block")
def placeholder(proof: Proof) -> Iterator[Spot]:
    """A text still holds a placeholder such as TODO, TBD or Lorem ipsum; it would go out to every reader."""
    for seen, match in _each(proof, _PLACEHOLDER):
        yield _spot(proof, seen, f"'{match[0]}' is a placeholder; write the text or delete it", *match.span())


@check("broken-characters", "warn")
def broken_characters(proof: Proof) -> Iterator[Spot]:
    """Invisible or wrongly decoded characters came along with a copied text; some mail programs show them as boxes."""
    for seen, match in _each(proof, _BROKEN):
        name = (
            f"U+{ord(match[0]):04X}, which cannot be seen," if len(match[0]) == 1 else f"'{match[0]}', wrongly decoded,"
        )
        place = _BROKEN.sub("", _around(seen.text, *match.span()))
        yield _spot(
            proof, seen, f"the character {name} stands near '{place}'; delete it or type it anew", *match.span()
        )


@check("markup-shown", "warn")
def markup_shown(proof: Proof) -> Iterator[Spot]:
    """HTML or half a link stands in a text and would be shown to readers as typed.

    Write links as [words](https://...) without a space between the brackets, and emphasis as *words*.
    """
    for seen, match in _each(proof, _MARKUP):
        shown = match[0] if len(match[0]) <= 40 else f"{match[0][:37]}..."
        yield _spot(proof, seen, f"readers would see this markup as typed: '{shown}'", *match.span())


@check("bare-address", "warn")
def bare_address(proof: Proof) -> Iterator[Spot]:
    """A web address stands in a text as it is. It is no link, and nobody likes to read it.

    Write words for it: [the report](https://example.org/report).
    """
    for seen, match in _each(proof, _ADDRESS):
        if seen.text.startswith(FILLER, match.end()):
            continue  # it is what a link says
        yield _spot(proof, seen, f"'{match[0]}' is not a link here; write [words for it]({match[0]})", *match.span())


@check("mixed-thousands", "info")
def mixed_thousands(proof: Proof) -> Iterator[Spot]:
    """Large numbers are written in two ways, 1,400 and 1400; one way reads better. Years are left alone."""
    if not proof.english:
        return
    grouped = any(_each(proof, _GROUPED))
    for seen, match in _each(proof, _UNGROUPED) if grouped else ():
        number = int(match[0])
        if not (len(match[0]) == 4 and 1800 <= number <= 2100):
            message = f"'{match[0]}' has no comma, other numbers here have one; write '{number:,}'"
            yield _spot(proof, seen, message, *match.span())
