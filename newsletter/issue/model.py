"""The issue as its editors wrote it: frozen values, one class for each thing the format page names."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from typing import Annotated, Any, Literal

from babel.core import Locale, UnknownLocaleError
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from newsletter.issue import prose
from newsletter.source import Line, refused

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}")


def _day(value: Any) -> Any:
    if isinstance(value, str) and _DATE.fullmatch(value.strip()):
        try:
            return dt.date.fromisoformat(value.strip())
        except ValueError:
            pass
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    raise refused(f"'{value}' is not a date; write it as 2016-04-22")


def _moment(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value
    if isinstance(value, str) and _MOMENT.fullmatch(value.strip()):
        try:
            return dt.datetime.fromisoformat(value.strip())  # zone stands beside it
        except ValueError:
            pass
    raise refused(f"'{value}' is not a date with a time; write it as 2016-04-28 18:00")


def _number(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value) and int(value) > 0:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise refused(f"'{value}' is not a positive number; write it like 245")


def _prose(value: str, *, headings: bool = False) -> str:
    if not value.strip():
        raise refused("this text is empty; write it or delete the key")
    faults = prose.faults(value, headings=headings)
    if faults:
        raise PydanticCustomError("newsletter", "{message}", {"message": faults[0][1], "faults": faults})
    return value.strip("\n")


def _body(value: str) -> str:
    return _prose(value, headings=True)


def _url(value: str) -> str:
    problem = prose.target_fault(value)
    if problem:
        raise refused(problem)
    return value


def _zone(value: str) -> str:
    if value not in zoneinfo.available_timezones():
        raise refused(f"'{value}' is not a time zone; write one like America/New_York or UTC")
    return value


def _language(value: str) -> str:
    try:
        Locale.parse(value, sep="-")
    except (UnknownLocaleError, ValueError):
        raise refused(f"'{value}' is not a language tag (BCP 47); write one like en, fr or pt-BR") from None
    return value


def _country_name(value: str, info: ValidationInfo) -> str:
    countries = (info.context or {}).get("countries")
    problem = countries.fault(value) if countries is not None else None
    if problem:
        raise refused(problem)
    return value


def _subject_names(value: Any, info: ValidationInfo) -> Any:
    """Look every subject's name up; faults go to the context, so that they join those found deeper down.

    A subject that lists its `countries` may be called anything.
    """
    context = info.context or {}
    countries = context.get("countries")
    if countries is not None and isinstance(value, dict):
        for name, subject in value.items():
            if isinstance(subject, dict) and subject.get("countries"):
                continue
            problem = countries.fault(name)
            if problem:
                context["faults"].append((("updates", name), problem))
    return value


Day = Annotated[dt.date, BeforeValidator(_day)]
Moment = Annotated[dt.datetime, BeforeValidator(_moment)]
Number = Annotated[int, BeforeValidator(_number)]
Prose = Annotated[str, AfterValidator(_prose)]
Body = Annotated[str, AfterValidator(_body)]
Url = Annotated[str, AfterValidator(_url)]
Zone = Annotated[str, AfterValidator(_zone)]
Language = Annotated[str, AfterValidator(_language)]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,80}$")]


class Frozen(BaseModel):
    """The base of every value: it cannot be changed, and takes no key it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Period(Frozen):
    """The days an issue covers, both included."""

    start: Day
    end: Day


class Source(Frozen):
    """The linked document behind an update."""

    name: Line
    url: Url
    date: Day | None = None


class Action(Frozen):
    """A call to action: what the button says and where it leads."""

    text: Line
    url: Url


class Author(Frozen):
    """Who wrote an issue."""

    name: Line
    role: Line | None = None
    organisation: Line | None = None
    note: Prose | None = None


class Figure(Frozen):
    """A picture. `src` is a path below the project's issues folder, or an http(s) address."""

    src: Line
    alt: Line | None = None
    caption: Prose | None = None
    credit: Line | None = None


def _text_as_mapping(value: Any) -> Any:
    return {"text": value} if isinstance(value, str) else value


