"""A project, a carrier and a zone to examine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from doctor_case import NOON, MakeCase
from local_dns import LocalDns, Zone, local_dns

from newsletter.config import Project
from newsletter.doctor.case import Case
from newsletter.doctor.dns import Resolver
from newsletter.providers.registry import open_provider

SMTP = {"name": "smtp", "host": "mail.example.org"}


@pytest.fixture
def ask() -> Iterator[Callable[[Zone], LocalDns]]:
    """Start a name server for a zone; it runs to the end of the test."""
    with contextlib.ExitStack() as stack:
        yield lambda zone: stack.enter_context(local_dns(zone))


@pytest.fixture
def case(project: Project, ask: Callable[[Zone], LocalDns]) -> MakeCase:
    """Make a case of the sample project with a zone, its carrier's settings and others."""

    def make(zone: Zone | None = None, provider: Mapping[str, object] = SMTP, **settings: object) -> Case:
        changed = project.settings.model_copy(update={"provider": provider, **settings})
        examined = Project(project.root, changed, project.source)
        resolver = Resolver(ask(zone or {}).address, lifetime=2.0)
        return Case(examined, open_provider(provider, Path(project.root)), resolver, lambda: NOON)

    return make
