"""Stand-ins for Amazon SES v2: one that takes messages as they are, one that merges a template for 50 readers.

The signature is checked with Amazon's own client, so that a fault of ours is not repeated here.
"""

from __future__ import annotations

import base64
import datetime as dt
import email
import email.policy
import itertools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from provider_server import ProviderServer
from web_servers import Said, Seen

from newsletter.providers.base import Provider
from newsletter.providers.ses import Ses, SesSettings
from newsletter.providers.ses_bulk import SesBulk, SesBulkSettings

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
REGION = "eu-west-1"
PATHS = {"/v2/email/outbound-emails", "/v2/email/outbound-bulk-emails"}

_PROOF = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([A-Z0-9]+)/(\d{8})/([a-z0-9-]+)/ses/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
)
_DISALLOWED = re.compile(
    "b?cc|content-disposition|content-type|date|from|message-id|mime-version|reply-to|return-path|subject|to"
)


def expand_in_one_pass(text: str, values: Mapping[str, Any]) -> str:
    return re.sub(r"\{\{([A-Za-z0-9_]+)\}\}", lambda found: str(values[found[1]]), text)


def expand_one_after_the_other(text: str, values: Mapping[str, Any]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{{{name}}}}}", str(value))
    return text


def error(status: int, kind: str, message: str) -> Said:
    """Say an error as SES does: its name stands in a header, the body has the message."""
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": kind}
    return Said(status, headers, json.dumps({"message": message}).encode())


class _Refused(Exception):  # noqa: N818 - it is an answer
    def __init__(self, message: str) -> None:
        self.said = error(400, "BadRequestException", message)


