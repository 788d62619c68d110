"""The headers of a mailing: those that are the same for all readers, and those a reader's values go into.

Long structured headers stand on a line of their own as they are: folded into encoded words, as Python's `email` does
it, Gmail does not read them (CPython issue 85725).
"""

from __future__ import annotations

import datetime as dt
import email.utils
import re
import urllib.parse

from newsletter.config import Newsletter
from newsletter.edition.model import Edition
from newsletter.errors import NewsletterError
from newsletter.mailing import encode

Header = tuple[str, str]

LONGEST_URL = 900  # with its header's name and brackets it fits on a line of 998


def known_list(settings: Newsletter, list_name: str) -> None:
    """Raise NewsletterError when the settings do not know a list."""
    if list_name not in settings.lists:
        known = ", ".join(settings.lists)
        raise NewsletterError(f"newsletter.yaml: there is no list '{list_name}'; the lists are: {known}")


def shared(edition: Edition, settings: Newsletter, list_name: str, date: dt.datetime, mark: str = "") -> list[Header]:
    """Make the headers every copy of a mailing has. `mark` stands before the subject of a test message."""
    owner = reply_to(settings)
    archive = encode.ascii_url(settings.archive_url)
    return [
        ("From", from_(settings)),
        ("Reply-To", owner),
        ("Subject", encode.unstructured(mark + edition.subject)),
        ("Date", email.utils.format_datetime(date.astimezone(dt.UTC))),
        *list_headers(settings, list_name),
        ("List-Archive", f"<{archive}>"),
        ("Feedback-ID", feedback_id(edition.slug, list_name, settings)),
        ("Content-Language", edition.language),
    ]


def multipart(boundary: str) -> list[Header]:
    """Make the headers of a message in two forms, text and html."""
    return [("MIME-Version", "1.0"), ("Content-Type", f'multipart/alternative; boundary="{boundary}"')]


def from_(settings: Newsletter) -> str:
    """Return the From of every mail."""
    return encode.mailbox(settings.sender.name, encode.ascii_address(settings.sender.address))


def reply_to(settings: Newsletter) -> str:
    """Return the address that answers go to."""
    return encode.ascii_address(settings.reply_to or settings.sender.address)


def list_headers(settings: Newsletter, list_name: str) -> list[Header]:
    """Make what mail programs read of a list (RFC 2369, RFC 2919)."""
    owner = reply_to(settings)
    title = settings.lists[list_name].title
    host = urllib.parse.urlsplit(encode.ascii_url(settings.url)).hostname
    identity = f"<{list_name}.{host}>"
    described = encode.phrase(title)
    return [
        ("List-Id", identity if "=?" in described else f"{described} {identity}"),
        ("List-Help", f"<mailto:{owner}?subject=help>"),
        ("List-Owner", f"<mailto:{owner}>"),
        ("Precedence", "list"),
    ]


def leave_mail(settings: Newsletter) -> str:
    """Return where a reader may write to leave; their token goes at the end.

    The mail's subject carries it, so that a reader who writes from another address can be found.
    """
    return f"mailto:{reply_to(settings)}?subject=unsubscribe%20"


def unsubscribe(mail: str, url: str, token: str) -> list[Header]:
    """Make the headers a reader leaves by (RFC 8058): one https address for the one click, and a mail address."""
    return [
        ("List-Unsubscribe", f"<{url}>,\r\n <{mail}{token}>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
    ]


def feedback_id(slug: str, list_name: str, settings: Newsletter) -> str:
    """Make the Feedback-ID that Gmail groups complaints by: issue, list, kind, and a sender's id of 5-15 characters."""
    sender = re.sub(r"[^a-z0-9]", "", settings.domain.lower())[:15].ljust(5, "0")
    return f"{slug}:{list_name}:newsletter:{sender}"


def lines(headers: list[Header]) -> bytes:
    """Join headers to bytes. Raises NewsletterError for one that would not be legal."""
    out = []
    for name, value in headers:
        text = f"{name}: {value}\r\n"
        folded = text.removesuffix("\r\n").split("\r\n ")
        if not text.isascii() or any(re.search("[\r\n\0]", line) for line in folded):
            raise NewsletterError(f"the header {name} cannot be written: it holds a line break or is not ASCII")
        if max(map(len, folded)) > encode.MAX_HEADER_LINE:
            raise NewsletterError(f"the header {name} is longer than {encode.MAX_HEADER_LINE} characters: shorten it")
        out.append(text.encode("ascii"))
    return b"".join(out)
