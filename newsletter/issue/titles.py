"""What an issue is called: its printed title, its e-mail subject, its preheader, its days and hours in words."""

from __future__ import annotations

import datetime as dt
import re

from newsletter import languages
from newsletter.config import Newsletter
from newsletter.issue import prose
from newsletter.issue.load import IssueFile
from newsletter.issue.model import Event, Issue, Period
from newsletter.issue.passages import passages

PREHEADER = 150  # characters; inboxes show between 40 and 140 of them

_SPECIAL_SPACES = re.compile("[\u00a0\u2009\u202f]")  # CLDR sets them around dashes; not every mail font has them
_OPENING = re.compile(r"[,;:–—|/(\[#№-]")
_CLOSING = re.compile(r"^[)\].]+")
_SENTENCE_END = re.compile(r"(?P<last>\S*?)(?P<mark>[.!?…؟]++[\"'”’»)\]]*)(?=\s+[^\sa-z])|[。！？]")
_ABBREVIATIONS = frozenset({"mr", "mrs", "ms", "dr", "st", "no", "prof", "gen", "col", "sen", "rep", "amb", "vs", "cf"})
_PATTERN = "{name}: {period}"  # where nothing is left of the newsletter's own
_COMMAS = {"ar": "، ", "fa": "، ", "ur": "، "}


def printed_title(file: IssueFile, settings: Newsletter) -> str:
    """Return the title an issue is printed under: its own, or the newsletter's pattern filled in."""
    if file.issue.title:
        return file.issue.title
    language = file.issue.language or settings.language
    values = {
        "name": settings.name,
        "number": str(file.issue.number) if file.issue.number else "",
        "period": period_text(file.issue.period, language) if file.issue.period else day_text(file.published, language),
    }
    pattern = settings.title if values["number"] else _without_number(settings.title)
    return (pattern or _PATTERN).format_map(values).strip()


def email_subject(file: IssueFile, settings: Newsletter) -> str:
    """Return the Subject of an issue's mail."""
    return file.issue.subject or printed_title(file, settings)


def preheader(issue: Issue) -> str:
    """Return what an inbox shows after the subject: the issue's own words, or its first sentence.

    At most 150 characters, cut at a word. The first sentence is the lead's or the body's; without either it is the
    first text there is.
    """
    if issue.preheader:
        return issue.preheader
    first = {passage.kind: passage.text for passage in reversed(list(passages(issue)))}
    text = first.get("body") or first.get("prose") or ""
    return _shortened(_first_sentence(prose.plain(text, headings="body" in first)))


def period_text(period: Period, language: str) -> str:
    """Write a period in a language: '18–22 April 2016', '29 June – 3 July 2015'."""
    from babel.dates import format_date  # noqa: PLC0415 - heavy, and not needed to load an issue

    start, end = period.start, period.end
    if start == end:
        return day_text(start, language)
    locale = languages.locale(language)
    differs = "y" if start.year != end.year else "M" if start.month != end.month else "d"
    formats = locale.interval_formats
    # Most locales give intervals with short names of months only; the field is widened, as UTS 35 has it.
    halves = (formats.get("yMMMMd") or formats["yMMMd"])[differs]
    first, second = (re.sub(r"(?<!M)MMM(?!M)", "MMMM", half) for half in halves)
    return _plain_spaces(format_date(start, first, locale) + format_date(end, second, locale))


def day_text(day: dt.date, language: str) -> str:
    """Write a day in a language: '22 April 2016'."""
    from babel.dates import format_date  # noqa: PLC0415 - as above

    return _plain_spaces(format_date(day, "long", languages.locale(language)))


def month_text(day: dt.date, language: str) -> str:
    """Write a month in a language: 'April 2016'."""
    from babel.dates import format_skeleton  # noqa: PLC0415 - as above

    return _plain_spaces(format_skeleton("yMMMM", day, locale=languages.locale(language)))


def event_time_text(event: Event, language: str) -> str:
    """Write when an event is, in the time of its place: 'Thursday, 28 April 2016, 18:00–20:00, Montreal Time'."""
    from babel.dates import format_date  # noqa: PLC0415 - as above

    locale = languages.locale(language)
    comma = _COMMAS.get(locale.language, ", ")
    day = format_date(event.start, "full", locale)
    hours = f"{event.start:%H:%M}"
    zone = _zone_text(event.timezone, language)
    if event.end and event.end.date() == event.start.date():
        hours += f"–{event.end:%H:%M}"
    elif event.end:
        last = format_date(event.end, "full", locale)
        return _plain_spaces(comma.join([day, f"{hours} – {last}", f"{event.end:%H:%M}", zone]))
    return _plain_spaces(comma.join([day, hours, zone]))


def _zone_text(zone: str, language: str) -> str:
    """Name a time zone by its city, which any reader can look up: 'Montreal Time'."""
    if "/" not in zone or zone.startswith("Etc/"):
        return zone.removeprefix("Etc/")
    locale = languages.locale(language)
    city = locale.time_zones.get(zone, {}).get("city") or zone.rpartition("/")[2].replace("_", " ")
    return str(locale.zone_formats["region"]) % city


def _plain_spaces(text: str) -> str:
    return _SPECIAL_SPACES.sub(" ", text)


def _without_number(pattern: str) -> str:
    """Take {number} out of a title's pattern, with the words and marks that lead to it ('No. ', ' (#')."""
    before, number, after = pattern.partition("{number}")
    if not number:
        return pattern
    literal = before.rpartition("}")[2]
    mark = _OPENING.search(literal)
    kept = before.removesuffix(literal) + (literal[: mark.start()] if mark else "").rstrip()
    rest = _CLOSING.sub("", after) if kept else after.lstrip(" .,;:–—|/)]-")
    return _without_number(kept + rest)


def _first_sentence(text: str) -> str:
    line = next((line for line in text.splitlines() if line.strip()), "")[: 4 * PREHEADER]  # no more is ever shown
    for end in _SENTENCE_END.finditer(line):
        if not (end["mark"] == "." and _is_abbreviation(end["last"])):
            return line[: end.end()]
    return line


def _is_abbreviation(word: str) -> bool:
    word = word.lstrip("(\"'“‘«").lower()
    return word in _ABBREVIATIONS or re.fullmatch(r"[^\W\d_](\.\w)*", word) is not None


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    if len(text) <= PREHEADER:
        return text
    cut = text[: PREHEADER - 1]
    at_word = cut.rpartition(" ")[0] if " " in cut else cut
    return at_word.rstrip(" ,;:–—-") + "…"
