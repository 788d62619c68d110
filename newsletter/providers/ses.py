"""Amazon SES, message by message: each reader's mail as we made it, one request each.

POST /v2/email/outbound-emails with raw content. SES writes its own Message-ID and Date over ours, and a return path of
its own that forwards to the one we name (vendor's page on header fields, 2026).
"""

from __future__ import annotations

import base64
import json
from typing import Any, ClassVar, Literal

from newsletter.config import Settings
from newsletter.providers.base import Envelope, Guard, MessageCarrier, Outcome, Receipt, one_line, opaque
from newsletter.providers.http import Answer, NoAnswer, Request, too_large
from newsletter.providers.ses_account import SesAccount, SesTerms, judged, tags


class SesSettings(SesTerms):
    """`provider: {name: ses, region: eu-west-1, access_key: AKIA..., key: env:AWS_SECRET_ACCESS_KEY}`."""

    name: Literal["ses"]


class Ses(SesAccount, MessageCarrier):
    """Sends each message as it is; bounces go to its return path, and are told of by events that name the reader."""

    name = "ses"
    guard = Guard.NONE
    chunk_size = 50
    max_bytes = 40 * 1000 * 1000  # of a message in base64 (vendor's page on quotas, 2026)
    settings: ClassVar[type[Settings]] = SesSettings

    def deliver(self, envelope: Envelope, following: Envelope | None = None) -> Receipt:
        """Send one message in one request."""
        del following
        request = self.build(envelope)
        return too_large(request, self.max_bytes) or self.interpret(self.ask(request))

    def build(self, envelope: Envelope) -> Request:
        """Make the request of a message: pure, unsigned, and the same bytes for the same message.

        The readers are those of `Destination`, whatever the message's own To says.
        """
        given: dict[str, Any] = {
            "Destination": self.destination(envelope.reader, envelope.recipient),
            "Content": {"Raw": {"Data": base64.b64encode(envelope.data).decode("ascii")}},
            "EmailTags": tags(envelope.reader, envelope.tag, opaque(envelope.key)),
            **self.shared(),
        }
        if envelope.sender:
            given["FeedbackForwardingEmailAddress"] = envelope.sender
        body = json.dumps(given, separators=(",", ":")).encode()
        return Request("POST", self.url("outbound-emails"), {"Content-Type": "application/json"}, body)

    def interpret(self, answer: Answer | NoAnswer) -> Receipt:
        """Say what an answer means. Raises ProviderStoppedError when it concerns every reader alike."""
        rest = judged(answer, self.name, self._clock())
        if isinstance(rest, Receipt):
            return rest
        said = rest.json()
        if isinstance(said, dict) and isinstance(said.get("MessageId"), str) and said["MessageId"]:
            return Receipt(Outcome.ACCEPTED, reference=one_line(said["MessageId"]))
        return Receipt(
            Outcome.UNKNOWN, one_line(f"{self.name} answered {rest.status} without an id: {one_line(rest.body)}")
        )
