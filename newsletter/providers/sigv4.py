"""Signs a request as Amazon wants it: Signature Version 4 (AWS General Reference, "Signing AWS API requests", 2026)."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
import urllib.parse
from dataclasses import dataclass, field, replace

from newsletter.providers.http import Request

_ALGORITHM = "AWS4-HMAC-SHA256"
_UNRESERVED = "-_.~"  # what is left as it is beside letters and digits; a path keeps its slashes too


@dataclass(frozen=True)
class Credentials:
    """An access key with its secret; `token` belongs to credentials that are lent for some hours."""

    access_key: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)


def signed(request: Request, who: Credentials, region: str, service: str, now: dt.datetime) -> Request:
    """Return the request with the headers that prove who sends it; `now` is aware. Amazon takes it for five minutes.

    The path of the address has no empty part and no dots alone, which Amazon would read in another way.
    """
    parts = urllib.parse.urlsplit(request.url)
    moment = now.astimezone(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {**request.headers, "Host": _host(parts), "X-Amz-Date": moment}
    if who.token:
        headers["X-Amz-Security-Token"] = who.token
    canonical = {name.lower(): re.sub(" +", " ", value).strip() for name, value in headers.items()}
    names = ";".join(sorted(canonical))
    lines = [
        request.method,
        urllib.parse.quote(parts.path or "/", safe=f"/{_UNRESERVED}"),
        _query(parts.query),
        *(f"{name}:{canonical[name]}" for name in sorted(canonical)),
        "",
        names,
        hashlib.sha256(request.body).hexdigest(),
    ]
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    said = "\n".join([_ALGORITHM, moment, scope, hashlib.sha256("\n".join(lines).encode()).hexdigest()])
    key = f"AWS4{who.secret}".encode()
    for part in (*scope.split("/"), said):
        key = hmac.digest(key, part.encode(), "sha256")
    proof = f"Credential={who.access_key}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
    return replace(request, headers={**headers, "Authorization": f"{_ALGORITHM} {proof}"})


def _host(parts: urllib.parse.SplitResult) -> str:
    """Return the Host header: with the port only where it is not the usual one."""
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if parts.port in (None, usual) else f"{host}:{parts.port}"


def _query(query: str) -> str:
    pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
    encoded = sorted(tuple(urllib.parse.quote(part, safe=_UNRESERVED) for part in pair) for pair in pairs)
    return "&".join("=".join(pair) for pair in encoded)
