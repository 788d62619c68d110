"""DKIM keys for tests, and two verifiers that are not ours, asking a DNS server on loopback."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import dkim
import dns.resolver
from components import component
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from local_dns import LocalDns, Zone

from newsletter.providers.dkim import DkimSettings, Signer, open_signer

PrivateKey = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def write_key(path: Path, private: PrivateKey) -> Path:
    """Write a private key as PEM, for its owner only."""
    forms = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private.private_bytes(*forms))
    path.chmod(0o600)
    return path


def make_signer(folder: Path) -> Signer:
    """Make a signer with an RSA key of selector `rsa` and an Ed25519 key of selector `ed`."""
    write_key(folder / "rsa.pem", rsa.generate_private_key(65537, 2048))
    write_key(folder / "ed.pem", ed25519.Ed25519PrivateKey.generate())
    signer = open_signer([DkimSettings(selector=name, key=f"file:{name}.pem") for name in ("rsa", "ed")], folder)
    assert signer is not None
    return signer


def records(signer: Signer, domain: str = "example.org") -> Zone:
    """Return the zone that a signer's keys are published in."""
    return {f"{key.selector}._domainkey.{key.domain or domain}": {"TXT": [key.record]} for key in signer.keys}


def dkimpy_says(message: bytes, server: LocalDns) -> list[bool]:
    """Verify every signature of a message by dkimpy."""
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], server.port

    def ask(name: bytes, timeout: int = 5) -> bytes:
        found = resolver.resolve(name.decode(), "TXT", lifetime=timeout)
        return b"".join(found[0].strings)

    def verified(number: int) -> bool:
        try:
            return bool(dkim.DKIM(message).verify(number, dnsfunc=ask))
        except dkim.DKIMException:
            return False

    count = len(re.findall(rb"^DKIM-Signature:", message, re.MULTILINE))
    return [verified(number) for number in range(count)]


def opendkim_says(message: bytes, server: LocalDns, folder: Path) -> dict[str, str]:
    """Verify every signature of a message by OpenDKIM; return what it says of each selector: pass, fail, ..."""
    mail, resolver, settings = folder / "message.eml", folder / "unbound.conf", folder / "opendkim.conf"
    mail.write_bytes(message)
    forward = f'forward-zone:\n  name: "."\n  forward-addr: 127.0.0.1@{server.port}\n'
    resolver.write_text(f'server:\n  do-not-query-localhost: no\n  module-config: "iterator"\n{forward}')
    settings.write_text(f"Mode v\nSyslog no\nResolverConfiguration {resolver}\n")
    command = [component("opendkim"), "-x", str(settings), "-vvv", "-t", str(mail)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = re.findall(r"dkim=(\w+)(?:(?!dkim=).)*?header\.s=(\w+)", said, re.DOTALL)
    return {selector: outcome for outcome, selector in found}
