"""Takes requests as SendGrid does, and merges them into what each reader gets."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from provider_server import ProviderServer
from web_servers import Said, Seen

from newsletter.providers.sendgrid import Sendgrid, SendgridSettings

_FORBIDDEN = (
    "x-sg-id x-sg-eid received dkim-signature content-type content-transfer-encoding to from subject reply-to cc"
)


def expand_in_one_pass(text: str, values: Mapping[str, str]) -> str:
    return re.sub("|".join(map(re.escape, values)) or "(?!)", lambda found: values[found[0]], text)


def expand_one_after_the_other(text: str, values: Mapping[str, str]) -> str:
    for tag, value in values.items():
        text = text.replace(tag, value)
    return text


class SendgridServer(ProviderServer):
    """An account that tracks all it can and adds a way to leave, unless a request forbids it.

    One bad address makes it refuse a request. `marks` are what it would report with the events of each address.
    """

    def __init__(self, key: str, expand: Callable[[str, Mapping[str, str]], str] = expand_in_one_pass) -> None:
        super().__init__()
        self.key, self.expand = key, expand
        self.scopes = ["mail.send", "user.profile.read"]
        self.marks: dict[str, dict[str, Any]] = {}

    def carrier(self, clock: Callable[[], dt.datetime], **settings: object) -> Sendgrid:
        given = {"name": "sendgrid", "key": "env:KEY", "base_url": self.url, "timeout": self.timeout, **settings}
        return Sendgrid(SendgridSettings.model_validate(given), self.key, clock)

    def sends(self, seen: Seen) -> bool:
        return seen.method == "POST"

    def serve(self, seen: Seen) -> Said | str:
        if seen.headers.get("Authorization") != f"Bearer {self.key}":
            return _refuse(401, "authorization required")
        if (seen.method, seen.path) == ("POST", "/v3/mail/send"):
            return self._take(seen)
        if (seen.method, seen.path) == ("GET", "/v3/scopes"):
            return Said(200, {"Content-Type": "application/json"}, json.dumps({"scopes": self.scopes}).encode())
        return _refuse(404, "not found")

    def _take(self, seen: Seen) -> Said:
        if len(seen.body) > 30_000_000:
            return _refuse(413, "content too large")
        said = json.loads(seen.body)
        if [part["type"] for part in said["content"]] != ["text/plain", "text/html"]:
            return _refuse(400, "text/plain must come first", "content")
        if not 0 < len(said["personalizations"]) <= 1000:
            return _refuse(400, "The personalization block is limited to 1000", "personalizations")
        for number, one in enumerate(said["personalizations"]):
            fault = self._fault(one)
            if fault:
                return _refuse(400, fault[1], f"personalizations.{number}.{fault[0]}")
        if said["mail_settings"]["sandbox_mode"]["enable"]:
            return Said(200)
        for one in said["personalizations"]:
            address = one["to"][0]["email"]
            self.deliver(address, self._copy(said, one))
            self.marks[address] = {**one["custom_args"], "category": said["categories"]}
        return Said(202, {"X-Message-Id": "one.filter.example.net"})

    def _fault(self, one: Mapping[str, Any]) -> tuple[str, str] | None:
        if one["to"][0]["email"] in self.bad:
            return "to.0.email", "Does not contain a valid address."
        if {name.lower() for name in one["headers"]} & set(_FORBIDDEN.split()):
            return "headers", "The header may not be overridden."
        if len(json.dumps(one["substitutions"], ensure_ascii=False).encode()) > 12_000:
            return "substitutions", "The substitutions may not exceed 10,000 bytes."
        if not all(isinstance(value, str) for value in one["custom_args"].values()):
            return "custom_args", "Custom arguments have to be strings."
        return None

    def _copy(self, said: Mapping[str, Any], one: Mapping[str, Any]) -> dict[str, str]:
        values = one["substitutions"]
        text, html = (self.expand(part["value"], values) for part in said["content"])
        tracking = said.get("tracking_settings", {})
        for kind in ("click_tracking", "open_tracking", "subscription_tracking"):
            if tracking.get(kind, {}).get("enable") is not False:
                text, html = text + kind, html + kind
        copy = {name.lower(): value for name, value in one["headers"].items()}
        copy |= {"subject": self.expand(said["subject"], values), "text": text, "html": html}
        copy["from"] = f"{said['from'].get('name', '')} <{said['from']['email']}>"
        return copy | ({"reply-to": said["reply_to"]["email"]} if "reply_to" in said else {})


def _refuse(status: int, message: str, field: str | None = None) -> Said:
    said = {"errors": [{"message": message, "field": field, "help": None}]}
    return Said(status, {"Content-Type": "application/json"}, json.dumps(said).encode())
