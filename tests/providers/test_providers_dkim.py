"""DKIM: keys that are of use, the canonical forms against dkimpy's, and a signed issue on its way through SMTP."""

from __future__ import annotations

import datetime as dt
import re
import subprocess
from pathlib import Path

import pytest
from components import component
from cryptography.hazmat.primitives.asymmetric import rsa
from dkim.canonicalization import Relaxed
from dkim_verifiers import dkimpy_says, make_signer, opendkim_says, records, write_key
from hypothesis import given
from hypothesis import strategies as st
from local_dns import local_dns
from provider_contract import SECRET
from smtp_servers import dumped, smtp_sink
from test_providers_smtp import carrier_for

from newsletter.config import Project
from newsletter.edition.render import make_edition
from newsletter.errors import NewsletterError
from newsletter.issue import folder
from newsletter.issue.countries import Countries
from newsletter.mailing.message import Compiler
from newsletter.providers.base import Outcome
from newsletter.providers.dkim import DkimSettings, open_signer, relaxed_field, relaxed_lines
from newsletter.providers.registry import open_provider

LINE = st.text(st.sampled_from("  \t\t.=aB:"), max_size=12).map(str.encode)
RUN = st.lists(LINE).map(lambda lines: b"".join(line + b"\r\n" for line in lines))


@given(st.lists(RUN))
def test_canonical_runs_join_to_the_canonical_body(runs: list[bytes]) -> None:
    last = b"--boundary--\r\n"
    assert b"".join(map(relaxed_lines, [*runs, last])) == Relaxed.canonicalize_body(b"".join([*runs, last]))


@given(st.from_regex(r"[A-Za-z-]+[ \t]?", fullmatch=True), st.lists(st.text(st.sampled_from(" \tab:;"), max_size=9)))
def test_a_field_is_canonicalised_as_dkimpy_does(name: str, lines: list[str]) -> None:
    value = "\r\n ".join(lines)
    ((canonical_name, canonical),) = Relaxed.canonicalize_headers([(name.encode(), value.encode())])
    assert relaxed_field(f"{name}:{value}".encode()) + b"\r\n" == canonical_name + b":" + canonical


def test_keys_say_what_to_publish_and_show_no_secret(tmp_path: Path) -> None:
    signer = make_signer(tmp_path)
    assert [(key.selector, key.algorithm, key.bits) for key in signer.keys] == [
        ("rsa", "rsa-sha256", 2048),
        ("ed", "ed25519-sha256", 256),
    ]
    long, short = (key.record for key in signer.keys)
    assert re.fullmatch("v=DKIM1; k=rsa; p=[A-Za-z0-9+/]{380,}=*", long)
    assert re.fullmatch("v=DKIM1; k=ed25519; p=[A-Za-z0-9+/]{43}=", short)
    assert "PRIVATE" not in repr(signer)


def read(folder: Path, **changes: str) -> object:
    return open_signer([DkimSettings(**{"selector": "2026a", "key": "file:dkim.pem", **changes})], folder)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("genrsa -traditional 768", "has 768 bits; make one of 2048"),
        ("ecparam -name prime256v1 -genkey -noout", "neither an RSA nor an Ed25519 key"),
        ("genpkey -algorithm ed448", "neither an RSA nor an Ed25519 key"),
        ("genrsa -aes128 -passout pass:x 2048", "no private key in PEM without a password"),
        ("rand -hex 500", "no private key in PEM without a password"),
    ],
)
def test_a_key_of_no_use_is_refused_before_anything_is_sent(command: str, why: str, tmp_path: Path) -> None:
    made = subprocess.run([component("openssl"), *command.split()], capture_output=True, check=True).stdout
    key = tmp_path / "dkim.pem"
    key.write_bytes(made)
    key.chmod(0o600)
    with pytest.raises(NewsletterError, match=rf"dkim: the key of '2026a' \(file:dkim.pem\).*({why})") as refused:
        read(tmp_path)
    assert made.decode()[100:120] not in str(refused.value)


def test_a_key_others_can_read_or_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NewsletterError, match="cannot be read"):
        read(tmp_path)
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 - weak, but verifiers take it; the doctor says so
    write_key(tmp_path / "dkim.pem", weak).chmod(0o644)
    with pytest.raises(NewsletterError, match="others can read this secret"):
        read(tmp_path)
    (tmp_path / "dkim.pem").chmod(0o600)
    assert read(tmp_path) is not None


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"selector": "a b"}, "'a b' cannot be a name in the domain name system"),
        ({"selector": "a."}, "'a.' cannot be a name"),
        ({"domain": "example.org;"}, "'example.org;' cannot be a name"),
        ({"domain": f"{'x' * 64}.org"}, "cannot be a name"),
        ({"key": "-----BEGIN PRIVATE KEY-----"}, "a secret is named, not written"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(wrong: dict[str, str], why: str, tmp_path: Path) -> None:
    key = {"selector": "a", "key": "file:x", **wrong}
    with pytest.raises(NewsletterError, match=re.escape(why)):
        open_provider({"name": "smtp", "host": "127.0.0.1", "dkim": [key]}, tmp_path)


def test_a_signed_issue_is_verified_after_its_way_to_postfix(project: Project, countries: Countries) -> None:
    root = project.root
    make_signer(root)
    keys = [
        {"selector": name, "domain": "News.example.org", "key": f"file:{root}/{name}.pem"} for name in ("rsa", "ed")
    ]
    with smtp_sink(root / "dump") as port:
        carrier = carrier_for(port, dkim=keys)
        assert carrier.signer is not None
        file = folder.load_all(project, countries)[0]
        edition, now = make_edition(file, project, countries), dt.datetime.now(dt.UTC)
        compiler = Compiler(edition, project.settings, "weekly", SECRET.encode(), "key", now, signer=carrier.signer)
        for reader in range(3):
            sent = compiler.compose(reader, f"reader{reader}@example.org", f"Zoë {reader}")
            assert carrier.deliver(sent).outcome is Outcome.ACCEPTED
        carrier.close()
    arrived = [message for _, _, message in dumped(root / "dump")]
    assert len(arrived) == 3
    with local_dns(records(carrier.signer)) as server:
        for message in arrived:
            assert b" d=news.example.org; s=rsa;" in message
            assert dkimpy_says(message, server) == [True, True]
            assert opendkim_says(message, server, root) == {"rsa": "pass", "ed": "pass"}