class Update(Frozen):
    """A bullet under a subject: text with any number of links. Written as bare text, or with its keys."""

    text: Prose
    kicker: Line | None = None
    headline: Line | None = None
    source: Source | None = None

    _bare = model_validator(mode="before")(_text_as_mapping)


class Subject(Frozen):
    """A country, part of one, group of them or declared heading, as written; its name is the key it stands under.

    Written as a bare list of updates, or with options. What it is printed as is worked out in `issue.subjects`.
    """

    heading: Line | None = None
    label: Line | None = None
    intro: Prose | None = None
    style: Literal["bullets", "paragraphs", "headlines"] = "bullets"
    sort: Line | None = None
    countries: tuple[Annotated[Line, AfterValidator(_country_name)], ...] = ()
    updates: tuple[Update, ...]

    @model_validator(mode="before")
    @classmethod
    def _bare_list(cls, value: Any) -> Any:
        return {"updates": value} if isinstance(value, list | tuple) or value is None else value

    @model_validator(mode="after")
    def _has_updates(self) -> Subject:
        if not self.updates:
            raise refused("a subject needs at least one update; write one or delete the subject")
        return self


class Lead(Frozen):
    """The article an issue opens with."""

    kicker: Line | None = None
    title: Line
    body: Body
    figures: tuple[Figure, ...] = ()
    actions: tuple[Action, ...] = ()


class Event(Frozen):
    """A calendar entry. `start` and `end` are local to `timezone` and carry no zone themselves."""

    title: Line
    host: Line | None = None
    start: Moment
    end: Moment | None = None
    timezone: Zone
    place: Line | None = None
    url: Url | None = None
    summary: Prose | None = None


class Publication(Frozen):
    """A document somebody published."""

    title: Line
    organisations: tuple[Line, ...] = ()
    date: Day | None = None
    url: Url | None = None
    summary: Prose | None = None


class Item(Frozen):
    """An entry of a section: text like an update's, or an event, or a publication; exactly one of the three."""

    text: Prose | None = None
    kicker: Line | None = None
    headline: Line | None = None
    source: Source | None = None
    event: Event | None = None
    publication: Publication | None = None

    _bare = model_validator(mode="before")(_text_as_mapping)

    @model_validator(mode="after")
    def _one_of_three(self) -> Item:
        given = [name for name in ("text", "event", "publication") if getattr(self, name) is not None]
        if len(given) != 1:
            raise refused("an item is either a text, or an event, or a publication")
        if given != ["text"] and (self.kicker or self.headline or self.source):
            raise refused(f"kicker, headline and source go with a text; an {given[0]} has keys of its own")
        return self


class Section(Frozen):
    """A block after the updates, printed in the order written."""

    title: Line
    items: tuple[Item, ...] = ()


class Issue(Frozen):
    """The keys every kind of issue has."""

    kind: str
    period: Period | None = None
    published: Day | None = None
    number: Number | None = None
    title: Line | None = None
    subject: Line | None = None
    preheader: Annotated[Line, Field(max_length=150)] | None = None
    language: Language | None = None
    translations: dict[Language, Slug] = Field(default_factory=dict)
    authors: tuple[Author, ...] = ()
    topics: tuple[Line, ...] = ()
    legacy_urls: tuple[Url, ...] = ()
    actions: tuple[Action, ...] = ()
    notices: tuple[Prose, ...] = ()
    credits: Prose | None = None
    disclaimer: Prose | None = None


class Weekly(Issue):
    """The weekly: a lead, updates by country, sections."""

    kind: Literal["weekly"] = "weekly"
    lead: Lead | None = None
    updates: Annotated[dict[Line, Subject], BeforeValidator(_subject_names)] = Field(default_factory=dict)
    sections: tuple[Section, ...] = ()


class Notice(Issue):
    """A one-off message to a list."""

    kind: Literal["notice"] = "notice"
    title: Line
    body: Body


# What `kind` may say: a later kind is one class above and one entry here.
KINDS: dict[str, type[Issue]] = {"weekly": Weekly, "notice": Notice}
