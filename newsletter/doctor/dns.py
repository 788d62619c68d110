"""Asks the domain name system; the only door to it."""

from __future__ import annotations

import ipaddress
import re
from typing import Literal

import dns.exception
import dns.name
import dns.resolver
import dns.reversename

from newsletter.errors import NewsletterError

Kind = Literal["A", "AAAA", "MX", "PTR", "TXT"]

LIFETIME = 5.0  # seconds for one question, with all repetitions
_PAYLOAD = 1232  # bytes of an answer over UDP that no network breaks up


class Unanswered(Exception):  # noqa: N818 - nothing is wrong with what was asked for, as far as anybody knows
    """No name server answered, or all of them failed."""


class Resolver:
    """Asks the system's name servers, or the one at `address`, which is 'IP' or 'IP:PORT'."""

    def __init__(self, address: str | None = None, lifetime: float = LIFETIME) -> None:
        """Find the name servers. Raises NewsletterError when there are none, or the address is none."""
        self._lifetime = lifetime
        try:
            self._resolver = dns.resolver.Resolver(configure=address is None)
            if address is not None:
                host, port = _parts(address)
                self._resolver.nameservers = [host]
                self._resolver.port = port
        except dns.resolver.NoResolverConfiguration:
            raise NewsletterError("this machine knows no name server; name one with --resolver IP") from None
        except ValueError:
            raise NewsletterError(f"'{address}' is no name server; write its IP address, like 192.0.2.1") from None
        self._resolver.use_edns(0, 0, _PAYLOAD)

    def ask(self, name: str, kind: Kind) -> tuple[str, ...]:
        """Return what stands at a name, sorted: texts joined, hosts in lower case without a dot at the end.

        An MX is its preference, a space and a host, which is "" for the one of RFC 7505 that takes no mail. Nothing is
        returned for a name that does not exist or cannot be one. Raises Unanswered.
        """
        try:
            found = self._resolver.resolve(name, kind, lifetime=self._lifetime, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer, dns.resolver.YXDOMAIN):
            return ()
        except (dns.resolver.NoNameservers, dns.exception.Timeout, OSError):
            raise Unanswered(f"no name server says what {kind} records {name} has") from None
        except dns.exception.DNSException:  # what cannot be written as a name
            return ()
        return tuple(sorted(_written(record, kind) for record in found))

    def addresses(self, host: str) -> tuple[str, ...]:
        """Return the IPv4 and IPv6 addresses of a host. Raises Unanswered."""
        return (*self.ask(host, "A"), *self.ask(host, "AAAA"))

    def hosts(self, address: str) -> tuple[str, ...]:
        """Return the names that an IP address says it has. Raises Unanswered."""
        return self.ask(str(dns.reversename.from_address(address)), "PTR")


def _parts(address: str) -> tuple[str, int]:
    """Split an address from its port. Raises ValueError."""
    found = re.fullmatch(r"\[(?P<six>[^\]]*)\](:(?P<port>\d{1,5}))?|(?P<four>[\d.]+):(?P<other>\d{1,5})", address)
    host = (found["six"] or found["four"]) if found else address
    port = int((found["port"] or found["other"] or 53) if found else 53)
    if not 0 < port < 65536:
        raise ValueError(port)
    return str(ipaddress.ip_address(host)), port


def _written(record: object, kind: Kind) -> str:
    if kind == "TXT":
        return b"".join(getattr(record, "strings", ())).decode("utf-8", "replace")
    if kind == "MX":
        preference, host = getattr(record, "preference", 0), getattr(record, "exchange", "")
        return f"{preference} {_host(host)}"
    return _host(record)


def _host(name: object) -> str:
    return str(name).lower().rstrip(".")
