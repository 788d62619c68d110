"""Reads a composed message back as strictly as a wire and an inbox would."""

from __future__ import annotations

import email
import email.policy
import re
from email.message import EmailMessage

from mailing_house import NOON, edition, settings

from newsletter.edition.model import Edition
from newsletter.mailing.message import Compiler

SECRET = b"a secret only the tests know"
KEY = "2016-04-22-weekly"


def compiler(issue: Edition | None = None, mark: str = "", **changes: object) -> Compiler:
    return Compiler(issue or edition(), settings(**changes), "weekly", SECRET, KEY, NOON, mark=mark)


def parse(data: bytes) -> EmailMessage:
    """Parse a message strictly, after seeing that every byte of it is fit for the wire."""
    assert re.search(rb"(?<!\r)\n|\r(?!\n)|\0|[\x80-\xff]", data) is None
    assert b"\r\n." not in data  # which is what Envelope.dotless says
    assert not data.startswith(b".")
    head, _, body = data.partition(b"\r\n\r\n")
    assert max(map(len, head.split(b"\r\n"))) <= 998
    lines = body.split(b"\r\n")
    encoded = [line for line in lines if not line.startswith((b"--=_", b"Content-"))]
    assert max(map(len, encoded)) <= 76
    assert not any(line.startswith((b".", b"From ")) or line.endswith((b" ", b"\t")) for line in encoded)
    parsed = email.message_from_bytes(data, policy=email.policy.SMTP)
    assert isinstance(parsed, EmailMessage)
    assert parsed.defects == []
    for part in parsed.walk():
        assert part.defects == []
    return parsed
