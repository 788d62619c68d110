"""What a language tag means: whether it is one, the house's form of it for dates, and which way it is written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, WithJsonSchema

from newsletter.source import refused

if TYPE_CHECKING:
    from babel.core import Locale

_TAG = r"[A-Za-z]{2,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?"
# Plain English means the international form, which writes the day before the month.
_HOUSE_FORMS = {"en": "en-001"}
_EVERYDAY = frozenset({"ar", "en", "es", "fr", "ru", "zh"})


def _language(value: str) -> str:
    if not known(value):
        raise refused(f"'{value}' is not a language tag (BCP 47); write one like en, fr or pt-BR")
    return value


# A tag that a file may name its language by.
Language = Annotated[str, AfterValidator(_language), WithJsonSchema({"type": "string", "pattern": f"^{_TAG}$"})]


def known(tag: str) -> bool:
    """Say whether a tag (BCP 47, without variants and extensions) names a language that dates can be written in."""
    if tag in _EVERYDAY:  # spares most files the import
        return True
    if not re.fullmatch(_TAG, tag):
        return False
    from babel.core import Locale, UnknownLocaleError  # noqa: PLC0415 - only files in other languages need it

    try:
        Locale.parse(tag, sep="-")
    except (UnknownLocaleError, ValueError):
        return False
    return True


def locale(tag: str) -> Locale:
    """Return the locale of a known tag."""
    from babel.core import Locale  # noqa: PLC0415 - heavy, and not needed to load an issue

    return Locale.parse(_HOUSE_FORMS.get(tag, tag), sep="-")


def direction(tag: str) -> Literal["ltr", "rtl"]:
    """Say which way a known language is written."""
    return "rtl" if locale(tag).text_direction == "rtl" else "ltr"
