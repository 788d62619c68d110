"""SPF: whether the return path's domain lets our mail leave from where it leaves (RFC 7208)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from newsletter.doctor.case import Case
from newsletter.doctor.dns import Resolver
from newsletter.doctor.note import Note
from newsletter.providers.http import is_loopback

MOST_LOOKUPS = 10  # RFC 7208, 4.6.4
MOST_VOID = 2  # the same: look-ups that found nothing

_TOPIC = "spf"
_STOP = 40  # look-ups after which a record is not followed any further
_TERM = re.compile(
    r"(?P<sign>[+?~-]?)(?P<name>all|include|a|mx|ptr|ip4|ip6|exists)"
    r"(?::(?P<value>.*?))?(?P<four>/\d{1,3})?(?://(?P<six>\d{1,3}))?",
    re.IGNORECASE,
)
_MODIFIER = re.compile(r"(?P<name>[a-z][a-z0-9_.-]*)=(?P<value>.*)", re.IGNORECASE)
_THEIRS = {"mailgun": "mailgun.org"}  # what a carrier's page asks to include in the domain it sends from (July 2026)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass
class Walk:
    """What following a record to all its ends has found; every look-up counts, as for mail that matches the last."""

    resolver: Resolver
    lookups: int = 0
    void: int = 0
    included: set[str] = field(default_factory=set)
    networks: list[Network] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    rest: str = ""  # the sign before `all`, "" when there is none

    @property
    def broken(self) -> bool:
        """Whether receivers can make nothing of the record: a permerror."""
        limits = self.lookups > MOST_LOOKUPS or self.void > MOST_VOID
        return limits or any(note.level == "fail" for note in self.notes)

    def follow(self, domain: str, *, passes: bool = True, outermost: bool = True) -> None:
        """Read a domain's record; `passes` says whether what it allows is allowed in the end."""
        records = records_of(self.resolver, domain)
        if len(records) != 1:
            number = f"{len(records)} SPF records, and one is allowed" if records else "no SPF record"
            advice = "publish one, such as 'v=spf1 mx -all'" if outermost else "delete the term that leads there"
            self.notes.append(Note("fail", _TOPIC, f"{domain} has {number}", advice))
            return
        redirect = ""
        for term in records[0].split()[1:]:
            mechanism, modifier = _TERM.fullmatch(term), _MODIFIER.fullmatch(term)
            if mechanism and mechanism["name"].lower() == "all":
                self._end(mechanism["sign"] or "+", domain, passes=passes, outermost=outermost)
                return
            if mechanism:
                self._mechanism(mechanism, domain, passes=passes and mechanism["sign"] in ("", "+"))
            elif modifier is None:
                self._mistake(term)
            elif modifier["name"].lower() == "redirect":
                redirect = modifier["value"]
        if redirect and self._may_ask(redirect):
            self.follow(redirect, passes=passes, outermost=outermost)

    def _end(self, sign: str, domain: str, *, passes: bool, outermost: bool) -> None:
        if outermost:
            self.rest = sign
        if sign == "+" and passes:
            said = f"the record of {domain} ends with +all: anybody may send in its name"
            self.notes.append(Note("fail", _TOPIC, said, "end it with -all or ~all"))

    def _may_ask(self, name: str) -> bool:
        """Count a look-up, and say whether it can be made here: one with a macro depends on the mail."""
        self.lookups += 1
        return "%" not in name and self.lookups <= _STOP

    def _mistake(self, term: str) -> None:
        self.notes.append(Note("fail", _TOPIC, f"'{term}' in an SPF record means nothing", "mend that term"))

    def _mechanism(self, term: re.Match[str], domain: str, *, passes: bool) -> None:
        name, value = term["name"].lower(), term["value"] or ""
        if name in ("ip4", "ip6"):
            self._allow([value], term, passes=passes)
        elif not self._may_ask(value):
            return
        elif not value and name in ("include", "exists"):
            self._mistake(term[0])
        elif name == "include":
            self.included.add(value.lower())
            self.follow(value, passes=passes, outermost=False)
        elif name == "ptr":
            said = f"'{term[0]}' in the record of {domain} is not to be used any more (RFC 7208, 5.5)"
            self.notes.append(Note("warn", _TOPIC, said, "name the hosts by a: or ip4: and ip6:"))
        elif name in ("a", "mx"):
            hosts = [value or domain]
            if name == "mx":
                hosts = [one.partition(" ")[2] for one in self.resolver.ask(hosts[0], "MX")]
            addresses = [address for host in hosts for address in self.resolver.addresses(host)]
            self.void += not addresses
            self._allow(addresses, term, passes=passes)

    def _allow(self, addresses: list[str], term: re.Match[str], *, passes: bool) -> None:
        for address in addresses:
            try:
                four = "." in address and ":" not in address
                length = term["four"] if four or term["name"].lower() == "ip6" else term["six"] and f"/{term['six']}"
                network = ipaddress.ip_network(f"{address}{length or ''}", strict=False)
            except ValueError:
                self._mistake(term[0])
                return
            if passes:
                self.networks.append(network)


