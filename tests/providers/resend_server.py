"""A stand-in for Resend: it takes whole messages, all or none of them, and remembers keys for a day."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from provider_server import ProviderServer
from web_servers import Said, Seen

from newsletter.providers.resend import Resend, ResendSettings


@dataclass(frozen=True)
class _Kept:
    body: bytes
    said: Said
    at: dt.datetime


class ResendServer(ProviderServer):
    """Answers a repeated key as it answered first; `under_way` are keys whose first request has not ended yet."""

    merges = False

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key
        self._carrier_key = key
        self.window = dt.timedelta(hours=24)
        self.kept: dict[str, _Kept] = {}
        self.under_way: set[str] = set()
        self.domains: list[dict[str, Any]] = [
            {"name": "example.org", "status": "verified", "open_tracking": False, "click_tracking": False}
        ]

    def carrier(self, clock: Callable[[], dt.datetime]) -> Resend:
        given = {"name": "resend", "key": "env:RESEND_KEY", "base_url": self.url, "timeout": self.timeout}
        return Resend(ResendSettings.model_validate(given), self._carrier_key, clock)

    def sends(self, seen: Seen) -> bool:
        return seen.method == "POST"

    def serve(self, seen: Seen) -> Said | str:
        if seen.headers.get("Authorization") != f"Bearer {self.key}":
            return _error(401, "missing_api_key", "Missing API key in the authorization header")
        if (seen.method, seen.path) == ("GET", "/domains"):
            return _json(200, {"object": "list", "has_more": False, "data": self.domains})
        if (seen.method, seen.path) != ("POST", "/emails/batch"):
            return _error(404, "not_found", "The requested endpoint does not exist")
        return self._guarded(seen)

    def _guarded(self, seen: Seen) -> Said:
        key = seen.headers.get("Idempotency-Key", "")
        if key in self.under_way:
            return _error(409, "concurrent_idempotent_requests", "Same key used while a request is in progress")
        kept = self.kept.get(key)
        if kept is not None and self.now - kept.at < self.window:
            same = kept.body == seen.body
            return kept.said if same else _error(409, "invalid_idempotent_request", "Same key used with another body")
        said = self._take(json.loads(seen.body))
        if key and said.status == 200:
            self.kept[key] = _Kept(seen.body, said, self.now)
        return said

    def _take(self, messages: list[dict[str, Any]]) -> Said:
        if len(messages) > 100:
            return _error(422, "validation_error", "The batch may hold 100 emails")
        for message in messages:
            if self.bad & set(message["to"]) or any("@@" in address for address in message["to"]):
                return _error(422, "validation_error", "Invalid `to` field. The email address needs to be valid.")
            for tag in message["tags"]:
                if not re.fullmatch("[A-Za-z0-9_-]{1,256}", tag["name"] + tag["value"]):
                    return _error(422, "validation_error", "Tags should only contain ASCII letters and so on")
        for message in messages:
            headers = {name.lower(): value for name, value in message["headers"].items()}
            body = {part: message[part] for part in ("from", "subject", "html", "text")}
            self.deliver(message["to"][0], {**headers, **body, "reply-to": message.get("reply_to", "")})
        return _json(200, {"data": [{"id": f"{len(self.kept)}-{number}"} for number, _ in enumerate(messages)]})


def _error(status: int, name: str, message: str) -> Said:
    return _json(status, {"statusCode": status, "name": name, "message": message})


def _json(status: int, said: object) -> Said:
    return Said(status, {"Content-Type": "application/json"}, json.dumps(said).encode())
