"""What the carriers offer, for whoever chooses one."""

from __future__ import annotations

from typing import Any

from newsletter.providers.base import BatchCarrier, Guard, MessageCarrier, Provider
from newsletter.providers.registry import PROVIDERS

Record = dict[str, Any]


def carriers() -> list[Record]:
    """Return what `newsletter providers --format json` says; `rate` is in calls a second, None without a limit."""
    return [_record(name, kind) for name, kind in PROVIDERS.items()]


def _record(name: str, kind: type[Provider]) -> Record:
    return {
        "name": name,
        "readers": kind.chunk_size if issubclass(kind, BatchCarrier) else 1,
        "bytes": kind.max_bytes,
        "guard": _guard(kind),
        "lookup": _can_be_asked(kind),
        "webhooks": str(kind.hooks),
        "connections": _default(kind, "connections"),
        "rate": _default(kind, "rate"),
    }


def _guard(kind: type[Provider]) -> str:
    if kind.guard is Guard.KEY:
        hours = kind.window / 3600
        return f"the same key within {hours:.0f} h" if hours >= 1 else f"the same key within {kind.window / 60:.0f} min"
    return {Guard.NONE: "none", Guard.REPEATABLE: "the same message again", Guard.LOOKUP: "is asked first"}[kind.guard]


def _can_be_asked(kind: type[Provider]) -> bool:
    if issubclass(kind, BatchCarrier):
        return kind.lookup is not BatchCarrier.lookup
    return issubclass(kind, MessageCarrier) and kind.knows is not MessageCarrier.knows


def _default(kind: type[Provider], field: str) -> Any:
    """Return what a setting is when it is left out; a carrier without the setting says it itself."""
    found = kind.settings.model_fields.get(field)
    return getattr(kind, field) if found is None else found.default