def records_of(resolver: Resolver, domain: str) -> list[str]:
    """Return the SPF records of a domain. Raises Unanswered."""
    return [text for text in resolver.ask(domain, "TXT") if re.match(r"v=spf1( |$)", text, re.IGNORECASE)]


def examine(case: Case) -> Iterator[Note]:
    """Look at the record of the return path's domain, or of the domain a carrier sends from."""
    domain, theirs = case.bounce_domain, _THEIRS.get(case.foreign or "")
    if case.foreign:
        if theirs is None:
            said = f"{case.foreign} has a return path of its own; its page for your domain checks SPF"
            yield Note("ok", _TOPIC, said)
            return
        domain = str(case.project.settings.provider.get("domain", domain)).lower()
    walk = Walk(case.resolver)
    walk.follow(domain)
    yield from _of_record(domain, walk)
    if theirs and theirs not in walk.included:
        yield Note("fail", _TOPIC, f"{domain} does not include {theirs}", f"add include:{theirs} to its record")
    if case.server:
        yield from _of_server(case, domain, walk)


def _of_record(domain: str, walk: Walk) -> Iterator[Note]:
    yield from walk.notes
    if walk.lookups > MOST_LOOKUPS:
        said = f"{domain} takes {walk.lookups} look-ups, and receivers make {MOST_LOOKUPS} (RFC 7208, 4.6.4)"
        yield Note("fail", _TOPIC, said, "drop includes you do not need, or name networks by ip4: and ip6:")
    if walk.void > MOST_VOID:
        said = f"{walk.void} look-ups for {domain} find nothing, and receivers put up with {MOST_VOID}"
        yield Note("fail", _TOPIC, said, "delete the terms whose hosts are gone")
    if walk.rest in ("", "?") and not walk.broken:
        said = f"the record of {domain} says nothing of hosts it does not name"
        yield Note("warn", _TOPIC, said, "end it with -all or ~all")
    elif not walk.broken:
        yield Note("ok", _TOPIC, f"{domain} has a record; it takes {walk.lookups} of {MOST_LOOKUPS} look-ups")


def _of_server(case: Case, domain: str, walk: Walk) -> Iterator[Note]:
    server = case.server or ""
    if is_loopback(server):
        said = f"mail leaves through the server on this machine; whether {domain} allows its address is not seen here"
        yield Note("ok", _TOPIC, said)
        return
    addresses = [ipaddress.ip_address(text) for text in case.resolver.addresses(server)]
    outside = [address for address in addresses if not any(address in network for network in walk.networks)]
    if not addresses or outside:
        said = f"{domain} does not allow {', '.join(map(str, outside)) or 'any address'} of {server}"
        yield Note("warn", _TOPIC, said, f"add a:{server}, unless it hands mail on to hosts that are allowed")
    else:
        yield Note("ok", _TOPIC, f"{domain} allows {server}")
