"""Reads the From header that a batch brings, for carriers that want the name and the address apart."""

from __future__ import annotations

import email.utils
from email.header import decode_header, make_header


def mailbox(header: str) -> tuple[str, str]:
    """Return display name and address of 'Name <address>'; encoded words (RFC 2047) are decoded. No name is ""."""
    name, address = email.utils.parseaddr(header)
    return str(make_header(decode_header(name))), address
