"""Checks of what an issue holds: sources, pictures, sections, sentences' lengths, things said twice."""

from __future__ import annotations

import re
from collections.abc import Iterator

from newsletter.checks.finding import check
from newsletter.checks.proof import FILLER, Link, Proof, Spot
from newsletter.issue import prose, subjects
from newsletter.issue.load import parse
from newsletter.issue.passages import passages
from newsletter.issue.skeleton import skeleton

_LONG_UPDATE = 700  # characters; the longest update of the weekly of April 2016 that still reads well has about 650
_LONG_PARAGRAPH = 1000
_HEAVY_PICTURE = 1_000_000  # bytes; on a telephone abroad a reader pays for them
_PICTURES = (".png", ".jpg", ".jpeg", ".gif")  # what every mail program shows; SVG and WebP are not (caniemail.com)
_VAGUE = re.compile(
    r"(?:(?:please )?(?:click|tap|press) (?:here|this|on this link|this link)|here|read (?:more|on|it here)|more|this|"
    r"link|this (?:link|page|site)|learn more|find out more|details|see here|go|cliquez ici|ici|haga clic aquí|aquí)",
    re.IGNORECASE,
)


def _opening(text: str, width: int = 40) -> str:
    """Quote the first words of a text."""
    line = " ".join(prose.plain(text).split())
    return line if len(line) <= width else line[:width].rpartition(" ")[0] + " …"


@check("skeleton-text", "warn")
def skeleton_text(proof: Proof) -> Iterator[Spot]:
    """A text is still the one that 'newsletter new' put there to be written over."""
    _, text = skeleton(proof.project.settings, proof.file.published, None)
    begun = parse(proof.file.path, text.encode(), proof.countries).issue
    ours = {
        paragraph
        for passage in passages(begun)
        if passage.kind != "line" or passage.text.startswith("Write ")
        for paragraph in passage.text.split("\n\n")
    }
    for seen in proof.texts:
        for paragraph in seen.passage.text.split("\n\n"):
            if paragraph in ours:
                offset = seen.passage.text.count("\n", 0, seen.passage.text.index(paragraph))
                yield proof.spot(f"'{_opening(paragraph)}' is the text to write over", seen.location, offset)


@check("unsourced-update", "warn")
def unsourced_update(proof: Proof) -> Iterator[Spot]:
    """An update has neither a link nor a source, so readers cannot check it nor read on."""
    for place, name, update in proof.updates:
        if not update.source and not prose.links(update.text):
            message = f"{name}: '{_opening(update.text)}' has no link and no source; add one"
            yield proof.spot(message, place)


@check("vague-link", "warn")
def vague_link(proof: Proof) -> Iterator[Spot]:
    """A link says 'click here' or 'read more'; whoever hears a list of links, or skims, cannot tell where it goes.

    Link the words that name what is behind it.
    """
    for link in proof.links:
        if _VAGUE.fullmatch(link.label.strip(" .:…»>→\u00a0").replace("\u00a0", " ")):
            message = f"'{link.label}' does not say where {link.href} goes; link the words that name it"
            yield proof.at(link, message)
    for seen in proof.texts:
        match = re.search(r"\bclick[ \u00a0]+here\b(?!" + FILLER + ")", seen.text, re.IGNORECASE)
        if match:  # not the words of a link, which is told above
            message = f"'{match[0]}' in '{_opening(seen.text)}' does not say where it goes; link the words that name it"
            yield proof.spot(message, seen.location, seen.text.count("\n", 0, match.start()), match[0])


@check("repeated-link", "warn")
def repeated_link(proof: Proof) -> Iterator[Spot]:
    """The same address is linked from two places; usually one of them was meant to lead elsewhere.

    An update's own source, and a button below the lead, may repeat a link of their text.
    """
    first: dict[str, Link] = {}
    for link in proof.links:
        if link.href.startswith(("#", "mailto:")):
            continue
        other = first.setdefault(link.href, link)
        if other is not link and (other.owner != link.owner or other.prose == link.prose):
            message = f"'{link.label}' leads to {link.href}, as '{other.label}' does already"
            yield proof.at(link, message)


@check("repeated-text", "warn")
def repeated_text(proof: Proof) -> Iterator[Spot]:
    """The same update stands in the issue twice; one of the two was pasted into the wrong place or forgotten."""
    seen: dict[str, str] = {}
    for place, name, update in proof.updates:
        key = " ".join(prose.plain(update.text).casefold().split())
        if key in seen:
            yield proof.spot(f"{name}: '{_opening(update.text)}' stands under {seen[key]} already", place)
        seen.setdefault(key, name)


@check("photo-credit", "warn")
def photo_credit(proof: Proof) -> Iterator[Spot]:
    """A picture does not say who made it; most licences ask for that, and so does courtesy."""
    for place, figure in proof.figures:
        if not figure.credit:
            yield proof.spot(f"the picture {figure.src} has no credit; write who made it under 'credit'", place)


