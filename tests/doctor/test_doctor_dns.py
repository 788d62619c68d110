from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from local_dns import FAILS, SILENT, LocalDns, Zone

from newsletter.doctor.dns import Resolver, Unanswered
from newsletter.errors import NewsletterError

Ask = Callable[[Zone], LocalDns]

ZONE: Zone = {
    "example.org": {
        "TXT": ["v=spf1 -all", "x" * 700 + ' "quoted"'],
        "MX": ["20 Second.example.org.", "10 mail.example.org."],
        "A": ["192.0.2.7"],
        "AAAA": ["2001:db8::7"],
    },
    "alias.example.org": {"CNAME": ["example.org."]},
    "none.example.org": {"MX": ["0 ."]},
    "7.2.0.192.in-addr.arpa": {"PTR": ["Mail.Example.ORG."]},
    "broken.example.org": {FAILS: []},
    "silent.example.org": {SILENT: []},
}


def test_records_are_read_whole_and_in_one_order(ask: Ask) -> None:
    resolver = Resolver(ask(ZONE).address)
    assert resolver.ask("example.org", "TXT") == ("v=spf1 -all", "x" * 700 + ' "quoted"')
    assert resolver.ask("Example.ORG.", "MX") == ("10 mail.example.org", "20 second.example.org")
    assert resolver.ask("none.example.org", "MX") == ("0 ",)
    assert resolver.addresses("alias.example.org") == ("192.0.2.7", "2001:db8::7")
    assert resolver.hosts("192.0.2.7") == ("mail.example.org",)


@pytest.mark.parametrize("name", ["nobody.example.org", "none.example.org", "a..b", "x" * 64 + ".org", "y." * 130])
def test_what_is_not_there_and_what_cannot_be_a_name_is_nothing(ask: Ask, name: str) -> None:
    assert Resolver(ask(ZONE).address).ask(name, "TXT") == ()


@pytest.mark.parametrize("name", ["broken.example.org", "silent.example.org"])
def test_a_server_that_fails_or_says_nothing_is_told_from_a_name_that_is_not_there(ask: Ask, name: str) -> None:
    with pytest.raises(Unanswered, match=f"no name server says what TXT records {name} has"):
        Resolver(ask(ZONE).address, lifetime=0.3).ask(name, "TXT")


def test_the_name_server_is_an_address_with_or_without_a_port() -> None:
    for right in ("192.0.2.1", "192.0.2.1:53", "2001:db8::1", "[2001:db8::1]:5353", "[2001:db8::1]"):
        Resolver(right)
    for wrong in ("dns.example.org", "192.0.2.1:x", "192.0.2.1:99999", "", "192.0.2.1:5:3"):
        with pytest.raises(NewsletterError, match=re.escape(f"'{wrong}' is no name server")):
            Resolver(wrong)
