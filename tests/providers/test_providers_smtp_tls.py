from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from components import component
from provider_contract import SECRET, envelope
from smtp_servers import HANG_UP, ScriptedServer

from newsletter.providers.base import Outcome, ProviderStoppedError
from newsletter.providers.registry import open_provider
from newsletter.providers.smtp import Smtp

FEATURES = ("PIPELINING", "STARTTLS", "AUTH PLAIN")


@dataclass(frozen=True)
class Certificate:
    """A certificate for 127.0.0.1 that no list of authorities knows."""

    file: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file, self.key)
        return context


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("tls")
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    openssl = component("openssl")
    command = f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=scripted"
    names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", made.key, "-out", made.file]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    return made


@dataclass
class Opening:
    server: ScriptedServer
    carrier: Smtp


@pytest.fixture
def opened(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Make a server and a carrier for it; both are closed after the test."""
    monkeypatch.setenv("SMTP_PASSWORD", SECRET)
    openings: list[Opening] = []

    def make(
        security: str,
        offers: Literal["none", "starttls", "tls"] = "none",
        features: tuple[str, ...] = FEATURES,
        replies: dict[str, list[str]] | None = None,
        **settings: object,
    ) -> Opening:
        server = ScriptedServer(replies, features, certificate.context(), offers)
        server.__enter__()
        given = {"name": "smtp", "host": "127.0.0.1", "port": str(server.port), "timeout": "5", "security": security}
        carrier = open_provider({**given, "ca": str(certificate.file), **settings}, Path("/"))
        assert isinstance(carrier, Smtp)
        openings.append(Opening(server, carrier))
        return openings[-1]

    yield make
    for opening in openings:
        opening.carrier.close()
        opening.server.__exit__()


LOG_IN = {"username": "weekly", "password": "env:SMTP_PASSWORD"}


def test_the_password_and_the_message_travel_only_after_starttls(opened) -> None:
    it = opened("starttls", **LOG_IN)
    assert it.carrier.deliver(envelope(1)).outcome is Outcome.ACCEPTED
    assert it.server.verbs() == ["EHLO", "STARTTLS", "EHLO", "AUTH", "MAIL", "RCPT", "DATA"]
    assert it.server.credentials == [f"\0weekly\0{SECRET}"]
    assert it.server.messages == [envelope(1).data]


def test_tls_from_the_start_carries_large_messages_too(opened) -> None:
    it = opened("tls", "tls", **LOG_IN)
    large = b"Subject: x\r\n\r\n" + (b"x" * 70 + b"\r\n") * 5000
    for reader in (1, 2):
        assert it.carrier.deliver(envelope(reader, data=large)).outcome is Outcome.ACCEPTED
    assert it.server.messages == [large, large]
    assert it.server.connections == 1


def test_a_lost_reply_over_tls_is_unknown(opened) -> None:
    it = opened("tls", "tls", replies={".": [HANG_UP]})
    assert it.carrier.deliver(envelope(1)).outcome is Outcome.UNKNOWN
    assert it.carrier.deliver(envelope(2)).outcome is Outcome.ACCEPTED


def test_a_server_without_the_starttls_that_is_asked_for_gets_nothing(opened) -> None:
    it = opened("starttls", features=("AUTH PLAIN",), **LOG_IN)
    with pytest.raises(ProviderStoppedError, match="does not offer STARTTLS"):
        it.carrier.deliver(envelope(1))
    assert it.server.verbs() == ["EHLO"]


def test_a_refused_starttls_gets_nothing(opened) -> None:
    it = opened("starttls", replies={"STARTTLS": ["454 TLS not available"]}, **LOG_IN)
    assert it.carrier.deliver(envelope(1)).outcome is Outcome.DEFERRED
    assert it.server.credentials == []


def test_a_certificate_nobody_vouches_for_stops_the_run(opened) -> None:
    for security, offers in (("starttls", "none"), ("tls", "tls")):
        it = opened(security, offers, ca=None, **LOG_IN)
        with pytest.raises(ProviderStoppedError, match="its certificate is not valid: self"):
            it.carrier.deliver(envelope(1))
        assert it.server.credentials == []


def test_a_certificate_for_another_name_stops_the_run(opened) -> None:
    it = opened("starttls", host="127.1")
    with pytest.raises(ProviderStoppedError, match=r"its certificate is not valid: .*127\.1"):
        it.carrier.deliver(envelope(1))
    assert it.server.verbs() == ["EHLO", "STARTTLS"]


def test_tls_from_the_start_to_a_server_that_speaks_plainly_is_explained(opened) -> None:
    it = opened("tls", "none")
    with pytest.raises(ProviderStoppedError, match="'security: starttls' may be right"):
        it.carrier.deliver(envelope(1))


def test_a_file_of_authorities_that_is_none_stops_the_run(opened, tmp_path: Path) -> None:
    for name, content in (("missing.pem", None), ("empty.pem", b"nothing here")):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        for security in ("starttls", "tls"):
            it = opened(security, "none", ca=str(tmp_path / name))
            with pytest.raises(ProviderStoppedError, match=f"{name}: no certificates can be read from it"):
                it.carrier.deliver(envelope(1))


def test_a_server_that_hangs_up_in_the_handshake_defers(opened) -> None:
    it = opened("tls", "none", replies={"CONNECT": [HANG_UP]})
    assert it.carrier.deliver(envelope(1)).outcome is Outcome.DEFERRED
