"""A stand-in for Mailgun: it merges a batch into what each reader gets, and tells of it half an hour later."""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

from provider_server import ProviderServer
from web_servers import Said, Seen, form

from newsletter.providers.mailgun import Mailgun, MailgunSettings

DOMAIN = "mg.example.org"


def expand_in_one_pass(text: str, values: Mapping[str, Any]) -> str:
    return re.sub(r"%recipient\.([A-Za-z0-9_.-]+)%", lambda found: str(values.get(found[1], found[0])), text)


def expand_one_after_the_other(text: str, values: Mapping[str, Any]) -> str:
    for name, value in values.items():
        text = text.replace(f"%recipient.{name}%", str(value))
    return text


def unlike_ours(text: str) -> str:
    """Expand what Mailgun expands beside recipient variables."""
    text = text.replace("%unsubscribe_url%", "https://mailgun.example.org/leave")
    return re.sub(r"%recipient(_email|_name)?%", "somebody@example.org", text)


class MailgunServer(ProviderServer):
    """Takes messages and tells of events, `page_size` a page. How it expands variables is not documented: `expand`."""

    def __init__(self, key: str, expand: Callable[[str, Mapping[str, Any]], str] = expand_in_one_pass) -> None:
        super().__init__()
        self.key, self.expand = key, expand
        self.events: list[dict[str, Any]] = []
        self.page_size = 300
        self.lag = dt.timedelta(minutes=30)
        self._carrier_key = key

    def carrier(self, clock: Callable[[], dt.datetime]) -> Mailgun:
        given = {
            "name": "mailgun",
            "domain": DOMAIN,
            "key": "env:MAILGUN_KEY",
            "base_url": self.url,
            "timeout": self.timeout,
        }
        return Mailgun(MailgunSettings.model_validate(given), self._carrier_key, clock)

    def sends(self, seen: Seen) -> bool:
        return seen.method == "POST"

    def serve(self, seen: Seen) -> Said | str:
        expected = base64.b64encode(f"api:{self.key}".encode()).decode()
        if seen.headers.get("Authorization") != f"Basic {expected}":
            return Said(401, {}, b"Forbidden")
        parts = urllib.parse.urlsplit(seen.path)
        if (seen.method, parts.path) == ("POST", f"/v3/{DOMAIN}/messages"):
            return self._take(dict(_grouped(form(seen))))
        if seen.method == "GET" and parts.path.startswith(f"/v3/{DOMAIN}/events"):
            return self._tell(parts)
        if (seen.method, parts.path) == ("GET", f"/v4/domains/{DOMAIN}"):
            return _json(200, {"domain": {"name": DOMAIN, "state": "active"}})
        return Said(200, {"Content-Type": "text/plain"}, b"Mailgun Magnificent API")

    def _take(self, fields: dict[str, list[str]]) -> Said | str:
        if len(fields["to"]) > 1000:
            return _json(400, {"message": "to parameter: too many recipients"})
        if any("invalid" in address or address in self.bad for address in fields["to"]):
            return _json(400, {"message": "to parameter is not a valid address. please check documentation"})
        values = json.loads(fields["recipient-variables"][0])
        for address in fields["to"]:
            self.deliver(address, self._copy(fields, values[address]))
            variables = {n[2:]: self.expand(v[0], values[address]) for n, v in fields.items() if n.startswith("v:")}
            about = {"recipient": address, "tags": fields["o:tag"], "user-variables": variables}
            stamp = {"id": str(len(self.events)), "timestamp": self.now.timestamp()}
            self.events.append({"event": "accepted", **stamp, **about})
        return _json(200, {"id": "<20160422.1@mg.example.org>", "message": "Queued. Thank you."})

    def _copy(self, fields: dict[str, list[str]], values: Mapping[str, Any]) -> dict[str, str]:
        written = {name: fields[name][0] for name in ("from", "subject", "text", "html")}
        written |= {name[2:].lower(): value[0] for name, value in fields.items() if name.startswith("h:")}
        return {name: self.expand(unlike_ours(value), values) for name, value in written.items()}

    def _tell(self, parts: urllib.parse.SplitResult) -> Said:
        query = dict(urllib.parse.parse_qsl(parts.query))
        page = int(query.get("page", "0"))
        kinds, latest = query["event"].split(" OR "), (self.now - self.lag).timestamp()
        fitting = [
            event
            for event in self.events
            if query["tags"] in event["tags"] and event["event"] in kinds
            if float(query["begin"]) <= event["timestamp"] <= latest
        ]
        items = fitting[page * self.page_size : (page + 1) * self.page_size]
        following = urllib.parse.urlencode({**query, "page": str(page + 1)})
        return _json(200, {"items": items, "paging": {"next": f"{self.url}{parts.path}?{following}"}})


def _json(status: int, said: object) -> Said:
    return Said(status, {"Content-Type": "application/json"}, json.dumps(said).encode())


def _grouped(fields: list[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in fields:
        grouped.setdefault(name, []).append(value)
    return grouped
