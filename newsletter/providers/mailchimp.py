"""Mailchimp: one campaign for each choice of countries, to a segment of its audience, merged on their side.

Mailchimp mails an audience and no single readers, so a batch is many requests, of which the last alone sends. Paths as
in Mailchimp's OpenAPI 3.0.55. It owns List-Unsubscribe and ends every mail with a way out of its own; ours stays in the
body. The leave links lie in fields of the audience: two mailings to one audience must not be sent at the same time.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from newsletter.config import Settings
from newsletter.errors import NewsletterError, TryLaterError
from newsletter.providers.api import ApiCarrier, Clock, utc_now
from newsletter.providers.base import (
    Batch,
    Guard,
    Outcome,
    ProviderStoppedError,
    Receipt,
    one_line,
    opaque,
)
from newsletter.providers.feedback import Feedback, HookCall, Hooks
from newsletter.providers.http import Answer, BaseUrl, Web
from newsletter.providers.mailbox import mailbox
from newsletter.providers.mailchimp_audience import SETTLING, Audience, Fate
from newsletter.providers.mailchimp_calls import Calls, NotYetError
from newsletter.providers.mailchimp_feedback import read_report
from newsletter.providers.mailchimp_merge import Fields, fields_of
from newsletter.providers.terms import ApiTerms
from newsletter.source import refused

_DRAFT = "save"
_NOT_TAKEN = "mailchimp did not take this address into the campaign's segment"
_ON_ITS_WAY = frozenset({"schedule", "sending", "sent"})
_TRACKING = dict.fromkeys(("opens", "html_clicks", "text_clicks", "goal_tracking", "ecomm360"), False)


class MailchimpSettings(ApiTerms):
    """`provider: {name: mailchimp, audience: a1b2c3d4e5, key: env:MAILCHIMP_KEY}`."""

    name: Literal["mailchimp"]
    audience: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,40}$")]
    base_url: BaseUrl | None = None  # left out, the end of the key says it
    connections: Annotated[int, Field(ge=1, le=10)] = 4  # 10 at once are answered (vendor's page on fundamentals, 2026)

    @field_validator("test_mode")
    @classmethod
    def _no_test_mode(cls, value: bool) -> bool:
        if value:
            raise refused("Mailchimp has no test mode; use an audience of your own addresses")
        return value


class Mailchimp(ApiCarrier):
    """Sends batches as campaigns, with every kind of tracking off.

    A campaign is sent once, whatever is asked, and is found by its title: that resolves a lost answer.
    """

    name = "mailchimp"
    title = "Mailchimp"
    guard = Guard.LOOKUP
    chunk_size = 50_000  # ours: what 250 requests can prepare; Mailchimp names no limit
    hooks = Hooks.SECRET
    lag = 15 * 60.0  # ours: the status of a campaign changes at once
    memory = 30 * 24 * 3600.0  # ours: campaigns stay, and no older ones are looked through
    settings: ClassVar[type[Settings]] = MailchimpSettings

    def __init__(self, settings: MailchimpSettings, key: str, clock: Clock = utc_now) -> None:
        super().__init__(settings, key, clock)
        self._calls = Calls(self._web, self._base, clock)
        self._audience = Audience(self._calls, settings.audience)

    @classmethod
    def base_url(cls, settings: Any, key: str) -> str:
        """Return the address of the data centre that the key names, unless the settings name another."""
        return settings.base_url or _data_centre(key)

    @classmethod
    def log_in(cls, settings: Any, key: str) -> Web:
        """Show the key as a password."""
        return Web(("newsletter", key), read_timeout=settings.timeout)

    def about(self) -> str:
        """Name the audience."""
        return f"audience {self._settings.audience}"

    def place(self) -> str:
        """Return the host and the audience: campaigns are looked for there."""
        return f"{self.address()}/{self._settings.audience}".lower()

    def probe(self) -> str:
        """Ask for a sign of life."""
        try:
            said = self._calls.ask("GET", "ping")
        except NotYetError as error:
            raise TryLaterError(str(error)) from None
        return one_line(f"mailchimp: {said.get('health_status')}")

    @classmethod
    def feedback(cls, call: HookCall, secret: str) -> tuple[Feedback, ...]:
        """Read one webhook; `secret` is part of the address that Mailchimp was given."""
        return read_report(call, secret)

    def deliver(self, batch: Batch) -> Receipt:
        """Prepare a batch's campaign and send it. Until the last request nothing leaves, and all may be repeated.

        Raises ValueError for more than 50,000 readers.
        """
        self.count(batch)
        try:
            return self._deliver(batch)
        except NotYetError as error:
            return error.receipt

    def lookup(self, batch: Batch) -> Mapping[int, Outcome] | None:
        """Ask what became of the batch's campaign: on its way, it reaches all in its segment; a draft is nobody's."""
        try:
            begun = self._begun(batch, self._campaigns(opaque(batch.key)))
        except (NotYetError, ProviderStoppedError):
            return None
        if begun is None:
            return {}
        if begun.outcome is Outcome.UNKNOWN:
            return None
        fates = {reader: outcome for reader, (outcome, _) in begun.exceptions.items()}
        return {recipient.reader: fates.get(recipient.reader, Outcome.ACCEPTED) for recipient in batch.recipients}

    def _deliver(self, batch: Batch) -> Receipt:
        title = opaque(batch.key)
        begun = self._begun(batch, self._campaigns(title))
        if begun is not None:
            return begun
        fields = fields_of(batch, batch.merge.subject, batch.merge.text, mailbox(batch.merge.sender)[0])
        fates = self._audience.sync(batch.recipients, fields)
        addresses = [recipient.address for recipient in batch.recipients if recipient.reader not in fates]
        if not addresses:
            return Receipt(Outcome.REJECTED, "mailchimp takes none of these readers", exceptions=fates)
        segment = self._audience.segment(title, addresses, self._since())
        found = self._campaigns(title)  # again: preparing takes minutes, and a sender held for dead may have gone on
        begun = self._begun(batch, found)
        if begun is not None:
            return begun
        campaign = self._put(found, self._campaign(batch, fields, segment))
        content = {"html": fields.place_html(batch.merge.html), "plain_text": fields.place(batch.merge.text)}
        self._calls.ask("PUT", f"campaigns/{campaign}/content", content)
        return self._send(campaign, fates)

    def _campaigns(self, title: str) -> Sequence[Mapping[str, Any]]:
        """Return the campaigns of that title: one, or none, or drafts more than one if answers were lost."""
        found = self._calls.pages(
            "campaigns",
            "campaigns",
            list_id=self._settings.audience,
            since_create_time=self._since().isoformat(timespec="seconds"),
            sort_field="create_time",
            sort_dir="ASC",
            fields="campaigns.id,campaigns.status,campaigns.settings.title,total_items",
        )
        return [one for one in found if (one.get("settings") or {}).get("title") == title]

    def _begun(self, batch: Batch, campaigns: Sequence[Mapping[str, Any]]) -> Receipt | None:
        """Say what became of a batch that is no draft any more, and of those whom Mailchimp did not take for it."""
        begun = _begun(campaigns)
        if begun is None or begun.outcome is Outcome.UNKNOWN:
            return begun
        addresses = [recipient.address for recipient in batch.recipients]
        outside = self._audience.outsiders(opaque(batch.key), addresses, self._since())
        refused = {one.reader: (Outcome.REJECTED, _NOT_TAKEN) for one in batch.recipients if one.address in outside}
        return replace(begun, exceptions=refused)

    def _since(self) -> dt.datetime:
        return self._clock() - dt.timedelta(seconds=self.memory)

    def _campaign(self, batch: Batch, fields: Fields, segment: int) -> dict[str, Any]:
        merge = batch.merge
        segmented = {"saved_segment_id": segment, "match": "all"}  # without `match` it is ignored (seen 2017)
        return {
            "recipients": {"list_id": self._settings.audience, "segment_opts": segmented},
            "settings": {
                "title": opaque(batch.key),
                "subject_line": fields.place(merge.subject),
                "from_name": fields.place(mailbox(merge.sender)[0]),
                "reply_to": mailbox(merge.reply_to or merge.sender)[1],  # they write it as the sender's address as well
                "auto_footer": True,  # no mail leaves without Mailchimp's own way out
                "inline_css": False,
                "auto_tweet": False,
                "fb_comments": False,
                "use_conversation": False,
            },
            "tracking": _TRACKING,
        }

    def _put(self, found: Sequence[Mapping[str, Any]], campaign: Mapping[str, Any]) -> str:
        """Make the campaign, or bring the draft of an earlier try to what it should be; return its id."""
        if found:
            said = self._calls.ask("PATCH", f"campaigns/{found[0].get('id')}", campaign)
        else:
            said = self._calls.ask("POST", "campaigns", {"type": "regular", **campaign})
        name = str(said.get("id", ""))
        if not re.fullmatch("[A-Za-z0-9]{1,40}", name):
            raise NotYetError("mailchimp made a campaign and did not say which")
        return name

    def _send(self, campaign: str, fates: Mapping[int, Fate]) -> Receipt:
        """Send the campaign, once. After an answer that leaves doubt its status is read, also once."""
        answer = self._calls.send("POST", f"campaigns/{campaign}/actions/send")
        accepted = Receipt(Outcome.ACCEPTED, "mailchimp sends it", campaign, exceptions=fates)
        if isinstance(answer, Answer) and answer.status == 204:
            return accepted
        judged = self._calls.judge(answer)
        if isinstance(judged, Answer):
            judged = Receipt(Outcome.UNKNOWN, one_line(f"mailchimp answered {judged.status}: {one_line(judged.body)}"))
        if judged.outcome is not Outcome.DEFERRED:
            if self._status(campaign) in _ON_ITS_WAY:
                return accepted
            if judged.outcome is Outcome.REJECTED:
                judged = self._not_ready(campaign, judged.detail)
        return replace(judged, reference=campaign, exceptions=fates)

    def _status(self, campaign: str) -> str:
        try:
            return str(self._calls.ask("GET", f"campaigns/{campaign}", fields="status").get("status"))
        except (NotYetError, ProviderStoppedError):
            return "not known"

    def _not_ready(self, campaign: str, detail: str) -> Receipt:
        """Say why Mailchimp does not send. A segment just filled may count as empty for a while; the rest is for us."""
        try:
            items = self._calls.ask("GET", f"campaigns/{campaign}/send-checklist").get("items") or ()
        except NotYetError as error:
            return replace(error.receipt, detail=detail)
        wrong = [item for item in items if isinstance(item, dict) and item.get("type") == "error"]
        told = one_line("; ".join(f"{item.get('heading')}: {item.get('details')}" for item in wrong) or detail)
        if wrong and "empty" not in told.lower():
            raise ProviderStoppedError(f"mailchimp will not send this campaign: {told}")
        return Receipt(Outcome.DEFERRED, f"mailchimp is not ready to send: {told}", retry_after=SETTLING)


def _begun(campaigns: Sequence[Mapping[str, Any]]) -> Receipt | None:
    """Say what became of a batch whose campaign is no draft any more; None when it may still be sent."""
    for campaign in campaigns:
        if campaign.get("status") in _ON_ITS_WAY:
            return Receipt(Outcome.ACCEPTED, f"mailchimp: {campaign['status']}", str(campaign.get("id")))
    strange = next((campaign.get("status") for campaign in campaigns if campaign.get("status") != _DRAFT), None)
    if strange is None:
        return None
    return Receipt(Outcome.UNKNOWN, one_line(f"the campaign is {strange}; look into Mailchimp who has got it"))


def _data_centre(key: str) -> str:
    """Return the address of a key's data centre, which stands at its end: `-us21`."""
    found = re.search(r"-([a-z]{2,6}[0-9]{1,4})$", key)
    if found is None:
        raise NewsletterError("the Mailchimp key does not end with its data centre, like '-us21'; copy the whole key")
    return f"https://{found[1]}.api.mailchimp.com"
