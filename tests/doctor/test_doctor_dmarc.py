from __future__ import annotations

from collections.abc import Callable

import pytest
from dkim_verifiers import make_signer
from doctor_case import MakeCase, levels
from local_dns import LocalDns, Zone

from newsletter.config import Project
from newsletter.doctor import dmarc
from newsletter.doctor.dns import Resolver

ALIGNED = ("ok", "the return path (example.org) is aligned with example.org")


def policy(record: str, domain: str = "example.org") -> Zone:
    return {f"_dmarc.{domain}": {"TXT": [record]}}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("v=DMARC1; p=reject; rua=mailto:d@example.org", [("ok", "is reject")]),
        ("v=DMARC1; p=quarantine; rua=mailto:d@example.org; t=y", [("ok", "is quarantine, as a test (t=y)")]),
        (
            "v=DMARC1; p=none; rua=mailto:d@example.org",
            [("warn", "is none: receivers deliver what others send in your name")],
        ),
        (
            "v=DMARC1;p=reject;pct=50;ri=3600;rua=mailto:d@example.org",
            [("ok", "is reject"), ("warn", "has pct, ri, which RFC 9989 has dropped")],
        ),
        ("v=DMARC1; p=reject", [("ok", "is reject"), ("warn", "asks for no reports")]),
        (
            "v=DMARC1; p=rejected; rua=mailto:d@example.org",
            [("fail", "is 'rejected', which means nothing")],
        ),
    ],
)
def test_a_policy_is_read(case: MakeCase, record: str, expected: list[tuple[str, str]]) -> None:
    said = [(level, f"the policy at _dmarc.example.org {what}") for level, what in expected]
    assert levels(dmarc.examine(case(policy(record)))) == [*said, ALIGNED]


@pytest.mark.parametrize("text", ["", "v=DMARC2; p=none", "p=none"])
def test_a_domain_without_a_policy_fails(case: MakeCase, text: str) -> None:
    (note,) = dmarc.examine(case(policy(text) if text else {}))
    assert (note.level, note.what) == ("fail", "there is no policy for example.org; large receivers ask for one")
    assert "v=DMARC1; p=none; rua=mailto:" in note.advice


def test_two_policies_are_as_good_as_none(case: MakeCase) -> None:
    zone = {"_dmarc.example.org": {"TXT": ["v=DMARC1; p=none", "v=DMARC1; p=reject"]}}
    assert [note.level for note in dmarc.examine(case(zone))] == ["fail"]


def test_a_domain_below_takes_the_policy_of_its_organization(case: MakeCase, project: Project) -> None:
    sender = project.settings.sender.model_copy(update={"address": "weekly@news.example.org"})
    zone = policy("v=DMARC1; p=reject; sp=none; rua=mailto:d@example.org")
    notes = levels(dmarc.examine(case(zone, sender=sender)))
    assert notes == [
        ("warn", "the policy at _dmarc.example.org is none: receivers deliver what others send in your name"),
        ("ok", "the return path (example.org) is aligned with news.example.org"),
    ]


@pytest.mark.parametrize(
    ("domain", "records", "home"),
    [
        ("example.org", {}, "example.org"),
        ("a.b.example.org", {"example.org": ""}, "example.org"),
        ("a.b.example.org", {"example.org": "", "b.example.org": ""}, "example.org"),
        ("a.b.example.org", {"example.org": "", "b.example.org": "psd=n"}, "b.example.org"),
        ("a.b.example.org", {"org": "psd=y"}, "example.org"),
        ("a.b.example.org", {"example.org": "psd=y", "org": ""}, "b.example.org"),
        ("1.2.3.4.5.6.7.8.9.example.org", {"3.4.5.6.7.8.9.example.org": "psd=n"}, "1.2.3.4.5.6.7.8.9.example.org"),
        ("1.2.3.4.5.6.7.8.9.example.org", {"5.6.7.8.9.example.org": "psd=n"}, "5.6.7.8.9.example.org"),
    ],
)
def test_the_organization_is_found_by_walking_up_the_tree(
    ask: Callable[[Zone], LocalDns], domain: str, records: dict[str, str], home: str
) -> None:
    server = ask({f"_dmarc.{name}": {"TXT": [f"v=DMARC1; p=none; {tag}"]} for name, tag in records.items()})
    found = dmarc.walk(Resolver(server.address), domain)
    assert dmarc.organization(domain, found) == home
    assert len(server.asked) <= 8  # RFC 9989, 4.10


@pytest.mark.parametrize(
    ("tag", "bounce", "signing", "expected"),
    [
        ("", "b@bounces.example.org", None, ["ok"]),
        ("aspf=s", "b@bounces.example.org", None, ["fail"]),
        ("", "b@example.net", None, ["fail"]),
        ("", "b@example.net", "", ["ok", "warn"]),
        ("", "b@example.net", "mail.example.org", ["ok", "warn"]),
        ("adkim=s", "b@example.net", "mail.example.org", ["fail", "fail"]),
        ("adkim=s", "b@example.org", "mail.example.org", ["warn", "ok"]),
        ("", "b@example.org", "example.net", ["warn", "ok"]),
    ],
)
def test_the_return_path_or_a_signature_has_to_be_of_the_senders_organization(
    case: MakeCase, project: Project, tag: str, bounce: str, signing: str | None, expected: list[str]
) -> None:
    make_signer(project.root)
    key = {"selector": "ed", "key": "file:ed.pem", **({"domain": signing} if signing else {})}
    carrier = {"name": "smtp", "host": "127.0.0.1", "dkim": [] if signing is None else [key]}
    zone = policy(f"v=DMARC1; p=reject; rua=mailto:d@example.org; {tag}")
    notes = [note for note in dmarc.examine(case(zone, carrier, bounce=bounce)) if "aligned" in note.what]
    assert [note.level for note in notes] == expected
    assert all(bool(note.advice) is (note.level != "ok") for note in notes)


def test_the_alignment_of_a_carrier_that_signs_itself_is_not_guessed(
    case: MakeCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "x")
    carrier = {"name": "mailgun", "domain": "mg.example.org", "key": "env:KEY"}
    notes = levels(dmarc.examine(case(policy("v=DMARC1; p=reject; rua=mailto:d@example.org"), carrier)))
    assert notes == [("ok", "the policy at _dmarc.example.org is reject")]
