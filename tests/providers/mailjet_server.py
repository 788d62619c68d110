"""A stand-in for Mailjet: it takes whole messages, each for itself, and sends nobody a campaign twice."""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
from collections.abc import Callable
from typing import Any

from provider_server import ProviderServer
from web_servers import Said, Seen

from newsletter.providers.mailjet import Mailjet, MailjetSettings

API_KEY = "0123456789abcdef0123456789abcdef"
FORBIDDEN = """
    From Sender Subject To Cc Bcc Return-Path Delivered-To DKIM-Signature DomainKey-Status Received-SPF
    Authentication-Results Received X-Mailjet-Prio X-Mailjet-Debug User-Agent X-Mailer X-MJ-CustomID X-MJ-EventPayload
    X-MJ-Vars X-MJ-TemplateErrorDeliver X-MJ-TemplateErrorReporting X-MJ-TemplateLanguage X-Mailjet-TrackOpen
    X-Mailjet-TrackClick X-MJ-TemplateID X-MJ-WorkflowID X-Feedback-Id X-Mailjet-Segmentation List-Id X-MJ-MID
    X-MJ-ErrorMessage Date X-CSA-Complaints Message-Id X-Mailjet-Campaign X-MJ-StatisticsContactsListID Reply-To
"""


class MailjetServer(ProviderServer):
    """Judges each message; one that is refused makes the whole answer a 400. `sender` is what may stand in From."""

    merges = False

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key
        self._carrier_key = key
        self.sender = "weekly@example.org"
        self.sent: set[tuple[str, str]] = set()  # campaign, address
        self.blocked: list[tuple[str, str]] = []

    def carrier(self, clock: Callable[[], dt.datetime]) -> Mailjet:
        given = {
            "name": "mailjet",
            "api_key": API_KEY,
            "key": "env:MAILJET_KEY",
            "base_url": self.url,
            "timeout": self.timeout,
        }
        return Mailjet(MailjetSettings.model_validate(given), self._carrier_key, clock)

    def sends(self, seen: Seen) -> bool:
        return seen.method == "POST"

    def serve(self, seen: Seen) -> Said | str:
        expected = base64.b64encode(f"{API_KEY}:{self.key}".encode()).decode()
        if seen.headers.get("Authorization") != f"Basic {expected}":
            return _json(401, _error("mj-0015", "API key authentication/authorization failure.", status=401))
        if seen.method == "GET" and seen.path.startswith("/v3/REST/sender"):
            return _json(200, {"Count": 1, "Data": [{"Email": self.sender, "Status": "Active"}], "Total": 1})
        if (seen.method, seen.path) == ("POST", "/v3.1/send"):
            return self._take(json.loads(seen.body))
        return Said(404, {}, b"not found")

    def _take(self, body: dict[str, Any]) -> Said:
        if len(body["Messages"]) > 50:
            return _json(400, _error("mj-0008", "Too many Messages", "Messages"))
        results = [self._judge(message, sandbox=body.get("SandboxMode", False)) for message in body["Messages"]]
        whole = 200 if all(result["Status"] == "success" for result in results) else 400
        return _json(whole, {"Messages": results})

    def _judge(self, message: dict[str, Any], *, sandbox: bool) -> dict[str, Any]:
        (to,) = message["To"]
        forbidden = {name.lower() for name in FORBIDDEN.split()}
        for name in message["Headers"]:
            if name.lower() in forbidden:
                return _refusal(_error("send-0011", "Header cannot be customized", f'Headers["{name}"]'))
        if message["From"]["Email"] != self.sender:
            return _refusal(_error("send-0008", "is not an authorized sender", "From", status=403))
        if to["Email"] in self.bad or "@@" in to["Email"]:
            return _refusal(_error("mj-0013", "is an invalid email address.", "To[0].Email"))
        if sandbox:
            return {"Status": "success", "CustomID": message["CustomID"]}
        again = (message["CustomCampaign"], to["Email"]) in self.sent
        if message.get("DeduplicateCampaign") and again:
            self.blocked.append((message["CustomCampaign"], to["Email"]))
        else:
            self.sent.add((message["CustomCampaign"], to["Email"]))
            self._deliver(message, to["Email"])
        named = {"Email": to["Email"], "MessageID": 70650219165027410 + sum(self.got.values())}
        return {"Status": "success", "CustomID": message["CustomID"], "To": [named], "Cc": [], "Bcc": []}

    def _deliver(self, message: dict[str, Any], address: str) -> None:
        assert message["TemplateLanguage"] is False
        parts = {"subject": "Subject", "html": "HTMLPart", "text": "TextPart"}
        copy = {part: re.sub(r"\[\[(var|data):.*?\]\]", "", message[name]) for part, name in parts.items()}
        headers = {name.lower(): value for name, value in message["Headers"].items()}
        self.deliver(address, {**headers, **copy, "reply-to": message.get("ReplyTo", {}).get("Email", "")})


def _error(code: str, message: str, *related: str, status: int = 400) -> dict[str, Any]:
    return {"ErrorCode": code, "StatusCode": status, "ErrorMessage": message, "ErrorRelatedTo": list(related)}


def _refusal(error: dict[str, Any]) -> dict[str, Any]:
    return {"Status": "error", "Errors": [error]}


def _json(status: int, said: object) -> Said:
    return Said(status, {"Content-Type": "application/json"}, json.dumps(said).encode())
