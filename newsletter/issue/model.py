"""The issue as its editors wrote it: frozen values, one class for each thing the format page names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

from newsletter.issue.folding import fold
from newsletter.issue.values import Body, Day, Moment, Number, Prose, Slug, Url, Zone
from newsletter.languages import Language
from newsletter.source import MOST_FAULTS, Line, refused


def _country_name(value: str, info: ValidationInfo) -> str:
    countries = (info.context or {}).get("countries")
    problem = countries.fault(value) if countries is not None else None
    if problem:
        raise refused(problem)
    return value


def _subject_names(value: Any, info: ValidationInfo) -> Any:
    """Look every subject's name up; faults go to the context, so that they join those found deeper down.

    A subject that lists its `countries` may be called anything. One place under two names is a fault too.
    """
    context = info.context or {}
    countries = context.get("countries")
    if countries is None or not isinstance(value, Mapping):
        return value
    first: dict[Any, str] = {}
    faults: list[tuple[tuple[str, ...], str]] = []
    for name, subject in value.items():
        free = isinstance(subject, Mapping) and subject.get("countries")
        problem = None if free else countries.fault(name)
        places = None if free else countries.resolve(name)
        same = first.setdefault(frozenset(place.key for place in places) if places else fold(name), name)
        if same != name:
            line = context["source"].line(("updates", same))
            problem = f"'{name}' is the same as '{same}' in line {line}; put all updates under one of them"
        if problem:
            faults.append((("updates", name), problem))
        if len(faults) == MOST_FAULTS:
            break
    context["faults"].extend(faults)
    return value


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
    """Take a bare text for the mapping it stands for, and see through a text that YAML took for a mapping."""
    if isinstance(value, Mapping) and len(value) == 1 and " " in (key := str(next(iter(value)))):
        raise refused(f"the ': ' after '{key}' makes it a key; put the whole text in quotes, or write it below a '|'")
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
    updates: tuple[Update, ...] = Field(json_schema_extra={"minItems": 1})

    @model_validator(mode="before")
    @classmethod
    def _bare_list(cls, value: Any) -> Any:
        return {"updates": value} if isinstance(value, list | tuple) else value

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


_ITEMS = ("text", "event", "publication")


class Item(Frozen):
    """An entry of a section: text like an update's, or an event, or a publication; exactly one of the three."""

    text: Prose | None = None
    kicker: Line | None = None
    headline: Line | None = None
    source: Source | None = None
    event: Event | None = None
    publication: Publication | None = None

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [name]} for name in _ITEMS]})

    _bare = model_validator(mode="before")(_text_as_mapping)

    @model_validator(mode="after")
    def _one_of_three(self) -> Item:
        given = [name for name in _ITEMS if getattr(self, name) is not None]
        if len(given) != 1:
            raise refused("an item is either a text, or an event, or a publication")
        article = "an" if given == ["event"] else "a"
        if given != ["text"] and (self.kicker or self.headline or self.source):
            raise refused(f"kicker, headline and source go with a text; {article} {given[0]} has keys of its own")
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
    translations: dict[Language, Slug] = Field(default_factory=dict, json_schema_extra={"additionalProperties": False})
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
