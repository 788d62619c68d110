"""DKIM: whether every key that signs is published, whole and strong enough (RFC 6376, RFC 8301, RFC 8463)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from newsletter.doctor.case import Case
from newsletter.doctor.dns import Resolver
from newsletter.doctor.note import Note, tags
from newsletter.providers.dkim import GOOD_BITS, Key

_TOPIC = "dkim"


def examine(case: Case) -> Iterator[Note]:
    """Compare each key's record with the key itself."""
    for key in case.keys:
        yield from _of_key(case.resolver, key, key.domain or case.domain)
    if case.keys:
        return
    if case.foreign:
        yield Note("ok", _TOPIC, f"{case.foreign} signs, by a selector that only its page for your domain tells")
    elif case.server:
        said = "mail leaves here without a signature; large receivers refuse that, unless the server signs it"
        yield Note("warn", _TOPIC, said, "make a key, and name it by 'dkim' below 'provider' (docs/settings.md)")


def _of_key(resolver: Resolver, key: Key, domain: str) -> Iterator[Note]:
    name = f"{key.selector}._domainkey.{domain}"
    publish = f"publish this TXT record at {name}: {key.record}"
    if key.algorithm == "rsa-sha256" and key.bits < GOOD_BITS:
        said = f"the key of {name} has {key.bits} bits"
        yield Note("warn", _TOPIC, said, f"make one of {GOOD_BITS} bits, with a new selector")
    records = resolver.ask(name, "TXT")
    if len(records) != 1:
        said = f"there is no record at {name}" if not records else f"there are {len(records)} records at {name}"
        yield Note("fail", _TOPIC, said, publish)
        return
    found = tags(records[0])
    if found.get("p") == "":
        yield Note("fail", _TOPIC, f"the key at {name} is withdrawn", "use another selector with a new key")
    elif fault := _fault(found, key):
        yield Note("fail", _TOPIC, f"the record at {name} {fault}", publish)
    else:
        if "y" in found.get("t", "").split(":"):
            said = f"the record at {name} says t=y: receivers treat the mail as if it were not signed"
            yield Note("warn", _TOPIC, said, "delete t=y once you have seen a message arrive")
        yield Note("ok", _TOPIC, f"{name} holds our key ({key.algorithm}, {key.bits} bits)")


def _fault(found: Mapping[str, str], key: Key) -> str | None:
    if found.get("v", "DKIM1") != "DKIM1":
        return "is not of DKIM1"
    if found.get("k", "rsa") != key.algorithm.removesuffix("-sha256"):
        return f"is for {found.get('k', 'rsa')} keys, and ours is for {key.algorithm}"
    if "sha256" not in found.get("h", "sha256").split(":"):
        return "does not allow SHA-256"
    if not {"email", "*"} & set(found.get("s", "*").split(":")):
        return "is not for mail"
    return None if found.get("p") == key.public else "holds another key than ours"
