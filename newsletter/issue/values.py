"""What the keys of an issue file may hold: days, numbers, prose, addresses; each says what to write instead."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from newsletter.issue import prose
from newsletter.source import as_text, refused

SLUG = "[a-z0-9][a-z0-9-]{0,80}"

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}")


def _shown(value: Any) -> str:
    return "this" if isinstance(value, Mapping | list | tuple) else f"'{value}'"


def _day(value: Any) -> Any:
    if isinstance(value, str) and _DATE.fullmatch(value.strip()):
        try:
            return dt.date.fromisoformat(value.strip())
        except ValueError:
            pass
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    raise refused(f"{_shown(value)} is not a date; write it as 2016-04-22")


def _moment(value: Any) -> Any:
    if isinstance(value, dt.datetime) and value == value.replace(second=0, microsecond=0, tzinfo=None):
        return value
    if isinstance(value, str) and _MOMENT.fullmatch(value.strip()):
        try:
            return dt.datetime.fromisoformat(value.strip())  # zone stands beside it
        except ValueError:
            pass
    raise refused(f"{_shown(value)} is not a date with a time; write it as 2016-04-28 18:00")


def _number(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value) and int(value) > 0:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise refused(f"{_shown(value)} is not a positive number; write it like 245")


def _text(value: str, *, headings: bool = False) -> str:
    value = as_text(value.replace("\r\n", "\n").replace("\r", "\n"))  # web forms send CRLF
    if not value.strip():
        raise refused("this text is empty; write it or delete the key")
    faults = prose.faults(value, headings=headings)
    if faults:
        raise PydanticCustomError("newsletter", "{message}", {"message": faults[0][1], "faults": faults})
    return value.rstrip("\n")  # line breaks before the text stay, so that lines are counted from where it starts


def _prose(value: str) -> str:
    return _text(value)


def _body(value: str) -> str:
    return _text(value, headings=True)


def _url(value: str) -> str:
    problem = prose.target_fault(value)
    if problem:
        raise refused(problem)
    return value


def _zone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of zones, such as 'America'
        raise refused(f"'{value}' is not a time zone; write one like America/New_York or UTC") from None
    return value


def _slug(value: str) -> str:
    if not re.fullmatch(SLUG, value):
        raise refused(f"'{value}' cannot name an issue; write its slug, such as 2016-04-22")
    return value


Day = Annotated[
    dt.date, BeforeValidator(_day), WithJsonSchema({"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"})
]
Moment = Annotated[
    dt.datetime,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}$"}),
]
Number = Annotated[
    int,
    BeforeValidator(_number),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": "^0*[1-9][0-9]*$"}]}),
]
Prose = Annotated[str, AfterValidator(_prose)]
Body = Annotated[str, AfterValidator(_body)]
Url = Annotated[
    str, AfterValidator(_url), WithJsonSchema({"type": "string", "pattern": "^([Hh][Tt][Tt][Pp][Ss]?://|mailto:|#)"})
]
Zone = Annotated[str, AfterValidator(_zone), WithJsonSchema({"type": "string"})]
Slug = Annotated[str, AfterValidator(_slug), WithJsonSchema({"type": "string", "pattern": f"^{SLUG}$"})]
