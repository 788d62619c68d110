"""Read one YAML file strictly, remember every line, and turn what a model refuses into faults with lines."""

from __future__ import annotations

from newsletter.source.events import MAX_DEPTH, MOST_FAULTS, Location, Plain
from newsletter.source.files import MAX_BYTES, Source, display, parse, read, read_bytes
from newsletter.source.models import known_keys, unknown_key, validate
from newsletter.source.texts import Line, as_text, refused

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MOST_FAULTS",
    "Line",
    "Location",
    "Plain",
    "Source",
    "as_text",
    "display",
    "known_keys",
    "parse",
    "read",
    "read_bytes",
    "refused",
    "unknown_key",
    "validate",
]
