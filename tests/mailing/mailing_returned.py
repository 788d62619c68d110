"""Messages that come back, as mail servers write them; `to` is the return path with the reader's mark in it."""

from __future__ import annotations

from collections.abc import Callable

GONE = "Final-Recipient: rfc822; ann@example.com\nAction: failed\nStatus: 5.1.1\nRemote-MTA: dns; mx.example.com\n"
FULL = "Final-Recipient: rfc822; ann@example.com\nAction: failed\nStatus: 5.2.2\nDiagnostic-Code: smtp; 552 full\n"
LATE = "Final-Recipient: rfc822; ann@example.com\nAction: delayed\nStatus: 4.4.1\nWill-Retry-Until: tomorrow\n"
ABUSE = "Feedback-Type: abuse\nUser-Agent: Loop/1.0\nVersion: 1\n"


def part(kind: str, content: str) -> str:
    return f"--=_b\nContent-Type: {kind}\n\n{content}\n"


def message(headers: str, *parts: str, kind: str = "report; report-type=delivery-status") -> bytes:
    top = f'{headers}From: Mail Server <postmaster@example.com>\nContent-Type: multipart/{kind}; boundary="=_b"\n\n'
    return f"{top}{''.join(parts)}--=_b--\n".encode()


def copy(to: str) -> str:
    """What a server returns of the message."""
    return f"Return-Path: <{to}>\nFrom: The Weekly <weekly@example.org>\nSubject: The week\n"


def postfix(to: str, *groups: str, name: str = "<one@mx.example.org>") -> bytes:
    said = "\n".join(["Reporting-MTA: dns; mx.example.org\nArrival-Date: Fri, 22 Apr 2016 12:00:00 +0000\n", *groups])
    return message(
        f"Return-Path: <>\nX-Original-To: {to}\nDelivered-To: {to}\nMessage-ID: {name}\nAuto-Submitted: auto-replied\n",
        part("text/plain", "This is the mail server. It could not be delivered.\n"),
        part("message/delivery-status", said),
        part("text/rfc822-headers", copy(to)),
    )


def sendmail(to: str, *groups: str) -> bytes:
    said = "\n".join(["Reporting-MTA: dns; mail.example.com\nReceived-From-MTA: DNS; mx.example.org\n", *groups])
    return message(
        f"To: <{to}>\nSubject: Returned mail: see transcript for details\n",
        part("text/plain", "The following addresses had permanent fatal errors\n"),
        part("message/delivery-status", said.replace("5.1.1", "5.1.1 (no such user)")),
        part("message/rfc822", copy(to) + "\nLead\n"),
    )


def exchange(to: str, *groups: str) -> bytes:
    said = "\n".join(["Reporting-MTA: dns;MAIL01.example.com\n", *groups])
    return message(
        f"Envelope-To: {to.upper()}\nTo: <{to.upper()}>\n",
        part("text/html; charset=us-ascii", "<p>Delivery has failed to these recipients</p>"),
        part("message/delivery-status", said.replace(": ", ":").replace("failed", "Failed")),
    ).replace(b"\n", b"\r\n")


def behind_an_alias(to: str, *groups: str) -> bytes:
    """Of a server that drops what stands behind the +: only the returned headers tell."""
    return postfix(to, *groups).replace(f"To: {to}".encode(), b"To: bounces@example.org")


def within_a_footer(to: str, *groups: str) -> bytes:
    """Of a gateway that puts the whole report into another multipart."""
    head, body = postfix(to, *groups).split(b"Content-Type: multipart/report", 1)
    inner = b"Content-Type: multipart/report" + body
    top = b'Content-Type: multipart/mixed; boundary="=_top"\n\n--=_top\n'
    return head + top + inner + b"\n--=_top\nContent-Type: text/plain\n\nScanned.\n--=_top--\n"


def worldwide(to: str, *groups: str) -> bytes:
    """A report about an address that is not ASCII (RFC 6533)."""
    return postfix(to, *groups).replace(b"message/delivery-status", b"message/global-delivery-status")


SHAPES: tuple[Callable[..., bytes], ...] = (postfix, sendmail, exchange, behind_an_alias, within_a_footer, worldwide)


def complaint(to: str, said: str = ABUSE) -> bytes:
    return message(
        "To: abuse@example.org\nSubject: FW: The week\n",
        part("text/plain", "This is an abuse report.\n"),
        part("message/feedback-report", f"{said}Original-Mail-From: <{to}>\n"),
        part("message/rfc822", copy(to).partition("\n")[2] + "\nLead\n"),
        kind="report; report-type=feedback-report",
    )


def answer(to: str) -> bytes:
    """Somebody is away (RFC 3834)."""
    return (
        f"To: {to}\nFrom: ann@example.com\nAuto-Submitted: auto-replied (vacation)\nSubject: Away\n\nBack in May.\n"
    ).encode()


def words(to: str) -> bytes:
    """A bounce that no machine can read."""
    return f"To: {to}\nFrom: MAILER-DAEMON@example.com\nSubject: failure notice\n\n<ann@example.com>: 550 no\n".encode()
