"""Checks of the words themselves: run together, twice, in odd capitals, left to write, wrongly copied."""

from __future__ import annotations

import re
from collections.abc import Iterator

from newsletter.checks import words
from newsletter.checks.finding import check
from newsletter.checks.proof import FILLER, Proof, Spot

_CAPITALS = re.compile(r"(?<![\w./@-])(?:[A-Z]{2}[a-z]{2,}|[a-z]{2,}[A-Z][A-Za-z]*)(?![\w@])")
_CAPITALS_ALLOWED = frozenset(
    {"OKed", "EUobserver", "macOS", "arXiv", "openDemocracy", "isiZulu", "isiXhosa", "siSwati", "kiSwahili"}
)
_REPEATED = re.compile(r"(?<![\w’'-])([^\W\d_]+)(?:[ \u00a0]+|[ ]*\n[ ]*)(\1)(?![\w’'-])", re.IGNORECASE)
_REPEATED_ALLOWED = frozenset({"had", "that", "nous", "vous", "very", "sie", "se", "no"})
_PLACEHOLDER = re.compile(
    r"\b(?:TODO|FIXME|TBD|TKTK|X{4,})\b|\b(?i:lorem ipsum)\b|\[(?i:link|source|date|name|title|text|insert[^\]]*)\]"
    r"(?!\()"
)
_BROKEN = re.compile("[\u00ad\u200b\u2060\ufeff\ufffc\ufffd\u202a-\u202e]|â€.|Ã[\u00a0-\u00bf]")
_MARKUP = re.compile(
    r"</?(?:a|b|i|u|p|br|hr|em|strong|span|div|ul|ol|li|h[1-6]|img|font|center|su[bp]|table|tr|td|style|script|iframe)"
    r"(?:\s[^<>]*)?/?>|\]\s+\(https?:|\]\[|\*\*(?=\w)[^*]*$",
    re.IGNORECASE | re.MULTILINE,
)
_ADDRESS = re.compile(r"(?<![\w@/.(<" + FILLER + r"])(?:https?://|www\.)[^\s<>)\]" + FILLER + "]+", re.IGNORECASE)
_GROUPED = re.compile(r"(?<![\d.,:/-])\d{1,3}(?:,\d{3})+(?![\d.,]*\d)")
_UNGROUPED = re.compile(r"(?:\b([\w.]+) )?(?<![\d.,:/#-])(\d{4,})(?![\d./:-]*\d)")
# What numbers name and do not count: Resolution 2279, Suite 1715, New York, NY 10017.
_NAMING = re.compile(r"resolutions?|no\.?|number|room|suite|article|case|page|document|flight", re.IGNORECASE)
_NO_SPACES = ("zh", "ja", "th", "lo", "km", "my")


@check("glued-words", "warn")
def glued_words(proof: Proof) -> Iterator[Spot]:
    """Two words run into each other, as in 'demandthat'; this happens where a link was lost in copying.

    Put the space back. (English issues only.)
    """
    known = words.vocabulary("\n".join(seen.text for seen in proof.texts)) if proof.english else {}
    for seen in proof.texts if proof.english else ():
        for start, left, right in words.glued(seen.text, known):
            message = f"two words run together: '{left}{right}'; write '{left} {right}'"
            yield proof.place(seen, message, start, start + len(left + right))


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
            yield proof.at(link, message)


@check("odd-capitals", "warn")
def odd_capitals(proof: Proof) -> Iterator[Spot]:
    """A word has capitals where a finger stayed on the shift key, as in 'RIghts', or lacks the space before a name.

    A word that stands in the issue three times is taken for a name.
    """
    everything = "\n".join(seen.text for seen in proof.texts)
    for seen, match in proof.matches(_CAPITALS):
        meant = match[0] in _CAPITALS_ALLOWED or len(re.findall(rf"\b{match[0]}\b", everything)) >= 3
        if not meant:
            yield proof.place(seen, f"odd capitals in '{match[0]}'", *match.span())


@check("repeated-word", "warn")
def repeated_word(proof: Proof) -> Iterator[Spot]:
    """The same word stands twice in a row, as in 'the the'."""
    for seen, match in proof.matches(_REPEATED):
        if match[1].lower() not in _REPEATED_ALLOWED and not (match[1][0].isupper() and match[2][0].isupper()):
            shown = " ".join(match[0].split())
            yield proof.place(seen, f"the word '{match[1]}' stands twice: '{shown}'", *match.span())


@check("placeholder", "block")
def placeholder(proof: Proof) -> Iterator[Spot]:
    """A text still holds a placeholder such as TODO, TBD or Lorem ipsum; it would go out to every reader."""
    for seen, match in proof.matches(_PLACEHOLDER):
        yield proof.place(seen, f"'{match[0]}' is a placeholder; write the text or delete it", *match.span())


@check("broken-characters", "warn")
def broken_characters(proof: Proof) -> Iterator[Spot]:
    """Invisible or wrongly decoded characters came along with a copied text; some mail programs show them as boxes."""
    for seen, match in proof.matches(_BROKEN):
        name = (
            f"U+{ord(match[0]):04X}, which cannot be seen," if len(match[0]) == 1 else f"'{match[0]}', wrongly decoded,"
        )
        place = _BROKEN.sub("", seen.around(*match.span()))
        yield proof.place(seen, f"the character {name} stands near '{place}'; delete it or type it anew", *match.span())


@check("markup-shown", "warn")
def markup_shown(proof: Proof) -> Iterator[Spot]:
    """HTML or half a link stands in a text and would be shown to readers as typed.

    Write links as [words](https://...) without a space between the brackets, and emphasis as *words*.
    """
    for seen, match in proof.matches(_MARKUP):
        shown = match[0] if len(match[0]) <= 40 else f"{match[0][:37]}..."
        yield proof.place(seen, f"readers would see this markup as typed: '{shown}'", *match.span())


@check("bare-address", "warn")
def bare_address(proof: Proof) -> Iterator[Spot]:
    """A web address stands in a text as it is. It is no link, and nobody likes to read it.

    Write words for it: [the report](https://example.org/report).
    """
    for seen, match in proof.matches(_ADDRESS):
        if seen.text.startswith(FILLER, match.end()) or seen.location[-1] == "src":
            continue  # it is what a link says, or where a picture lies
        yield proof.place(seen, f"'{match[0]}' is not a link here; write [words for it]({match[0]})", *match.span())


@check("mixed-thousands", "info")
def mixed_thousands(proof: Proof) -> Iterator[Spot]:
    """Large numbers are written in two ways, 1,400 and 1400; one way reads better. Years are left alone."""
    if not proof.english:
        return
    grouped = any(proof.matches(_GROUPED))
    for seen, match in proof.matches(_UNGROUPED) if grouped else ():
        named = match[1] and (_NAMING.fullmatch(match[1]) or match[1].isupper())
        if not named and not (len(match[2]) == 4 and 1800 <= int(match[2]) <= 2100):
            message = f"'{match[2]}' has no comma, other numbers here have one; write '{int(match[2]):,}'"
            yield proof.place(seen, message, *match.span(2))
