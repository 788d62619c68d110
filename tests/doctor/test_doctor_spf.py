from __future__ import annotations

from collections.abc import Callable

import pytest
from doctor_case import MakeCase, levels
from local_dns import FAILS, LocalDns, Zone

from newsletter.doctor import spf
from newsletter.doctor.dns import Resolver, Unanswered
from newsletter.doctor.spf import Walk

HERE = {"A": ["192.0.2.25"], "AAAA": ["2001:db8::25"]}
ENOUGH = "example.org has a record; it takes {} of 10 look-ups"


def zone(record: str, **others: str) -> Zone:
    """A zone with a record for example.org, and for names below it."""
    made: dict[str, dict[str, list[str]]] = {
        "example.org": {"TXT": [record, "some other text"], "MX": ["10 mail.example.org."], "A": ["192.0.2.1"]},
        "mail.example.org": HERE,
    }
    return made | {f"{name}.example.org": {"TXT": [text]} for name, text in others.items()}


@pytest.mark.parametrize(
    ("record", "lookups"),
    [
        ("v=spf1 mx -all", 1),
        ("v=spf1 a:mail.example.org ~all", 1),
        ("V=SPF1 A:mail.example.org -ALL", 1),
        ("v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all", 0),
        ("v=spf1 a/24 mx/30//64 -all", 2),
        ("v=spf1 include:one.example.org -all", 4),
        ("v=spf1 redirect=one.example.org", 4),
        ("v=spf1 exists:%{i}.spf.example.org mx unknown=modifier -all a b c", 2),
    ],
)
def test_a_record_that_names_the_server_is_well(case: MakeCase, record: str, lookups: int) -> None:
    one, two = "v=spf1 include:two.example.org mx -all", "v=spf1 a:mail.example.org ?all"
    notes = levels(spf.examine(case(zone(record, one=one, two=two))))
    assert notes == [("ok", ENOUGH.format(lookups)), ("ok", "example.org allows mail.example.org")]


@pytest.mark.parametrize(
    ("record", "level", "said"),
    [
        ("no spf", "fail", "example.org has no SPF record"),
        ("v=spf1x mx -all", "fail", "example.org has no SPF record"),
        ("v=spf1 mx +all", "fail", "the record of example.org ends with +all: anybody may send in its name"),
        ("v=spf1 mx all", "fail", "the record of example.org ends with +all: anybody may send in its name"),
        ("v=spf1 mx include:open.example.org -all", "fail", "the record of open.example.org ends with +all: anybody"),
        ("v=spf1 mx", "warn", "the record of example.org says nothing of hosts it does not name"),
        ("v=spf1 mx ?all", "warn", "the record of example.org says nothing of hosts it does not name"),
        ("v=spf1 mx ptr -all", "warn", "'ptr' in the record of example.org is not to be used any more"),
        ("v=spf1 mx ip4:192.0.2.300 -all", "fail", "'ip4:192.0.2.300' in an SPF record means nothing"),
        ("v=spf1 mx ip4 -all", "fail", "'ip4' in an SPF record means nothing"),
        ("v=spf1 mx include: -all", "fail", "'include:' in an SPF record means nothing"),
        ("v=spf1 mx; -all", "fail", "'mx;' in an SPF record means nothing"),
        ("v=spf1 mx include:gone.example.org -all", "fail", "gone.example.org has no SPF record"),
        ("v=spf1 mx redirect=gone.example.org", "fail", "gone.example.org has no SPF record"),
        ("v=spf1 mx a:x.org a:y.org mx:z.org -all", "fail", "3 look-ups for example.org find nothing, and receivers"),
        ("v=spf1 ip4:198.51.100.0/24 -all", "warn", "example.org does not allow 192.0.2.25, 2001:db8::25 of mail."),
        ("v=spf1 ip4:192.0.2.25 -all", "warn", "example.org does not allow 2001:db8::25 of mail.example.org"),
        ("v=spf1 -mx -all", "warn", "example.org does not allow 192.0.2.25, 2001:db8::25 of mail.example.org"),
        ("v=spf1 -include:fine.example.org -all", "warn", "example.org does not allow 192.0.2.25, 2001:db8::25"),
        (" ".join(["v=spf1", *["mx"] * 11, "-all"]), "fail", "example.org takes 11 look-ups, and receivers make 10"),
        ("v=spf1 mx include:loop.example.org -all", "fail", "example.org takes 41 look-ups, and receivers make 10"),
    ],
)
def test_a_record_that_receivers_cannot_use_is_found(case: MakeCase, record: str, level: str, said: str) -> None:
    others = {
        "open": "v=spf1 +all",
        "fine": "v=spf1 a:mail.example.org -all",
        "loop": "v=spf1 include:loop.example.org -all",
    }
    notes = [note for note in spf.examine(case(zone(record, **others))) if note.level == level]
    assert any(note.what.startswith(said) and note.advice for note in notes), notes


