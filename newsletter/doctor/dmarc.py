"""DMARC: whether the From's domain has a policy, and whether our mail is aligned with it (RFC 9989)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from newsletter.doctor.case import Case
from newsletter.doctor.dns import Resolver
from newsletter.doctor.note import Note, tags

_TOPIC = "dmarc"
_DROPPED = ("pct", "rf", "ri")  # RFC 9989 does not know them any more
_MOST_LABELS = 7  # of a name that the walk up the tree goes to from a longer one (RFC 9989, 4.10)

Found = list[tuple[str, Mapping[str, str]]]


def walk(resolver: Resolver, domain: str) -> Found:
    """Return the records from a domain up to the root, each with the name it stands at. Raises Unanswered."""
    found: Found = []
    labels = domain.split(".")
    while labels:
        name = ".".join(labels)
        records = [one for one in map(tags, resolver.ask(f"_dmarc.{name}", "TXT")) if one.get("v") == "DMARC1"]
        if len(records) == 1:
            found.append((name, records[0]))
            if records[0].get("psd") in ("y", "n"):
                break
        labels = labels[max(1, len(labels) - _MOST_LABELS) :]
    return found


def organization(domain: str, found: Found) -> str:
    """Return the domain of the organization that a domain belongs to, given its walk (RFC 9989, 4.10.2)."""
    for name, record in found:
        if record.get("psd") == "n":
            return name
        if record.get("psd") == "y" and name != domain:
            return ".".join(domain.split(".")[-name.count(".") - 2 :])
    return found[-1][0] if found else domain


def examine(case: Case) -> Iterator[Note]:
    """Look at the policy, then at the domains of the return path and of the signatures."""
    found = walk(case.resolver, case.domain)
    home = organization(case.domain, found)
    name, record = next((one for one in found if one[0] in (case.domain, home)), ("", None))
    if record is None:
        advice = f"publish a TXT record at _dmarc.{home}, to begin with: v=DMARC1; p=none; rua=mailto:..."
        yield Note("fail", _TOPIC, f"there is no policy for {case.domain}; large receivers ask for one", advice)
        return
    yield from _of_policy(case.domain, name, record)
    if not case.foreign:
        yield from _of_alignment(case, home, record)


def _of_policy(domain: str, name: str, record: Mapping[str, str]) -> Iterator[Note]:
    policy = record.get("p", "none") if name == domain else record.get("sp", record.get("p", "none"))
    where = f"the policy at _dmarc.{name}"
    if policy not in ("none", "quarantine", "reject"):
        yield Note("fail", _TOPIC, f"{where} is '{policy}', which means nothing", "write none, quarantine or reject")
    elif policy == "none":
        said = f"{where} is none: receivers deliver what others send in your name"
        yield Note(
            "warn", _TOPIC, said, "once the reports show only your own hosts, write p=quarantine, later p=reject"
        )
    else:
        yield Note("ok", _TOPIC, f"{where} is {policy}{', as a test (t=y)' if record.get('t') == 'y' else ''}")
    if not record.get("rua"):
        yield Note("warn", _TOPIC, f"{where} asks for no reports", "add rua=mailto: and an address you read")
    dropped = [tag for tag in _DROPPED if tag in record]
    if dropped:
        yield Note("warn", _TOPIC, f"{where} has {', '.join(dropped)}, which RFC 9989 has dropped", "delete it")


def _of_alignment(case: Case, home: str, record: Mapping[str, str]) -> Iterator[Note]:
    signed = {key.domain or case.domain for key in case.keys}

    def aligned(other: str, tag: str) -> bool:
        strict = record.get(tag) == "s"
        return other == case.domain or (not strict and organization(other, walk(case.resolver, other)) == home)

    by_dkim = sorted(other for other in signed if aligned(other, "adkim"))
    by_spf = aligned(case.bounce_domain, "aspf")
    if by_dkim:
        yield Note("ok", _TOPIC, f"the signature of {by_dkim[0]} is aligned with {case.domain}")
    elif signed:
        said = f"no signature is aligned with {case.domain}: they are of {', '.join(sorted(signed))}"
        advice = "sign with a key of the sender's domain: leave 'domain' out below 'dkim'"
        yield Note("warn" if by_spf else "fail", _TOPIC, said, advice)
    if by_spf:
        yield Note("ok", _TOPIC, f"the return path ({case.bounce_domain}) is aligned with {case.domain}")
    else:
        said = f"the return path ({case.bounce_domain}) is not aligned with {case.domain}"
        advice = f"set 'bounce' to an address at {case.domain} or below it"
        yield Note("warn" if by_dkim else "fail", _TOPIC, said, advice)
