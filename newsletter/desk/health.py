"""Health on the desk: everything a send depends on, looked at before it is needed."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.desk.project import Clock, Desk, clock
from newsletter.doctor.case import Case
from newsletter.doctor.dns import Resolver
from newsletter.doctor.examine import examine
from newsletter.doctor.note import Note
from newsletter.errors import NewsletterError
from newsletter.providers.base import Provider
from newsletter.providers.registry import open_provider


def look(desk: Desk, resolver: str | None, now: Clock = clock) -> Iterator[Note]:
    """Yield what an examination notes, as it goes on; `resolver` is a name server to ask instead of the system's.

    Raises NewsletterError when there is no name server to ask.
    """
    project = desk.project
    asked = Resolver(resolver)
    provider: Provider | None = None
    try:
        provider = open_provider(project.settings.provider, project.root, project.source)
    except NewsletterError as error:  # a key that is missing, or that others can read, is one of the things looked for
        yield Note("fail", "carrier", str(error), "mend that first; nothing can be sent without it")
    try:
        yield from examine(Case(project, provider, asked, now))
    finally:
        if provider is not None:
            provider.close()
