"""What the settings of carriers have in common: how many calls at once, how fast, with which key."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from newsletter.config import SecretReference, Settings


class Terms(Settings):
    """How many calls may be under way at once, and how many a second were agreed on (left out: no limit of ours)."""

    connections: Annotated[int, Field(ge=1, le=64)] = 4
    rate: Annotated[float, Field(gt=0, le=1_000_000)] | None = None


class ApiTerms(Terms):
    """The terms of a carrier with an HTTP interface; `timeout` is in seconds, for the answer to one request."""

    key: SecretReference
    timeout: Annotated[float, Field(gt=0, le=600)] = 60.0
    test_mode: bool = False
