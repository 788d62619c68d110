"""E-mail addresses: which are accepted, which are the same, and which look mistyped."""

from __future__ import annotations

import re
import unicodedata
import urllib.parse
from dataclasses import dataclass
from functools import lru_cache

from newsletter.errors import NewsletterError
from newsletter.subscribers.names import shown

ONLY_SMTPUTF8 = "this address is reachable only by SMTPUTF8, which many servers do not speak"

_EDGES = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u00a0 \t\r\n"
_ANGLE = re.compile(r"(?P<name>[^<>]*)<(?P<address>[^<>]*)>", re.DOTALL)

_DOT_STRING = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_ROLES = frozenset(("info", "marketing", "sales", "support", "abuse", "noc", "security", "postmaster", "hostmaster",
    "usenet", "news", "webmaster", "www", "uucp", "ftp"))  # fmt: skip  # email-validator writes them in lower case

_WELL_KNOWN = frozenset(
    (
        "gmail.com",
        "googlemail.com",
        "hotmail.com",
        "hotmail.co.uk",
        "hotmail.fr",
        "outlook.com",
        "live.com",
        "msn.com",
        "yahoo.com",
        "yahoo.co.uk",
        "yahoo.fr",
        "ymail.com",
        "rocketmail.com",
        "icloud.com",
        "aol.com",
        "mail.com",
        "email.com",
        "protonmail.com",
        "proton.me",
        "fastmail.com",
        "gmx.com",
        "gmx.de",
        "gmx.net",
        "gmx.at",
        "gmx.ch",
        "web.de",
        "t-online.de",
        "orange.fr",
        "wanadoo.fr",
        "laposte.net",
        "free.fr",
        "mail.ru",
        "yandex.ru",
        "riseup.net",
        "tutanota.com",
        "zoho.com",
        "qq.com",
        "163.com",
    )
)
# Endings that are no domains (IANA root zone, 2026-11) or that nearly nobody has an address under.
_ENDINGS = {
    "con": "com", "cmo": "com", "ocm": "com", "vom": "com", "comm": "com", "cpm": "com", "coom": "com", "xom": "com",
    "ogr": "org", "orgg": "org", "rog": "org", "prg": "org", "nte": "net", "ent": "net", "nett": "net", "eud": "edu",
}  # fmt: skip


class AddressError(NewsletterError):
    """A text that is not an address mail can be sent to."""


@dataclass(frozen=True, slots=True)
class Address:
    """An accepted address. `text` is kept, `folded` decides who is the same, `hints` are for a person to judge."""

    text: str
    folded: str
    hints: tuple[str, ...] = ()


def read_address(raw: str) -> Address:
    """Accept an address without asking the network. Raises AddressError, which says what is wrong with it.

    The rules are email-validator's (RFC 5321, 5322, 6531 without the obsolete forms), after NFKC, so that full-width
    letters are the letters they look like. The domain is compared by its A-labels and the local part without regard to
    case: servers that tell Ann from ann exist on paper only.
    """

    trimmed = raw.strip(_EDGES)
    text = unicodedata.normalize("NFKC", trimmed)
    if not text:
        raise AddressError("there is no address; write it like name@example.org")
    try:
        local, domain = _plain(text) or _validated(text)
    except ValueError as error:  # what email-validator raises
        raise AddressError(_refusal(text, error)) from None
    accepted = f"{local}@{domain.text}"
    hints = []
    if text != unicodedata.normalize("NFC", trimmed):
        hints.append(f"read as {accepted}")
    if domain.likely:
        hints.append(f"did you mean {domain.likely}?")
    if not local.isascii():
        hints.append(ONLY_SMTPUTF8)
    return Address(accepted, f"{fold_local(local)}@{domain.ascii}", tuple(hints))


@dataclass(frozen=True, slots=True)
class _Domain:
    """A domain that email-validator accepted: as it is shown, in A-labels, and what it may be a slip of."""

    text: str
    ascii: str
    likely: str | None


def _validated(text: str) -> tuple[str, _Domain]:
    from email_validator import validate_email  # noqa: PLC0415 - 30 ms that few commands need

    found = validate_email(text, check_deliverability=False, test_environment=False, strict=True)
    return found.local_part, _Domain(found.domain, found.ascii_domain, likely_domain(found.ascii_domain))


def _plain(text: str) -> tuple[str, _Domain] | None:
    """Take a short cut where the part before the @ is a plain Dot-string (RFC 5321, 4.1.2): a long file names the same
    few domains again and again, and they need to be looked at only once."""
    local, _, domain = text.partition("@")
    if len(local) > 64 or len(text) > 200 or not _DOT_STRING.fullmatch(local) or local.casefold() in _ROLES:
        return None
    return local, _domain(domain)


@lru_cache(maxsize=8192)
def _domain(domain: str) -> _Domain:
    return _validated(f"a@{domain}")[1]


def fold_local(local: str) -> str:
    """Fold a local part so that spellings of one mailbox are equal."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", local).casefold())


def unwrap(raw: str) -> tuple[str, str]:
    """Take name and address out of `Name <a@example.org>` and `mailto:a@example.org?subject=x`."""
    text, name = raw.strip(_EDGES), ""
    angle = _ANGLE.fullmatch(text)
    if angle:
        name, text = angle["name"].strip().strip('"').strip(), angle["address"].strip(_EDGES)
    if text[:7].casefold() == "mailto:":
        text = urllib.parse.unquote(text[7:].partition("?")[0])
    return name, text


@lru_cache(maxsize=4096)
def likely_domain(domain: str) -> str | None:
    """Return the well-known domain that this one looks like a slip of, if it does. Never applied by itself."""
    if domain in _WELL_KNOWN:
        return None
    stem, _, ending = domain.rpartition(".")
    mended = f"{stem}.{_ENDINGS[ending]}" if ending in _ENDINGS else domain
    if mended in _WELL_KNOWN:
        return mended
    near = [known for known in sorted(_WELL_KNOWN) if len(known) >= 8 and _one_slip(mended, known)]
    if near:
        return near[0]
    return mended if mended != domain else None


def _one_slip(typed: str, meant: str) -> bool:
    """Say whether one letter too many, too few, wrong, or two swapped, make one into the other."""
    start = next((i for i, (a, b) in enumerate(zip(typed, meant, strict=False)) if a != b), min(len(typed), len(meant)))
    left, right = typed[start:], meant[start:]
    return (
        left[1:] == right[1:]
        or left[1:] == right
        or left == right[1:]
        or (left[:2] == right[1::-1] and left[2:] == right[2:])
    )


def _refusal(text: str, error: Exception) -> str:
    reason = " ".join(str(error).split()).rstrip(".")
    return f"'{shown(text)}' is not an address mail can be sent to: {reason[:1].lower()}{reason[1:]}"
