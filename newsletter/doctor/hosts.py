"""Whether answers and bounces find their way to us, and whether our server has a name that is its own."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.doctor.case import Case
from newsletter.doctor.note import Note
from newsletter.providers.http import is_loopback


def examine_mx(case: Case) -> Iterator[Note]:
    """Look for the servers that take mail for the sender, for answers and for bounces."""
    settings = case.project.settings
    addresses = {"sender": settings.sender.address, "reply_to": settings.reply_to, "bounce": settings.bounce}
    domains: dict[str, list[str]] = {}
    for key, address in addresses.items():
        if address:
            domains.setdefault(address.rpartition("@")[2].lower(), []).append(key)
    for domain, keys in domains.items():
        yield _mx(case, domain, " and ".join(keys))


def _mx(case: Case, domain: str, keys: str) -> Note:
    advice = f"publish an MX record for {domain} whose host has an address, or write other addresses for {keys}"
    hosts = [one.partition(" ")[2] for one in case.resolver.ask(domain, "MX")]
    if not hosts:
        if case.resolver.addresses(domain):
            return Note("warn", "mx", f"{domain} ({keys}) has no MX record; mail goes to its web address", advice)
        return Note("fail", "mx", f"{domain} ({keys}) takes no mail: it has neither MX nor address", advice)
    if hosts == [""]:
        return Note("fail", "mx", f"{domain} ({keys}) says that it takes no mail (RFC 7505)", advice)
    gone = [host for host in hosts if not host or not case.resolver.addresses(host)]
    if gone:
        said = f"{domain} ({keys}) takes mail at {', '.join(gone)}, which has no address"
        return Note("fail" if gone == hosts else "warn", "mx", said, advice)
    return Note("ok", "mx", f"{domain} ({keys}) takes mail at {', '.join(hosts)}")


def examine_ptr(case: Case) -> Iterator[Note]:
    """Ask each address of the SMTP server for its name, and that name for the address."""
    server = case.server
    if not server:
        return
    if is_loopback(server):
        said = "mail leaves through the server on this machine; the name of its address is not seen here"
        yield Note("ok", "ptr", said)
        return
    addresses = case.resolver.addresses(server)
    if not addresses:
        yield Note("fail", "ptr", f"{server} has no address", "check 'host' below 'provider'")
    for address in addresses:
        names = case.resolver.hosts(address)
        confirmed = [name for name in names if address in case.resolver.addresses(name)]
        advice = f"ask whoever gives you {address} for a PTR record with a name that leads back to it"
        if confirmed:
            yield Note("ok", "ptr", f"{address} is {confirmed[0]}, and {confirmed[0]} is {address}")
        elif names:
            yield Note("warn", "ptr", f"{address} is {names[0]}, which is not {address}", advice)
        else:
            yield Note("warn", "ptr", f"{address} of {server} has no name; many receivers refuse its mail", advice)
