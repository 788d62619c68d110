from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from dkim_verifiers import make_signer, records, write_key
from doctor_case import MakeCase, levels

from newsletter.config import Project
from newsletter.doctor import dkim
from newsletter.doctor.note import Note

RSA, ED = "rsa._domainkey.example.org", "ed._domainkey.example.org"


def signing(root: Path, *selectors: str, **settings: str) -> dict[str, object]:
    keys = [{"selector": name, "key": f"file:{root}/{name}.pem", **settings} for name in selectors]
    return {"name": "smtp", "host": "127.0.0.1", "dkim": keys}


def test_keys_that_are_published_are_well(case: MakeCase, project: Project) -> None:
    zone = records(make_signer(project.root))
    assert levels(dkim.examine(case(zone, signing(project.root, "rsa", "ed")))) == [
        ("ok", f"{RSA} holds our key (rsa-sha256, 2048 bits)"),
        ("ok", f"{ED} holds our key (ed25519-sha256, 256 bits)"),
    ]
    elsewhere = records(make_signer(project.root), "news.example.net")
    carrier = signing(project.root, "rsa", domain="news.example.net")
    assert [note.level for note in dkim.examine(case(elsewhere, carrier))] == ["ok"]


@pytest.mark.parametrize(
    ("record", "level", "said"),
    [
        (None, "fail", f"there is no record at {ED}"),
        ("v=DKIM1; k=ed25519; p=", "fail", f"the key at {ED} is withdrawn"),
        ("v=DKIM1; k=ed25519; p=AAAA", "fail", f"the record at {ED} holds another key than ours"),
        ("v=DKIM1; k=ed25519", "fail", f"the record at {ED} holds another key than ours"),
        ("v=DKIM1; p={p}", "fail", f"the record at {ED} is for rsa keys, and ours is for ed25519-sha256"),
        ("v=DKIM2; k=ed25519; p={p}", "fail", f"the record at {ED} is not of DKIM1"),
        ("k=ed25519; h=sha1; p={p}", "fail", f"the record at {ED} does not allow SHA-256"),
        ("k=ed25519; s=tlsrpt; p={p}", "fail", f"the record at {ED} is not for mail"),
        ("k=ed25519; t=s:y; p={p}", "warn", f"the record at {ED} says t=y"),
        ("k=ed25519 ; h=sha1 : sha256; s=email; p={p}", "ok", f"{ED} holds our key"),
    ],
)
def test_a_record_that_does_not_fit_the_key_is_found(
    case: MakeCase, project: Project, record: str | None, level: str, said: str
) -> None:
    key = make_signer(project.root).keys[1]
    zone = {ED: {"TXT": [record.format(p=f"{key.public[:9]} {key.public[9:]}")]}} if record else {}
    first = next(iter(dkim.examine(case(zone, signing(project.root, "ed")))))
    assert (first.level, first.what.startswith(said)) == (level, True)
    assert (key.record in first.advice) is (level == "fail" and "withdrawn" not in said)


def test_two_records_at_one_selector_are_one_too_many(case: MakeCase, project: Project) -> None:
    key = make_signer(project.root).keys[1]
    notes = levels(dkim.examine(case({ED: {"TXT": [key.record, "v=DKIM1; p=AAAA"]}}, signing(project.root, "ed"))))
    assert notes == [("fail", f"there are 2 records at {ED}")]


def test_a_short_key_is_weak_though_it_is_published(case: MakeCase, project: Project) -> None:
    short = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that is the point
    write_key(project.root / "old.pem", short)
    made = case({}, signing(project.root, "old"))
    notes = list(dkim.examine(made))
    assert notes[0] == Note(
        "warn",
        "dkim",
        "the key of old._domainkey.example.org has 1024 bits",
        "make one of 2048 bits, with a new selector",
    )


def test_mail_without_a_signature_is_noted_and_foreign_ones_cannot_be_seen(
    case: MakeCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "x")
    assert [note.level for note in dkim.examine(case())] == ["warn"]
    assert list(dkim.examine(case(provider={"name": "outbox"}))) == []
    theirs = list(dkim.examine(case(provider={"name": "mailgun", "domain": "mg.example.org", "key": "env:KEY"})))
    assert levels(theirs) == [("ok", "mailgun signs, by a selector that only its page for your domain tells")]
