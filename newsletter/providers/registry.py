"""Which carriers there are, and the way from the settings file to one of them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from newsletter.config import SETTINGS_FILE
from newsletter.errors import Fault, FaultsError, NewsletterError
from newsletter.providers.base import Provider
from newsletter.providers.brevo import Brevo
from newsletter.providers.mailchimp import Mailchimp
from newsletter.providers.mailgun import Mailgun
from newsletter.providers.mailjet import Mailjet
from newsletter.providers.outbox import Outbox
from newsletter.providers.postmark import Postmark
from newsletter.providers.resend import Resend
from newsletter.providers.sendgrid import Sendgrid
from newsletter.providers.ses import Ses
from newsletter.providers.ses_bulk import SesBulk
from newsletter.providers.smtp import Smtp
from newsletter.source import Location, Source, validate

PROVIDERS: dict[str, type[Provider]] = {
    "outbox": Outbox,
    "smtp": Smtp,
    "mailgun": Mailgun,
    "ses": Ses,
    "ses-bulk": SesBulk,
    "postmark": Postmark,
    "mailchimp": Mailchimp,
    "brevo": Brevo,
    "resend": Resend,
    "mailjet": Mailjet,
    "sendgrid": Sendgrid,
}


def open_provider(settings: Mapping[str, Any], root: Path, read: Source | None = None) -> Provider:
    """Make the carrier that the settings name; nothing is connected yet.

    `settings` is what stands below `provider:` in the settings file, and `read` that file, so that a fault can tell its
    line. Raises FaultsError for what the settings say, NewsletterError for a secret that cannot be had.
    """
    below = _below_provider(settings, read)
    kind = _kind(settings, below)
    try:
        checked = validate(kind.settings, below)
    except FaultsError as error:
        if read is None:
            messages = "\n".join(f"{SETTINGS_FILE}: provider: {fault.message}" for fault in error.faults)
            raise NewsletterError(messages) from None
        raise
    return kind.open(checked, root)


def _below_provider(settings: Mapping[str, Any], read: Source | None) -> Source:
    lines: dict[Location, int] = {}
    file = SETTINGS_FILE
    if read is not None:
        lines = {location[1:]: line for location, line in read.lines.items() if location[:1] == ("provider",)}
        file = read.file
    return Source(file, b"", dict(settings), lines)


def _kind(settings: Mapping[str, Any], below: Source) -> type[Provider]:
    name = settings.get("name")
    if isinstance(name, str) and name in PROVIDERS:
        return PROVIDERS[name]
    known = ", ".join(PROVIDERS)
    if name is None:
        message = f"'name' is missing below 'provider'; write one of: {known}"
    else:
        near = difflib.get_close_matches(str(name), PROVIDERS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known are: {known}"
        message = f"there is no provider '{name}'; {hint}"
    if below.lines:
        raise FaultsError([Fault(below.file, below.line(("name",)), message)])
    raise NewsletterError(f"{below.file}: {message}")
