from __future__ import annotations

import pytest
from doctor_case import MakeCase, levels
from local_dns import Zone

from newsletter.doctor import hosts

HOST = {"A": ["192.0.2.25"]}
ALL = "sender and reply_to and bounce"


@pytest.mark.parametrize(
    ("records", "level", "said"),
    [
        ({"MX": ["10 mail.example.org."]}, "ok", f"example.org ({ALL}) takes mail at mail.example.org"),
        (
            {"MX": ["10 mail.example.org.", "20 gone.example.org."]},
            "warn",
            f"example.org ({ALL}) takes mail at gone.example.org, which has no address",
        ),
        (
            {"MX": ["20 gone.example.org."]},
            "fail",
            f"example.org ({ALL}) takes mail at gone.example.org, which has no address",
        ),
        ({"MX": ["0 ."]}, "fail", f"example.org ({ALL}) says that it takes no mail (RFC 7505)"),
        ({"A": ["192.0.2.1"]}, "warn", f"example.org ({ALL}) has no MX record; mail goes to its web address"),
        ({}, "fail", f"example.org ({ALL}) takes no mail: it has neither MX nor address"),
    ],
)
def test_answers_and_bounces_need_a_server_that_takes_them(
    case: MakeCase, records: dict[str, list[str]], level: str, said: str
) -> None:
    zone: Zone = {"example.org": records, "mail.example.org": HOST}
    assert levels(hosts.examine_mx(case(zone))) == [(level, said)]


def test_each_domain_is_looked_at_once(case: MakeCase) -> None:
    well = {"MX": ["10 mail.example.org."]}
    zone: Zone = {"example.org": well, "example.net": well, "mail.example.org": HOST}
    assert levels(hosts.examine_mx(case(zone, bounce="b@Example.NET", reply_to=None))) == [
        ("ok", "example.org (sender) takes mail at mail.example.org"),
        ("ok", "example.net (bounce) takes mail at mail.example.org"),
    ]


@pytest.mark.parametrize(
    ("zone", "level", "said"),
    [
        (
            {"mail.example.org": HOST, "25.2.0.192.in-addr.arpa": {"PTR": ["mail.example.org."]}},
            "ok",
            "192.0.2.25 is mail.example.org, and mail.example.org is 192.0.2.25",
        ),
        (
            {"mail.example.org": HOST, "25.2.0.192.in-addr.arpa": {"PTR": ["pool.example.net."]}},
            "warn",
            "192.0.2.25 is pool.example.net, which is not 192.0.2.25",
        ),
        (
            {"mail.example.org": HOST},
            "warn",
            "192.0.2.25 of mail.example.org has no name; many receivers refuse its mail",
        ),
        ({}, "fail", "mail.example.org has no address"),
    ],
)
def test_the_servers_address_has_a_name_that_leads_back_to_it(
    case: MakeCase, zone: Zone, level: str, said: str
) -> None:
    assert levels(hosts.examine_ptr(case(zone))) == [(level, said)]


def test_only_a_server_that_is_known_has_an_address_to_look_at(case: MakeCase) -> None:
    assert [note.level for note in hosts.examine_ptr(case({}, {"name": "smtp", "host": "localhost"}))] == ["ok"]
    assert list(hosts.examine_ptr(case({}, {"name": "outbox"}))) == []
