"""A stand-in for Brevo: it renders a batch into what each reader gets, refuses keys it knows, and tells of it later."""

from __future__ import annotations

import datetime as dt
import html
import json
import re
import urllib.parse
from collections.abc import Callable, Mapping
from email.header import decode_header, make_header
from typing import Any

from provider_server import ProviderServer
from web_servers import Said, Seen

from newsletter.providers.brevo import Brevo, BrevoSettings

_TAG = re.compile(r"\{\{\s*(.*?)\s*\}\}|\{%\s*(.*?)\s*%\}|\{#.*?#\}", re.DOTALL)


def render(template: str, params: Mapping[str, str], *, values_too: bool) -> str:
    """Render as Brevo does: values are escaped until a tag says otherwise, and what is not known is nothing.

    Whether it renders the values as well is not documented, and was seen.
    """
    escaping = True

    def tag(found: re.Match[str]) -> str:
        nonlocal escaping
        if found[2] in ("autoescape off", "endautoescape"):
            escaping = found[2] == "endautoescape"
        if found[1] is None or not found[1].startswith("params."):
            return ""
        value = params.get(found[1].removeprefix("params."), "")
        value = render(value, {}, values_too=False) if values_too else value
        return html.escape(value) if escaping else value

    return _TAG.sub(tag, template)


class BrevoServer(ProviderServer):
    """Takes message versions, and tells of events, `page_size` a page at most."""

    def __init__(self, key: str, *, values_too: bool = False) -> None:
        super().__init__()
        self.key, self.values_too = key, values_too
        self._carrier_key = key
        self.window = dt.timedelta(minutes=15)
        self.lag = dt.timedelta(minutes=30)
        self.kept: dict[str, dt.datetime] = {}
        self.events: list[dict[str, Any]] = []
        self.page_size = 2500

    def carrier(self, clock: Callable[[], dt.datetime]) -> Brevo:
        given = {"name": "brevo", "key": "env:BREVO_KEY", "base_url": self.url, "timeout": self.timeout}
        return Brevo(BrevoSettings.model_validate(given), self._carrier_key, clock)

    def sends(self, seen: Seen) -> bool:
        return seen.method == "POST"

    def serve(self, seen: Seen) -> Said | str:
        if seen.headers.get("api-key") != self.key:
            return _error(401, "unauthorized", "Key not found")
        parts = urllib.parse.urlsplit(seen.path)
        if (seen.method, parts.path) == ("POST", "/v3/smtp/email"):
            return self._take(json.loads(seen.body))
        if (seen.method, parts.path) == ("GET", "/v3/smtp/statistics/events"):
            return self._tell(dict(urllib.parse.parse_qsl(parts.query)))
        if (seen.method, parts.path) == ("GET", "/v3/account"):
            return _json(200, {"email": "editors@example.org", "plan": []})
        return _error(404, "document_not_found", "no such path")

    def _take(self, body: dict[str, Any]) -> Said:
        control = body["headers"]
        key = control.get("idempotencyKey", "")
        at = self.kept.get(key)
        if at is not None and self.now - at < self.window:
            return _error(400, "duplicate_parameter", "idempotencyKey is already used")
        refused = self._refused(body)
        if refused is not None:
            return refused
        names = [f"<{self.now:%Y%m%d}.{len(self.events) + n}@mailin.fr>" for n, _ in enumerate(body["messageVersions"])]
        if control.get("X-Sib-Sandbox") != "drop":
            self.kept[key] = self.now
            for version, name in zip(body["messageVersions"], names, strict=True):
                self._deliver(body, version, name)
        return _json(201, {"messageIds": names})

    def _refused(self, body: dict[str, Any]) -> Said | None:
        versions = body["messageVersions"]
        sizes = [len(json.dumps(version.get("params", {})).encode()) for version in versions]
        addresses = [to["email"] for version in versions for to in version["to"]]
        if "htmlContent" not in body:
            return _error(400, "missing_parameter", "htmlContent is missing")
        if "to" in body or len(versions) > 1000 or len(addresses) > 2000:
            return _error(400, "out_of_range", "too many message versions")
        if sum(sizes) > 1_000_000 or max(sizes) > 100_000:
            return _error(400, "out_of_range", "params exceed the limit")
        if self.bad & set(addresses) or any("@@" in address for address in addresses):
            return _error(400, "invalid_parameter", "email is not valid in to")
        return None

    def _deliver(self, body: dict[str, Any], version: dict[str, Any], name: str) -> None:
        def write(part: str) -> str:
            return render(body[part], version.get("params", {}), values_too=self.values_too)

        # Encoded words are decoded, and leave as raw 8 bit.
        headers = {n.lower(): str(make_header(decode_header(v))) for n, v in version["headers"].items()}
        copy = {"subject": write("subject"), "html": write("htmlContent"), "text": write("textContent")}
        (to,) = version["to"]
        self.deliver(to["email"], {**headers, **copy, "reply-to": body.get("replyTo", {}).get("email", "")})
        about = {"email": to["email"], "messageId": name, "tag": json.dumps(body["tags"])}
        self.events.append({"event": "requests", "date": self.now.isoformat(), **about})

    def _tell(self, query: Mapping[str, str]) -> Said:
        told = [event for event in self.events if dt.datetime.fromisoformat(event["date"]) <= self.now - self.lag]
        fitting = [event for event in told if set(json.loads(query["tags"])) <= set(json.loads(event["tag"]))]
        start = int(query["offset"])
        page = fitting[start : start + min(self.page_size, int(query["limit"]))]
        return _json(200, {"events": page} if page else {})


def _error(status: int, code: str, message: str) -> Said:
    return _json(status, {"code": code, "message": message})


def _json(status: int, said: object) -> Said:
    return Said(status, {"Content-Type": "application/json"}, json.dumps(said).encode())
