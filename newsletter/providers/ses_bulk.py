"""Amazon SES in bulk: one body for up to 50 readers a request, merged on their side.

POST /v2/email/outbound-bulk-emails with a template of its own that SES does not keep. There is no return path of our
own here: bounces are told of by events, or go to the sender's address.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from newsletter.config import Settings
from newsletter.providers.base import (
    Batch,
    BatchCarrier,
    Guard,
    Outcome,
    ProviderStoppedError,
    Receipt,
    Recipient,
    one_line,
    opaque,
)
from newsletter.providers.http import LONGEST_WAIT, Answer, NoAnswer, Request, too_large
from newsletter.providers.ses_account import RATE_WAIT, SesAccount, SesTerms, concerns_us, judged, tags
from newsletter.providers.ses_merge import template

_MAX_HEADERS = 15
_MAX_HEADER = 995  # characters of a value, and one more with its name (service model, 2026)
_FITS = re.compile(r"[ -~]+")
# What SES says of one entry. The vendor asks to try again whatever failed for a while (service model, 2026); what
# concerns the account or the settings is the same for all entries.
_LATER: Mapping[str, float | None] = {
    "ACCOUNT_THROTTLED": RATE_WAIT,
    "ACCOUNT_DAILY_QUOTA_EXCEEDED": LONGEST_WAIT,
    "TRANSIENT_FAILURE": None,
    "FAILED": None,
}
_REFUSED = frozenset({"MESSAGE_REJECTED", "INVALID_PARAMETER", "INVALID_PARAMETER_VALUE"})
_OURS = frozenset(
    {
        "MAIL_FROM_DOMAIN_NOT_VERIFIED",
        "CONFIGURATION_SET_NOT_FOUND",
        "CONFIGURATION_SET_DOES_NOT_EXIST",
        "CONFIGURATION_SET_SENDING_PAUSED",
        "TEMPLATE_NOT_FOUND",
        "TEMPLATE_DOES_NOT_EXIST",
        "ACCOUNT_SUSPENDED",
        "ACCOUNT_SENDING_PAUSED",
        "INVALID_SENDING_POOL_NAME",
    }
)


class SesBulkSettings(SesTerms):
    """`provider: {name: ses-bulk, region: eu-west-1, access_key: AKIA..., key: env:AWS_SECRET_ACCESS_KEY}`."""

    name: Literal["ses-bulk"]


class SesBulk(SesAccount, BatchCarrier):
    """Sends batches that SES merges; each entry of the answer tells of one reader."""

    name = "ses-bulk"
    guard = Guard.NONE
    chunk_size = 50
    max_bytes = 1000 * 1000  # of a request with its template (vendor's page on personalized email, 2026)
    # Refused from us (vendor's page on header fields, 2026).
    their_headers = re.compile(
        "b?cc|content-disposition|content-type|date|from|message-id|mime-version|reply-to|return-path|subject|to",
        re.IGNORECASE,
    )
    settings: ClassVar[type[Settings]] = SesBulkSettings

    def deliver(self, batch: Batch) -> Receipt:
        """Send a batch in one request."""
        request = self.build(batch)
        return too_large(request, self.max_bytes) or self.interpret(batch, self.ask(request))

    def build(self, batch: Batch) -> Request:
        """Make the request of a batch: pure, unsigned, and the same bytes for the same batch.

        Raises ProviderStoppedError for headers that SES does not take, ValueError for more than 50 readers.
        """
        if not 0 < len(batch.recipients) <= self.chunk_size:
            raise ValueError(f"SES takes 1 to {self.chunk_size} readers a request, not {len(batch.recipients)}")
        merge, body = batch.merge, template(batch)
        headers = [(name, value) for name, value in merge.headers if not self.their_headers.fullmatch(name)]
        if len(headers) > _MAX_HEADERS:
            raise ProviderStoppedError(f"{self.name}: there are {len(headers)} headers; SES takes {_MAX_HEADERS}")
        own = [(name, value) for name, value in headers if "__NL_" in value]
        content = {"Subject": body.subject, "Text": body.text, "Html": body.html}
        same = [_header(name, value) for name, value in headers if "__NL_" not in value]
        given: dict[str, Any] = {
            "FromEmailAddress": merge.sender.replace("\r\n", ""),
            **({"ReplyToAddresses": [merge.reply_to]} if merge.reply_to else {}),
            "DefaultContent": {"Template": {"TemplateContent": content, "TemplateData": "{}", "Headers": same}},
            "BulkEmailEntries": [
                {
                    "Destination": self.destination(one.reader, one.address),
                    "ReplacementEmailContent": {"ReplacementTemplate": {"ReplacementTemplateData": body.data(one)}},
                    "ReplacementHeaders": [_header(name, _filled(value, one)) for name, value in own],
                    "ReplacementTags": tags(one.reader, batch.tag, opaque(batch.key)),
                }
                for one in batch.recipients
            ],
            **self.shared(),
        }
        sent = json.dumps(given, ensure_ascii=False, separators=(",", ":")).encode()
        return Request("POST", self.url("outbound-bulk-emails"), {"Content-Type": "application/json"}, sent)

    def interpret(self, batch: Batch, answer: Answer | NoAnswer) -> Receipt:
        """Say what an answer means for each reader. Raises ProviderStoppedError when it concerns all of them alike."""
        rest = judged(answer, self.name, self._clock())
        if isinstance(rest, Receipt):
            return rest
        said = rest.json()
        results = said.get("BulkEmailEntryResults") if isinstance(said, dict) else None
        if (
            not isinstance(results, list)
            or len(results) != len(batch.recipients)
            or not all(isinstance(one, dict) for one in results)
        ):
            detail = f"{self.name} answered {rest.status} without a result for each reader: {one_line(rest.body)}"
            return Receipt(Outcome.UNKNOWN, one_line(detail))
        if all(_is_ours(one) for one in results):
            raise ProviderStoppedError(f"{self.name} refuses what is the same for every reader: {_words(results[0])}")
        return _receipt(batch, results)


def _receipt(batch: Batch, results: list[dict[str, Any]]) -> Receipt:
    """Put the entries' results together: some may have left and others not."""
    fates = {one.reader: _fate(result) for one, result in zip(batch.recipients, results, strict=True)}
    counted = Counter(outcome for outcome, _ in fates.values())
    outcome = Outcome.ACCEPTED if counted[Outcome.ACCEPTED] else counted.most_common(1)[0][0]
    detail = next((detail for found, detail in fates.values() if found is not Outcome.ACCEPTED), "")
    alike = len(counted) == 1 and outcome is not Outcome.REJECTED  # a refusal is always about a reader here
    waits = [wait for result in results if (wait := _LATER.get(str(result.get("Status")))) is not None]
    return Receipt(
        outcome,
        detail,
        reference=next((one_line(str(result["MessageId"])) for result in results if result.get("MessageId")), ""),
        retry_after=max(waits, default=None),
        exceptions={} if alike else {reader: fate for reader, fate in fates.items() if fate[0] is not Outcome.ACCEPTED},
    )