class SesServer(ProviderServer):
    """Takes raw messages, bulk requests too, and tells of the account.

    A signature is good for five minutes at Amazon's; here only when `strict_time` is set, for the clock of a test is
    not always that of the server.
    """

    merges: ClassVar[bool] = False
    kind: ClassVar[type[Provider]] = Ses
    settings_kind: ClassVar[Any] = SesSettings

    def __init__(self, key: str, expand: Callable[[str, Mapping[str, Any]], str] = expand_in_one_pass) -> None:
        super().__init__()
        self.key, self.expand = key, expand
        self.token = ""
        self.strict_time = False
        self.messages: list[tuple[str, bytes]] = []  # address and raw message
        self.requests: list[dict[str, Any]] = []
        self.tags: dict[str, dict[str, str]] = {}
        self.statuses: dict[str, dict[str, str]] = {}  # by address: what the result of its entry says instead
        self._carrier_key = key
        self._numbers = itertools.count(1)

    def carrier(self, clock: Callable[[], dt.datetime], **settings: object) -> Any:
        given = {
            "name": self.kind.name,
            "region": REGION,
            "access_key": ACCESS_KEY,
            "key": "env:AWS_SECRET_ACCESS_KEY",
            "base_url": self.url,
            "timeout": self.timeout,
            **settings,
        }
        return self.kind(self.settings_kind.model_validate(given), self._carrier_key, clock)  # type: ignore[call-arg]

    def sends(self, seen: Seen) -> bool:
        return seen.method == "POST" and seen.path in PATHS

    def serve(self, seen: Seen) -> Said | str:
        doubt = self._doubt(seen)
        if doubt is not None:
            return doubt
        if (seen.method, seen.path) == ("GET", "/v2/email/account"):
            quota = {"Max24HourSend": 50000.0, "MaxSendRate": 14.0, "SentLast24Hours": float(self.got.total())}
            return _json({"SendQuota": quota, "SendingEnabled": True, "ProductionAccessEnabled": True})
        if not self.sends(seen):
            return error(404, "NotFoundException", "no such thing")
        if len(seen.body) > 40_000_000:
            return Said(413, {}, b"Request Entity Too Large")
        given = json.loads(seen.body)
        self.requests.append(given)
        try:
            return self._take(given) if seen.path.endswith("/outbound-emails") else self._take_bulk(given, seen.body)
        except _Refused as refused:
            return refused.said

    def _doubt(self, seen: Seen) -> Said | None:
        """Check the signature with Amazon's signer; return the refusal."""
        found = _PROOF.fullmatch(seen.headers.get("Authorization", ""))
        if not found:
            return error(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
        access_key, day, region, names, proof = found.groups()
        moment = seen.headers.get("X-Amz-Date", "")
        lower = {name.lower(): value for name, value in seen.headers.items()}
        if access_key != ACCESS_KEY or lower.get("x-amz-security-token", "") != self.token:
            message = "The security token included in the request is invalid."
            return error(403, "UnrecognizedClientException", message)
        signed = {name: lower[name] for name in names.split(";")}
        asked = AWSRequest(seen.method, f"http://{lower['host']}{seen.path}", signed, seen.body)
        asked.context["timestamp"] = moment
        signer = SigV4Auth(Credentials(ACCESS_KEY, self.key, self.token or None), "ses", region)
        said = signer.string_to_sign(asked, signer.canonical_request(asked))
        needed = {"host", "x-amz-date"} | ({"x-amz-security-token"} if self.token else set())
        if not needed <= set(signed) or not moment.startswith(day) or signer.signature(said, asked) != proof:
            return error(403, "InvalidSignatureException", "The request signature we calculated does not match")
        made = dt.datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
        if self.strict_time and abs(made - self.now) > dt.timedelta(minutes=5):
            return error(403, "InvalidSignatureException", f"Signature expired: {moment} is now earlier than now")
        return None

    def _take(self, given: Mapping[str, Any]) -> Said:
        [address] = given["Destination"]["ToAddresses"]
        if address in self.bad:
            return error(400, "BadRequestException", "Local address contains control or whitespace")
        raw = base64.b64decode(given["Content"]["Raw"]["Data"], validate=True)
        message = email.message_from_bytes(raw, policy=email.policy.default)
        copy = {name.lower(): str(value) for name, value in message.items()}
        for kind in ("plain", "html"):
            body = message.get_body((kind,))
            if body is not None:
                copy["text" if kind == "plain" else kind] = body.get_content()
        self.messages.append((address, raw))
        return _json({"MessageId": self._deliver(address, copy, given["EmailTags"])})

    def _deliver(self, address: str, copy: dict[str, str], tags: list[dict[str, str]]) -> str:
        name = f"0102018e{next(self._numbers):08x}-000000"
        copy["message-id"] = f"<{name}@{REGION}.amazonses.com>"  # SES writes its own, whatever there was
        self.tags[address] = {tag["Name"]: tag["Value"] for tag in tags}
        if not all(re.fullmatch("[A-Za-z0-9_-]{1,256}", text) for tag in tags for text in tag.values()):
            raise _Refused("Invalid message tag")
        self.deliver(address, copy)
        return name

    def _take_bulk(self, given: Mapping[str, Any], body: bytes) -> Said:
        if len(body) > 1_000_000:
            return Said(413, {}, b"Request Entity Too Large")
        if not 0 < len(given["BulkEmailEntries"]) <= 50:
            raise _Refused("Too many destinations")
        template = given["DefaultContent"]["Template"]
        for part in template["TemplateContent"].values():
            if re.search(r"\{\{\{|\}\}\}|\\\{\{|\{\{(?![A-Za-z0-9_]+\}\})", part):
                raise _Refused("Template contains unsupported operations.")
        return _json(
            {"BulkEmailEntryResults": [self._entry(given, template, one) for one in given["BulkEmailEntries"]]}
        )

    def _entry(self, given: Mapping[str, Any], template: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, str]:
        [address] = entry["Destination"]["ToAddresses"]
        if address in self.bad:
            return {"Status": "INVALID_PARAMETER", "Error": "Local address contains control or whitespace"}
        if address in self.statuses:
            return self.statuses[address]
        replaced = json.loads(entry["ReplacementEmailContent"]["ReplacementTemplate"]["ReplacementTemplateData"])
        values = {**json.loads(template["TemplateData"]), **replaced}
        headers = _headers([*template.get("Headers", []), *entry.get("ReplacementHeaders", [])])
        try:
            parts = {name.lower(): self.expand(part, values) for name, part in template["TemplateContent"].items()}
        except KeyError:  # a variable without a value: SES takes the message, and reports a rendering failure later
            return {"Status": "SUCCESS", "MessageId": "never-rendered"}
        copy = {**headers, **parts, "from": given["FromEmailAddress"]}
        if given.get("ReplyToAddresses"):
            copy["reply-to"] = ", ".join(given["ReplyToAddresses"])
        return {"Status": "SUCCESS", "MessageId": self._deliver(address, copy, entry["ReplacementTags"])}


class SesBulkServer(SesServer):
    """The same, for the carrier that lets SES merge."""

    merges: ClassVar[bool] = True
    kind: ClassVar[type[Provider]] = SesBulk
    settings_kind: ClassVar[Any] = SesBulkSettings


def _headers(given: list[dict[str, str]]) -> dict[str, str]:
    merged = {header["Name"].lower(): header["Value"] for header in given}
    if len(merged) > 15 or any(_DISALLOWED.fullmatch(name) for name in merged):
        raise _Refused("Too many headers, or one of them is not allowed")
    for name, value in merged.items():
        if not re.fullmatch(r"[!-9;-@A-~]{1,126}", name) or not re.fullmatch("[ -~]{1,995}", value):
            raise _Refused(f"Header {name} is invalid")
        if len(name) + len(value) > 996:
            raise _Refused(f"Header {name} is too long")
    return merged


def _json(said: object) -> Said:
    return Said(200, {"Content-Type": "application/json"}, json.dumps(said).encode())
