"""`newsletter doctor`, against a name server, a mail server and a port without anybody, all on loopback."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from dkim_verifiers import make_signer, records
from local_dns import FAILS, LocalDns, local_dns

Run = Callable[..., Result]


@pytest.fixture
def server(project_folder: Path) -> Iterator[LocalDns]:
    """A name server for a project that sends by SMTP and signs."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    settings = project_folder / "newsletter.yaml"
    key = "{selector: ed, key: file:ed.pem}"
    provider = f"provider: {{name: smtp, host: 127.0.0.1, port: {port}, dkim: [{key}]}}"
    text = settings.read_text().replace("url: https://news.example.org", f"url: http://127.0.0.1:{port}")
    settings.write_text(text.replace("provider: {name: outbox, folder: outbox}", provider))
    zone = {
        **records(make_signer(project_folder)),
        "example.org": {"TXT": ["v=spf1 mx -all"], "MX": ["10 mail.example.org."]},
        "mail.example.org": {"A": ["192.0.2.25"]},
        "_dmarc.example.org": {"TXT": ["v=DMARC1; p=reject; rua=mailto:d@example.org"]},
    }
    with local_dns(zone) as made:
        yield made


def test_a_project_that_is_well_is_told_so(run: Run, server: LocalDns) -> None:
    result = run("doctor", "--resolver", server.address)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert "ok   spf       example.org has a record; it takes 1 of 10 look-ups" in lines
    assert "ok   dkim      ed._domainkey.example.org holds our key (ed25519-sha256, 256 bits)" in lines
    assert "ok   dmarc     the signature of example.org is aligned with example.org" in lines
    refused = next(number for number, line in enumerate(lines) if line.startswith("warn carrier"))
    assert lines[refused + 1].strip() == "-> try again later"


def test_what_fails_is_told_with_what_to_do_and_ends_with_exit_code_1(
    run: Run, server: LocalDns, project_folder: Path
) -> None:
    (project_folder / "secret.key").chmod(0o644)
    result = run("doctor", "--resolver", server.address, "--format", "json")
    assert result.exit_code == 1
    notes = json.loads(result.stdout)
    assert {tuple(note) for note in notes} == {("level", "topic", "what", "advice")}
    assert [note["topic"] for note in notes if note["level"] == "fail"] == ["secret"]
    topics = {note["topic"] for note in notes}
    assert topics == {"spf", "dkim", "dmarc", "mx", "ptr", "secret", "clock", "carrier", "pages", "database", "disk"}


def test_a_key_of_the_carrier_that_others_can_read_fails_and_the_rest_is_still_examined(
    run: Run, server: LocalDns, project_folder: Path
) -> None:
    (project_folder / "ed.pem").chmod(0o644)
    result = run("doctor", "--resolver", server.address)
    assert result.exit_code == 1
    assert "ed.pem: others can read this secret; run: chmod 600" in result.stdout
    assert "is at the newest schema" in result.stdout


def test_where_no_name_server_knows_nothing_is_said_to_be_wrong(run: Run, server: LocalDns) -> None:
    names = ("example.org", "_dmarc.example.org", "ed._domainkey.example.org")
    with local_dns({name: {FAILS: []} for name in names}) as failing:
        result = run("doctor", "--resolver", failing.address)
    assert server.asked == []
    assert result.exit_code == 0, result.output
    assert "warn dmarc     no name server says what TXT records _dmarc.example.org has" in result.stdout


def test_a_name_server_that_is_none_is_refused(run: Run) -> None:
    result = run("doctor", "--resolver", "dns.example.org")
    assert result.exit_code == 2
    assert "'dns.example.org' is no name server" in result.stderr
