"""What is on other machines: the carrier, and the pages that every mail links to."""

from __future__ import annotations

import email.utils
from collections.abc import Iterator

from newsletter.doctor.case import Case
from newsletter.doctor.here import clock_note
from newsletter.doctor.note import Note
from newsletter.errors import TryLaterError
from newsletter.providers.base import ProviderStoppedError
from newsletter.providers.http import NoAnswer, Request, Web
from newsletter.providers.outbox import Outbox

_PATIENCE = 10.0  # seconds


def examine_carrier(case: Case) -> Iterator[Note]:
    """Ask the carrier whether it lets us in; nothing is sent."""
    if case.provider is None:
        return
    named = case.provider.describe()
    if isinstance(case.provider, Outbox):
        yield Note("warn", "carrier", f"{named}: no mail leaves", "name a carrier below 'provider' (docs/settings.md)")
        return
    try:
        said = case.provider.probe()
    except ProviderStoppedError as error:
        yield Note("fail", "carrier", str(error), "check the key, name and address below 'provider'")
    except TryLaterError as error:
        yield Note("warn", "carrier", str(error), "try again later")
    else:
        yield Note("ok", "carrier", f"{named}: {said or 'it cannot be asked without sending'}")
    finally:
        case.provider.close()


def examine_pages(case: Case) -> Iterator[Note]:
    """Fetch the archive's first page, for what it says and for the time its server has."""
    url = case.project.settings.archive_url
    web = Web(connect_timeout=_PATIENCE, read_timeout=_PATIENCE)
    try:
        answer = web.ask(Request("GET", url))
    except ProviderStoppedError as error:
        yield Note("fail", "pages", f"{url}: {error}", "readers cannot open their links until that is mended")
        return
    finally:
        web.close()
    if isinstance(answer, NoAnswer):
        yield Note("warn", "pages", f"{url} does not answer", "every mail links there; see that the web site is up")
        return
    if answer.status == 200:
        yield Note("ok", "pages", f"{url} is there")
    else:
        advice = "publish the archive: newsletter archive build"
        yield Note("warn", "pages", f"{url} answers {answer.status}", advice)
    try:
        theirs = email.utils.parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return
    if theirs.tzinfo is not None:
        yield clock_note(case.clock(), theirs, url)
