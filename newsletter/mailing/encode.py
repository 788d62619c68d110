"""Encodes text for mail: quoted-printable pieces that may be joined freely, names, addresses and web addresses.

An encoded piece starts at the beginning of a line and ends with a line's end, hard or soft, so that any pieces put one
after the other are again legal quoted-printable (RFC 2045, 6.7).
"""

from __future__ import annotations

import base64
import html
import re
import urllib.parse
from collections.abc import Iterator

MAX_LINE = 76  # RFC 2045, 6.7 (5): without the line end, with the "=" of a soft break
MAX_HEADER_LINE = 998  # RFC 5322, 2.1.1

SOFT_BREAK = "=\r\n"
HARD_BREAK = "\r\n"

_SAFE = frozenset(b"\t" + bytes(range(32, 127))) - frozenset(b"=")
_QUOTED = {code: f"={code:02X}" for code in range(256) if code not in _SAFE}
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")  # RFC 5322, 3.2.3
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_PLAIN_ADDRESS = re.compile(r"[!-;=?-~]+@[A-Za-z0-9.-]+")
_LONGEST_PHRASE = 60
_WORD_BYTES = 39  # 52 characters of base64 and 12 around them: with "Subject: " under the 76 of RFC 2047, 2


def quote_piece(text: str) -> bytes:
    r"""Encode a piece of a body. Its line breaks may be \n, \r\n or \r, and leave as CRLF."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    *lines, rest = text.split("\n")
    out: list[str] = []
    for line in lines:
        out.extend(_wrap(_quote(line, hard=True), MAX_LINE))
        out.append(HARD_BREAK)
    if rest:
        out.extend(_wrap(_quote(rest, hard=False), MAX_LINE - 1))
        out.append(SOFT_BREAK)
    return "".join(out).encode("ascii")


def quote_value(value: str) -> bytes:
    """Encode a reader's value, on soft-broken lines of its own. An address of one or two lines takes no time."""
    plain = value.isascii() and value.isprintable() and "=" not in value
    if plain and 0 < len(value) < 2 * MAX_LINE - 1 and value[0] not in ".F":
        if len(value) < MAX_LINE:
            return f"{value}{SOFT_BREAK}".encode("ascii")
        if value[MAX_LINE - 1] not in ".F":
            return f"{value[: MAX_LINE - 1]}{SOFT_BREAK}{value[MAX_LINE - 1 :]}{SOFT_BREAK}".encode("ascii")
    return quote_piece(value)


def escape(value: str) -> str:
    """Make a value fit for html."""
    return html.escape(value, quote=True)


def _quote(line: str, *, hard: bool) -> str:
    quoted = line.encode("utf-8").decode("latin-1").translate(_QUOTED)
    if hard and quoted.endswith((" ", "\t")):  # transport may strip white space before a hard line break
        quoted = f"{quoted[:-1]}={ord(quoted[-1]):02X}"
    return quoted


def _wrap(line: str, room: int) -> Iterator[str]:
    """Break an encoded line softly. No line starts with a dot (SMTP would double it) or with 'From ' (mbox)."""
    start = 0
    while True:
        first = ""
        if line.startswith((".", "From "), start):
            first = f"={ord(line[start]):02X}"
            start += 1
        if len(line) - start + len(first) <= room:
            yield first + line[start:]
            return
        stop = start + MAX_LINE - 1 - len(first)
        if "=" in line[stop - 2 : stop]:  # never inside an "=XX"
            stop = line.rindex("=", 0, stop)
        yield f"{first}{line[start:stop]}{SOFT_BREAK}"
        start = stop


def clean(text: str) -> str:
    """Put a space for every run of line breaks and control characters: nothing can start a new header."""
    if text.isprintable():
        return text.strip()
    return _CONTROLS.sub(" ", text).strip()


def unstructured(text: str) -> str:
    """Encode the text of an unstructured header such as Subject; white space at its ends is dropped."""
    text = clean(text)
    if text.isascii() and "=?" not in text and len(text) < MAX_HEADER_LINE - 100:
        return text
    return encoded_words(text)


def phrase(text: str) -> str:
    """Encode a display name (RFC 5322, 3.2.5): bare, quoted, or in the encoded words of RFC 2047."""
    text = clean(text)
    if not text.isascii() or "=?" in text or len(text) > _LONGEST_PHRASE:
        return encoded_words(text)
    if _ATOMS.fullmatch(text) or not text:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def mailbox(name: str, address: str) -> str:
    """Write 'name <address>', or the address alone when there is no name."""
    encoded = phrase(name)
    if "=?" in encoded:  # a line with an encoded word ends by column 76
        return f"{encoded}\r\n <{address}>"
    return f"{encoded} <{address}>" if encoded else address


def encoded_words(text: str) -> str:
    """Encode text in RFC 2047 words, one a line, never splitting a character."""
    words: list[str] = []
    word = b""
    for character in text:
        following = character.encode("utf-8")
        if len(word) + len(following) > _WORD_BYTES:
            words.append(_word(word))
            word = b""
        word += following
    words.append(_word(word))
    return "\r\n ".join(words)


def _word(data: bytes) -> str:
    return f"=?utf-8?b?{base64.b64encode(data).decode('ascii')}?="


def unreachable(address: str) -> str | None:
    """Say why no carrier here can reach an address; None when it can be reached.

    A local part beyond ASCII needs SMTPUTF8 (RFC 6531) on the whole way, which nobody can promise for a list.
    """
    if _PLAIN_ADDRESS.fullmatch(address):
        return None
    local, separator, domain = address.rpartition("@")
    if not separator or not local or not domain:
        return "not reachable: this is no e-mail address"
    if not local.isascii():
        return "not reachable: the part before the @ is not ASCII, and carriers without SMTPUTF8 refuse it"
    if _CONTROLS.search(address) or re.search(r"[\s<>]", address):
        return "not reachable: the address holds a space, a bracket or a control character"
    try:
        ascii_domain(domain)
    except UnicodeError:
        return "not reachable: the part after the @ is not a domain"
    return None


def ascii_address(address: str) -> str:
    """Return an address with its domain in A-labels (RFC 5890). Raises UnicodeError for no domain."""
    if address.isascii():
        return address
    local, _, domain = address.rpartition("@")
    return f"{local}@{ascii_domain(domain)}"


def ascii_domain(domain: str) -> str:
    """Return a domain in A-labels. Raises UnicodeError (idna.IDNAError is one) for what is none."""
    if domain.isascii():
        return domain
    import idna  # noqa: PLC0415 - its tables are needed for international domains only

    return idna.encode(domain, uts46=True).decode("ascii")


def ascii_url(url: str) -> str:
    """Return a web address in ASCII: its host in A-labels, the rest percent-encoded."""
    if url.isascii():
        return url
    parts = urllib.parse.urlsplit(url)
    host = ascii_domain(parts.hostname or "") + (f":{parts.port}" if parts.port else "")
    path = urllib.parse.quote(parts.path, safe="/%:@!$&'()*+,;=~-._")
    return urllib.parse.urlunsplit((parts.scheme, host, path, "", ""))