def _fate(result: Mapping[str, Any]) -> tuple[Outcome, str]:
    """Say what became of one entry. One that is our fault surely did not leave, and need not be the reader's end."""
    status = result.get("Status")
    if status == "SUCCESS":
        return Outcome.ACCEPTED, ""
    if _is_ours(result) or status in _LATER:
        return Outcome.DEFERRED, _words(result)
    return Outcome.REJECTED if status in _REFUSED else Outcome.UNKNOWN, _words(result)


def _is_ours(result: Mapping[str, Any]) -> bool:
    status, error = result.get("Status"), str(result.get("Error") or "")
    return status in _OURS or (status in _REFUSED and concerns_us(error, unless_said=status == "MESSAGE_REJECTED"))


def _words(result: Mapping[str, Any]) -> str:
    return one_line(": ".join(str(result[name]) for name in ("Status", "Error") if result.get(name)) or "no status")


def _filled(value: str, recipient: Recipient) -> str:
    for token, own in recipient.values.items():
        value = value.replace(token, own)
    return value


def _header(name: str, value: str) -> dict[str, str]:
    """Write a header. Raises ProviderStoppedError for one that SES does not take, or may take for a template's tag."""
    fits = _FITS.fullmatch(value) and "{{" not in value and max(len(value), len(name + value) - 1) <= _MAX_HEADER
    if not fits:
        raise ProviderStoppedError(
            f"ses-bulk: the header {name} is not ASCII, has '{{{{' in it, or more than {_MAX_HEADER} characters"
        )
    return {"Name": name, "Value": value}
