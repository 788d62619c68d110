"""Takes batches as Postmark does, and tells of its messages when it is asked for them."""

from __future__ import annotations

import datetime as dt
import json
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

from provider_server import ProviderServer
from web_servers import Said, Seen

from newsletter.providers.postmark import Postmark, PostmarkSettings

TEST_TOKEN = "POSTMARK_API_TEST"


class PostmarkServer(ProviderServer):
    """Keeps the messages of one server of Postmark's, which has one broadcast stream that leaves unsubscribing to us.

    `suppressed` are addresses it sends nothing to any more. Pages of a look-up hold `page_size` messages at most.
    """

    lag = dt.timedelta(seconds=Postmark.lag)
    memory = dt.timedelta(seconds=Postmark.memory)

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key
        self.suppressed: set[str] = set()
        self.messages: list[dict[str, Any]] = []
        self.page_size = 500
        self.handling = "Custom"

    def carrier(self, clock: Callable[[], dt.datetime], **settings: object) -> Postmark:
        given = {"name": "postmark", "key": "env:KEY", "base_url": self.url, "timeout": self.timeout, **settings}
        return Postmark(PostmarkSettings.model_validate(given), self.key, clock)

    def sends(self, seen: Seen) -> bool:
        return seen.method == "POST"

    def serve(self, seen: Seen) -> Said | str:
        parts = urllib.parse.urlsplit(seen.path)
        token = seen.headers.get("X-Postmark-Server-Token")
        if (seen.method, parts.path) == ("POST", "/email/batch") and token in (self.key, TEST_TOKEN):
            return self._take(seen, really=token == self.key)
        if token != self.key:
            return _json(401, {"ErrorCode": 10, "Message": "Bad or missing Server API token."})
        if (seen.method, parts.path) == ("GET", "/messages/outbound"):
            return self._tell(dict(urllib.parse.parse_qsl(parts.query)))
        if (seen.method, parts.path) == ("GET", "/message-streams/broadcast"):
            handling = {"UnsubscribeHandlingType": self.handling}
            kind = {"ID": "broadcast", "MessageStreamType": "Broadcasts"}
            return _json(200, {**kind, "SubscriptionManagementConfiguration": handling})
        return _json(404, {})

    def _take(self, seen: Seen, *, really: bool) -> Said:
        if len(seen.body) > 50_000_000:
            return Said(413)
        messages = json.loads(seen.body)
        if len(messages) > 500:
            return _json(422, {"ErrorCode": 410, "Message": "There are too many messages in the batch."})
        return _json(200, [self._judge(message, really=really) for message in messages])

    def _judge(self, message: dict[str, Any], *, really: bool) -> dict[str, Any]:
        address = message["To"]
        if message["MessageStream"] != "broadcast":
            return {"ErrorCode": 1235, "Message": "The MessageStream does not exist on this server."}
        if address in self.bad:
            return {"ErrorCode": 300, "Message": f"Invalid 'To' address: '{address}'."}
        if address in self.suppressed:
            return {"ErrorCode": 406, "Message": f"The recipient is inactive. Inactive addresses: {address}."}
        number = f"00000000-0000-4000-8000-{len(self.messages):012}"
        if really:
            self.deliver(address, self._copy(message))
            kept = {name: message[name] for name in ("Tag", "Metadata", "MessageStream")}
            self.messages.append({**kept, "MessageID": number, "Recipients": [address], "at": self.now})
        return {"ErrorCode": 0, "Message": "OK", "To": address, "MessageID": number, "SubmittedAt": str(self.now)}

    def _copy(self, message: Mapping[str, Any]) -> dict[str, str]:
        headers = {header["Name"].lower(): header["Value"] for header in message["Headers"]}
        if headers.pop("x-pm-keepid", "") != "true":
            headers["message-id"] = "<one-of-their-own@mtasv.example.net>"
        html, text = (_unsubscribe(message[name]) for name in ("HtmlBody", "TextBody"))
        if self.handling == "Postmark":  # what it does unless its support has switched that off
            html, text = f"{html}<p>Unsubscribe</p>", f"{text}Unsubscribe\n"
            headers["list-unsubscribe"] = "<https://unsubscribe.example.net/>"
        about = {"from": message["From"], "subject": message["Subject"], "html": html, "text": text}
        reply = {"reply-to": message["ReplyTo"]} if "ReplyTo" in message else {}
        return {**headers, **about, **reply}

    def _tell(self, query: dict[str, str]) -> Said:
        count, offset = int(query.pop("count")), int(query.pop("offset"))
        fields = {name: value for name, value in query.items() if name.startswith("metadata_")}
        if count > 500 or count + offset > 10_000 or len(fields) > 1:
            return _json(422, {"ErrorCode": 700, "Message": "The query is not valid."})
        fitting = [message for message in self.messages if self._shows(message, query, fields)]
        page = fitting[offset : offset + min(count, self.page_size)]
        shown = [{name: value for name, value in message.items() if name != "at"} for message in page]
        return _json(200, {"TotalCount": len(fitting), "Messages": shown})

    def _shows(self, message: Mapping[str, Any], query: Mapping[str, str], fields: Mapping[str, str]) -> bool:
        return (
            self.lag <= self.now - message["at"] < self.memory
            and (message["Tag"], message["MessageStream"]) == (query["tag"], query["messagestream"])
            and all(message["Metadata"][name.removeprefix("metadata_")] == value for name, value in fields.items())
        )


def _unsubscribe(text: str) -> str:
    return text.replace("{{{ pm:unsubscribe }}}", "https://unsubscribe.example.net/")


def _json(status: int, said: object) -> Said:
    return Said(status, {"Content-Type": "application/json"}, json.dumps(said).encode())
