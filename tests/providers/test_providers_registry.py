from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from provider_contract import batch

from newsletter import source
from newsletter.errors import FaultsError, NewsletterError
from newsletter.providers import registry
from newsletter.providers.base import Batch, BatchCarrier, MessageCarrier, Outcome, Provider, Receipt, one_line
from newsletter.providers.mailgun import Mailgun
from newsletter.providers.outbox import Outbox
from newsletter.providers.registry import PROVIDERS, open_provider
from newsletter.providers.smtp import Smtp

KEY = "key-0123456789abcdef"


def opened(text: str, root: Path = Path()) -> Provider:
    """Open the provider of a settings file, as the command line does."""
    read = source.parse("newsletter.yaml", f"name: The Weekly\nprovider:\n{text}".encode())
    return open_provider(read.tree["provider"], root, read)


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILGUN_KEY", KEY)
    monkeypatch.setenv("SMTP_PASSWORD", KEY)


def test_every_provider_is_opened_by_what_the_format_page_shows(tmp_path: Path) -> None:
    outbox = opened("  {name: outbox, folder: outbox}", tmp_path)
    assert isinstance(outbox, Outbox)
    assert outbox.folder == tmp_path / "outbox"
    smtp = opened("  {name: smtp, host: 127.0.0.1, port: 25, security: none, username: u, password: env:SMTP_PASSWORD}")
    assert isinstance(smtp, Smtp)
    assert smtp.describe() == "smtp 127.0.0.1:25"
    mailgun = opened(
        '  {name: mailgun, domain: mg.example.org, key: env:MAILGUN_KEY, base_url: "https://api.mailgun.net"}'
    )
    assert isinstance(mailgun, Mailgun)
    assert mailgun.describe() == "mailgun mg.example.org (api.mailgun.net)"


def test_the_port_and_the_protection_follow_from_each_other() -> None:
    assert opened("  {name: smtp, host: mail.example.org}").describe() == "smtp mail.example.org:587"
    assert opened("  {name: smtp, host: mail.example.org, security: tls}").describe() == "smtp mail.example.org:465"
    assert opened("  {name: smtp, host: localhost}").describe() == "smtp localhost:25"
    assert opened("  {name: smtp, host: '::1'}").describe() == "smtp ::1:25"


def test_each_name_is_that_of_its_class() -> None:
    assert {name: kind.name for name, kind in PROVIDERS.items()} == {name: name for name in PROVIDERS}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("  name: mailgum", 3, "there is no provider 'mailgum'; did you mean 'mailgun'?"),
        ("  name: pigeon", 3, "there is no provider 'pigeon'; known are: outbox, smtp, mailgun"),
        ("  name: [outbox]", 3, "there is no provider '['outbox']'"),
        ("  folder: outbox", 2, "'name' is missing below 'provider'; write one of: outbox, smtp, mailgun"),
        ("  name: outbox\n  foldr: x", 4, "there is no key 'foldr' here; did you mean 'folder'?"),
        ("  name: smtp\n  port: 25", 2, "'host' is missing"),
        ("  name: smtp\n  host: a\n  port: 0", 5, "'port'"),
        ("  name: smtp\n  host: a\n  port: ten", 5, "'port'"),
        ("  name: smtp\n  host: a\n  security: ssl", 5, "'security'"),
        ("  name: smtp\n  host: a b", 4, "'host'"),
        ("  name: smtp\n  host: a\n  username: u", 2, "'username' and 'password' go together"),
        (
            "  name: smtp\n  host: mail.example.org\n  security: none\n  username: u\n  password: env:X",
            2,
            "the password would travel unprotected; write 'security: starttls' or 'security: tls'",
        ),
        ("  name: mailgun\n  domain: mg.example.org", 2, "'key' is missing"),
        ("  name: mailgun\n  domain: mg/../x\n  key: env:K", 4, "'domain'"),
        (
            "  name: mailgun\n  domain: mg.example.org\n  key: env:K\n  base_url: http://api.mailgun.net",
            6,
            "the key would travel unprotected; write an address that starts with https://",
        ),
        (
            "  name: mailgun\n  domain: mg.example.org\n  key: env:K\n  base_url: api.mailgun.net",
            6,
            "this is not a base address; write it like https://api.example.org",
        ),
    ],
)
def test_a_fault_in_the_settings_is_a_line_that_says_what_to_write(text: str, line: int, message: str) -> None:
    with pytest.raises(FaultsError) as caught:
        opened(text)
    assert len(caught.value.faults) == 1
    assert caught.value.faults[0].file == "newsletter.yaml"
    assert caught.value.faults[0].line == line
    assert message in caught.value.faults[0].message