def test_look_ups_count_through_all_includes_whether_they_match_or_not(ask: Callable[[Zone], LocalDns]) -> None:
    three = "v=spf1 mx:example.org a:example.org exists:%{i}.example.org -all"
    record = "v=spf1 include:a.example.org ip4:192.0.2.0/24 include:b.example.org -all"
    server = ask(zone(record, a=three, b=three))
    walk = Walk(Resolver(server.address))
    walk.follow("example.org")
    assert (walk.lookups, walk.void, walk.broken) == (8, 0, False)
    assert walk.included == {"a.example.org", "b.example.org"}


def test_two_records_are_as_good_as_none(case: MakeCase) -> None:
    notes = levels(spf.examine(case({"example.org": {"TXT": ["v=spf1 -all", "v=spf1 mx -all"]}})))
    assert ("fail", "example.org has 2 SPF records, and one is allowed") in notes


def test_a_name_server_that_fails_says_nothing_about_the_record(case: MakeCase) -> None:
    broken = zone("v=spf1 include:broken.example.net -all") | {"broken.example.net": {FAILS: []}}
    with pytest.raises(Unanswered):
        list(spf.examine(case(broken)))


def test_the_bounce_domain_is_the_one_that_counts(case: MakeCase) -> None:
    elsewhere = {"bounces.example.net": {"TXT": ["v=spf1 a:mail.example.org -all"]}, "mail.example.org": HERE}
    notes = levels(spf.examine(case(elsewhere, bounce="b@bounces.example.net")))
    assert notes[-1] == ("ok", "bounces.example.net allows mail.example.org")


def test_a_server_on_this_machine_and_one_without_an_address_cannot_be_compared(case: MakeCase) -> None:
    notes = levels(spf.examine(case(zone("v=spf1 mx -all"), {"name": "smtp", "host": "127.0.0.1"})))
    assert notes[1][0] == "ok"
    assert notes[1][1].startswith("mail leaves through the server on this machine")
    notes = levels(spf.examine(case(zone("v=spf1 mx -all"), {"name": "smtp", "host": "gone.example.org"})))
    assert notes[1] == ("warn", "example.org does not allow any address of gone.example.org")


def test_a_carrier_with_a_domain_of_ours_has_to_be_included_there(
    case: MakeCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "x")
    carrier = {"name": "mailgun", "domain": "mg.example.org", "key": "env:KEY"}
    records = zone("v=spf1 -all", mg="v=spf1 include:mailgun.org ~all")
    theirs: Zone = {"mailgun.org": {"TXT": ["v=spf1 ip4:198.51.100.0/24 ~all"]}}
    made = case({**records, **theirs}, carrier)
    assert levels(spf.examine(made)) == [("ok", "mg.example.org has a record; it takes 1 of 10 look-ups")]
    made = case(zone("v=spf1 -all", mg="v=spf1 mx -all"), carrier)
    assert ("fail", "mg.example.org does not include mailgun.org") in levels(spf.examine(made))