@check("picture-alt", "warn")
def picture_alt(proof: Proof) -> Iterator[Spot]:
    """A picture has no text for readers who cannot see it; many mail programs show none until asked."""
    for place, figure in proof.figures:
        if not figure.alt:
            yield proof.spot(f"the picture {figure.src} has no 'alt'; describe in a few words what it shows", place)


@check("picture-missing", "block")
def picture_missing(proof: Proof) -> Iterator[Spot]:
    """A picture's file is not where the issue says; readers would see an empty frame."""
    base = proof.project.issues.resolve()
    for place, figure in proof.figures:
        path = (base / figure.src).resolve()
        if re.match(r"https?://", figure.src):
            continue
        if not path.is_relative_to(base):
            yield proof.spot(
                f"the picture {figure.src} lies outside the folder issues/; put it into issues/images/", place
            )
        elif not path.is_file():
            yield proof.spot(f"there is no picture issues/{figure.src}; put it there or mend 'src'", place)


@check("picture-format", "warn")
def picture_format(proof: Proof) -> Iterator[Spot]:
    """A picture is of a kind that some mail programs do not show (SVG, WebP, HEIC ...); use PNG, JPEG or GIF."""
    for place, figure in proof.figures:
        if not figure.src.lower().partition("?")[0].endswith(_PICTURES):
            yield proof.spot(
                f"the picture {figure.src} is not a PNG, JPEG or GIF; some mail programs will not show it", place
            )


@check("picture-heavy", "warn")
def picture_heavy(proof: Proof) -> Iterator[Spot]:
    """A picture is over 1 MB; it loads slowly, and many readers pay for every byte. 1,200 pixels wide is plenty."""
    for place, figure in proof.figures:
        path = proof.project.issues / figure.src
        if path.is_file() and path.stat().st_size > _HEAVY_PICTURE:
            size = path.stat().st_size / 1_000_000
            yield proof.spot(f"the picture {figure.src} has {size:.1f} MB; make it smaller than 1 MB", place)


@check("lead-missing", "warn")
def lead_missing(proof: Proof) -> Iterator[Spot]:
    """A weekly without a lead opens with a bare list of countries."""
    if proof.weekly and not proof.weekly.lead:
        yield proof.spot("the issue has no lead; write one under 'lead', with title and body")


@check("updates-missing", "warn")
def updates_missing(proof: Proof) -> Iterator[Spot]:
    """A weekly without a single update is not what readers who follow countries expect."""
    if proof.weekly and not proof.weekly.updates:
        yield proof.spot("the issue has no updates; write them under 'updates', by country")


@check("empty-section", "warn")
def empty_section(proof: Proof) -> Iterator[Spot]:
    """A section has a title and nothing under it, so it is not printed."""
    for number, section in enumerate(proof.weekly.sections if proof.weekly else ()):
        if not section.items:
            message = f"the section '{section.title}' is empty; give it an item or delete it"
            yield proof.spot(message, ("sections", number))


@check("unsorted-subjects", "info")
def unsorted_subjects(proof: Proof) -> Iterator[Spot]:
    """The subjects are not in the file as they are printed. Readers see no difference; the next editor might."""
    names = list(proof.weekly.updates) if proof.weekly else []
    printed = [subject.name for subject in subjects.printed(proof.file.issue, proof.countries, proof.edition.language)]
    for name, expected in zip(names, printed, strict=True):
        if name != expected:
            yield proof.spot(
                f"'{name}' stands where '{expected}' is printed; the order in print is alphabetical", ("updates", name)
            )
            return


@check("repeated-label", "warn")
def repeated_label(proof: Proof) -> Iterator[Spot]:
    """Two subjects have the same short label, so the jump list shows it twice."""
    first: dict[str, str] = {}
    for subject in subjects.printed(proof.file.issue, proof.countries, proof.edition.language):
        if subject.label in first:
            message = (
                f"'{subject.name}' and '{first[subject.label]}' are both called '{subject.label}' in the jump list"
            )
            yield proof.spot(f"{message}; give one a 'label'", ("updates", subject.name))
        first.setdefault(subject.label, subject.name)


@check("long-update", "info")
def long_update(proof: Proof) -> Iterator[Spot]:
    """An update is longer than most readers take in on a telephone; two shorter ones are read more often."""
    for place, name, update in proof.updates:
        length = len(prose.plain(update.text))
        if length > _LONG_UPDATE:
            yield proof.spot(f"{name}: '{_opening(update.text)}' has {length} characters; split or shorten it", place)


@check("long-paragraph", "info")
def long_paragraph(proof: Proof) -> Iterator[Spot]:
    """A paragraph of an article is longer than a telephone's screen."""
    for seen in proof.texts:
        for block in prose.plain(seen.passage.text, headings=True).split("\n") if seen.passage.kind == "body" else ():
            if len(block) > _LONG_PARAGRAPH:
                start = seen.passage.text.find(block[:30])
                offset = seen.passage.text.count("\n", 0, max(start, 0))
                yield proof.spot(
                    f"the paragraph '{_opening(block)}' has {len(block)} characters; split it", seen.location, offset
                )