def test_without_the_file_at_hand_the_line_names_it_all_the_same() -> None:
    with pytest.raises(NewsletterError) as caught:
        open_provider({"name": "outbox", "foldr": "x"}, Path())
    assert str(caught.value) == "newsletter.yaml: provider: there is no key 'foldr' here; did you mean 'folder'?"
    with pytest.raises(NewsletterError, match=r"^newsletter.yaml: there is no provider 'out'; did you mean 'outbox'\?"):
        open_provider({"name": "out"}, Path())


@pytest.mark.parametrize(
    "text",
    [
        f"  {{name: mailgun, domain: mg.example.org, key: {KEY}}}",
        f"  {{name: smtp, host: mail.example.org, username: u, password: {KEY}}}",
        f"  {{name: mailgun, domain: mg.example.org, key: [{KEY}]}}",
        f"  {{name: mailgun, domain: mg.example.org, key: env:MAILGUN_KEY, base_url: 'https://u:{KEY}@example.org'}}",
        f"  {{name: mailgun, domain: mg.example.org, key: env:MAILGUN_KEY, base_url: 'https://:{KEY}@example.org'}}",
    ],
)
def test_a_key_written_into_the_file_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(FaultsError) as caught:
        opened(text)
    assert KEY not in str(caught.value)


def test_a_secret_that_is_not_there_stops_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAILGUN_KEY")
    with pytest.raises(NewsletterError, match="the environment variable MAILGUN_KEY"):
        opened("  {name: mailgun, domain: mg.example.org, key: env:MAILGUN_KEY}")
    (tmp_path / "mailgun.key").write_text(KEY)
    (tmp_path / "mailgun.key").chmod(0o644)
    with pytest.raises(NewsletterError, match="chmod 600"):
        opened("  {name: mailgun, domain: mg.example.org, key: file:mailgun.key}", tmp_path)


def test_opening_a_provider_loads_nothing_heavy() -> None:
    program = "import sys, newsletter.providers.registry; print({'requests', 'smtplib', 'ssl'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "requests" not in said
    assert "smtplib" not in said


def test_a_carrier_that_no_settings_can_name_says_so() -> None:
    class Double(MessageCarrier):
        name = "double"

        def describe(self) -> str:
            return "double"

        def deliver(self, envelope: object, following: object = None) -> object:  # type: ignore[override]
            return super().deliver(envelope, following)  # type: ignore[arg-type, safe-super]

    with pytest.raises(TypeError, match="Double cannot be named"):
        Double.open(None, Path())
    assert "double" not in registry.PROVIDERS


def test_a_carrier_that_cannot_be_asked_says_nothing_of_its_readers() -> None:
    class Double(BatchCarrier):
        name = "double"

        def describe(self) -> str:
            return "double"

        def deliver(self, batch: Batch) -> Receipt:
            return Receipt(Outcome.ACCEPTED, batch.key)

    carrier = Double()
    assert carrier.deliver(batch()).outcome is Outcome.ACCEPTED
    assert carrier.lookup(batch()) is None
    carrier.close()


def test_what_a_server_says_becomes_one_printable_line() -> None:
    assert one_line(b"a\r\nb\x00c\x1b[0m\xff") == "a b c [0m\ufffd"
    assert one_line("x" * 300) == "x" * 199 + "…"
