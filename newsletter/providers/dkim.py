"""DKIM: the fields that say who answers for a message (RFC 6376, relaxed/relaxed), by RSA and Ed25519 (RFC 8463).

A carrier with keys has a Signer. Whoever composes messages makes a Seal of it for a mailing, once, and asks that for
the fields of each message; neither looks at a message itself, so that what is the same for all is made only once.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator

from newsletter.config import SETTINGS_FILE, SecretReference, Settings, resolve_secret
from newsletter.errors import NewsletterError
from newsletter.source import refused

FEWEST_BITS = 1024  # of an RSA key; verifiers refuse less (RFC 8301, 3.2)
GOOD_BITS = 2048  # what signers should use (RFC 8301, 3.2)

Algorithm = Literal["rsa-sha256", "ed25519-sha256"]

_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_LONGEST_NAME = 200  # the system's own limit is 253, for selector and domain together
_LINE = 72  # columns of a folded line, about
_BLANKS = re.compile(rb"[ \t]+")
_BLANKS_AT_ENDS = re.compile(rb"[ \t]+\r\n")
_FOLDS = re.compile(rb"[ \t\r\n]+")


def _dns_name(value: str) -> str:
    lower = value.lower()
    if not re.fullmatch(rf"{_LABEL}(\.{_LABEL})*", lower) or len(lower) > _LONGEST_NAME:
        raise refused(f"'{value}' cannot be a name in the domain name system; use a-z, 0-9, hyphens and dots")
    return lower


DnsName = Annotated[str, AfterValidator(_dns_name)]


class DkimSettings(Settings):
    """`{selector: 2026a, key: "file:dkim.pem"}`: a key that signs for `domain`, left out: for the sender's."""

    selector: DnsName
    domain: DnsName | None = None
    key: SecretReference


@dataclass(frozen=True)
class Key:
    """A private key with its place in the domain name system; `domain` is None for the sender's own."""

    selector: str
    domain: str | None
    algorithm: Algorithm
    bits: int
    public: str  # as the record's p= has it
    sign: Callable[[bytes], bytes] = field(repr=False)

    @property
    def record(self) -> str:
        """The text of the TXT record at <selector>._domainkey.<domain>."""
        return f"v=DKIM1; k={self.algorithm.removesuffix('-sha256')}; p={self.public}"


@dataclass(frozen=True)
class Signer:
    """The keys that every message is signed with, each in a field of its own."""

    keys: tuple[Key, ...]

    def seal(self, names: Sequence[str], moment: int, domain: str) -> Seal:
        """Prepare a mailing: the names of the fields it signs in their order, its time, the sender's domain.

        A name that stands once more than the messages have it keeps others from adding one (RFC 6376, 8.15).
        """
        starts = [(key, _start(key, names, moment, key.domain or domain)) for key in self.keys]
        return Seal(tuple((key, start, relaxed_field(start)) for key, start in starts))


@dataclass(frozen=True)
class Seal:
    """What is the same in the signatures of one mailing: for each key its field up to `bh=`, as it stands and relaxed.

    The time in it is the mailing's, so that the same message has the same bytes on every attempt: neither way of
    signing has anything random.
    """

    _starts: tuple[tuple[Key, bytes, bytes], ...]

    def fields(self, signed: bytes, body_hash: bytes) -> bytes:
        """Return the DKIM-Signature fields of a message, ready to stand before its other fields.

        `signed` are its fields in the order of their names, each made by `relaxed_field` and ended with CRLF, and
        `body_hash` is the SHA-256 of its body made by `relaxed_lines`.
        """
        hashed = base64.b64encode(body_hash)
        made = []
        for key, start, relaxed in self._starts:
            signature = base64.b64encode(key.sign(b"%b%b%b; b=" % (signed, relaxed, hashed)))
            lines = [signature[n : n + _LINE] for n in range(0, len(signature), _LINE)]
            made.append(b"%b%b;\r\n b=%b\r\n" % (start, hashed, b"\r\n ".join(lines)))
        return b"".join(made)


def _start(key: Key, names: Sequence[str], moment: int, domain: str) -> bytes:
    parts = (
        f"DKIM-Signature: v=1; a={key.algorithm}; c=relaxed/relaxed;",
        f"d={domain}; s={key.selector}; t={moment};",
        *_wrapped(f"h={':'.join(names)};"),
        "bh=",
    )
    return "\r\n ".join(parts).encode("ascii")


def _wrapped(names: str) -> Iterable[str]:
    """Break a list of names behind a colon, where white space may stand (RFC 6376, 3.5)."""
    while len(names) > _LINE and ":" in names[:_LINE]:
        stop = names.rindex(":", 0, _LINE) + 1
        yield names[:stop]
        names = names[stop:]
    yield names


def relaxed_field(line: bytes) -> bytes:
    """Canonicalise `Name: value`, which may be folded (RFC 6376, 3.4.2). No line end is added."""
    name, _, value = line.partition(b":")
    value = value.strip(b" \t\r\n")
    if b"\r" in value or b"\n" in value or b"\t" in value or b"  " in value:
        value = _FOLDS.sub(b" ", value)
    return b"%b:%b" % (name.lower().rstrip(b" \t"), value)


def relaxed_lines(lines: bytes) -> bytes:
    """Canonicalise lines of a body, each whole and with its CRLF (RFC 6376, 3.4.4); the last one is not empty.

    Every line is canonicalised for itself, so that parts of a body may be joined before this or after.
    """
    if b" \r\n" in lines or b"\t" in lines:
        lines = _BLANKS_AT_ENDS.sub(b"\r\n", lines)
    return _BLANKS.sub(b" ", lines) if b"  " in lines or b"\t" in lines else lines


def open_signer(settings: Sequence[DkimSettings], root: Path) -> Signer | None:
    """Read the keys that the settings name; None when they name none.

    Raises NewsletterError for a key that is not there, that others can read, or that is of no use.
    """
    return Signer(tuple(_read_key(one, root) for one in settings)) if settings else None


def _read_key(settings: DkimSettings, root: Path) -> Key:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - only who signs pays for it
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - the same

    pem = resolve_secret(settings.key, root)
    try:
        private = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # nothing of the reason is repeated: it may show the key
        raise NewsletterError(f"{_named(settings)} is no private key in PEM without a password") from None
    return _usable(settings, private)


def _usable(settings: DkimSettings, private: object) -> Key:
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa  # noqa: PLC0415

    if isinstance(private, ed25519.Ed25519PrivateKey):
        raw = private.public_key().public_bytes_raw()

        def sign_by_ed25519(data: bytes) -> bytes:  # RFC 8463, 3: the hash is what is signed
            return private.sign(hashlib.sha256(data).digest())

        return _key(settings, "ed25519-sha256", 256, raw, sign_by_ed25519)
    if not isinstance(private, rsa.RSAPrivateKey):
        raise NewsletterError(f"{_named(settings)} is neither an RSA nor an Ed25519 key, and verifiers know no others")
    if private.key_size < FEWEST_BITS:
        raise NewsletterError(f"{_named(settings)} has {private.key_size} bits; make one of {GOOD_BITS}")
    scheme, algorithm = padding.PKCS1v15(), hashes.SHA256()
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    public = private.public_key().public_bytes(encoding, form)
    return _key(settings, "rsa-sha256", private.key_size, public, lambda data: private.sign(data, scheme, algorithm))


def _key(settings: DkimSettings, algorithm: Algorithm, bits: int, public: bytes, sign: Callable[[bytes], bytes]) -> Key:
    text = base64.b64encode(public).decode("ascii")
    return Key(settings.selector, settings.domain, algorithm, bits, text, sign)


def _named(settings: DkimSettings) -> str:
    return f"{SETTINGS_FILE}: provider: dkim: the key of '{settings.selector}' ({settings.key})"
