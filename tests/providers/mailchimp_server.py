"""A stand-in for Mailchimp: an audience with fields and segments, and campaigns that merge when they are sent."""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from provider_server import ProviderServer
from web_servers import Said, Seen

from newsletter.providers.mailchimp import Mailchimp, MailchimpSettings

AUDIENCE = "a1b2c3d4e5"
FOOTER = "Want to change how you receive these emails? *|UNSUB|*"

Expand = Callable[[str, Mapping[str, str]], str]


def expand_once(text: str, values: Mapping[str, str]) -> str:
    """Replace tags from left to right; one that is not known leaves nothing."""
    return re.sub(r"\*\|([A-Z0-9_:]+)\|\*", lambda found: values.get(found[1], ""), text)


def expand_one_after_the_other(text: str, values: Mapping[str, str]) -> str:
    """Replace one known tag after the other, also those that a value made."""
    for _ in range(2):
        for name, value in values.items():
            text = text.replace(f"*|{name}|*", value)
    return text


@dataclass
class Member:
    email: str
    status: str
    values: dict[str, str] = field(default_factory=dict)


@dataclass
class Campaign:
    name: str
    body: dict[str, Any]
    created: dt.datetime
    content: dict[str, str] = field(default_factory=dict)
    sent_at: dt.datetime | None = None
    status: str = "save"


class MailchimpServer(ProviderServer):
    """One account with one audience. A campaign's status is told `lag` late; lists come `most` items at a time."""

    def __init__(self, key: str, expand: Expand = expand_once) -> None:
        super().__init__()
        self.key, self.expand = key, expand
        self.lag = dt.timedelta(minutes=15)
        self.most = 1000
        self.members: dict[str, Member] = {}
        self.tags: list[str] = ["FNAME", "LNAME"]
        self.segments: dict[int, tuple[str, dict[str, None]]] = {}
        self.campaigns: dict[str, Campaign] = {}
        self.wrong: list[dict[str, str]] = []  # what the checklist of every campaign complains of
        self._carrier_key = key

    def carrier(self, clock: Callable[[], dt.datetime], timeout: float | None = None) -> Mailchimp:
        given = {
            "name": "mailchimp",
            "audience": AUDIENCE,
            "key": "env:MAILCHIMP_KEY",
            "timeout": timeout or self.timeout,
        }
        settings = MailchimpSettings.model_validate({**given, "base_url": self.url})
        return Mailchimp(settings, self._carrier_key, clock)

    def sends(self, seen: Seen) -> bool:
        return seen.path.endswith("/actions/send")

    def serve(self, seen: Seen) -> Said | str:
        encoded = seen.headers.get("Authorization", "").removeprefix("Basic ")
        if base64.b64decode(encoded).decode().partition(":")[2] != self.key:
            return problem(
                401, "API Key Invalid", "Your API key may be invalid, or you've attempted the wrong datacenter."
            )
        parts = urllib.parse.urlsplit(seen.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        body = json.loads(seen.body) if seen.body else {}
        for method, pattern, act in (
            ("GET", "/ping", lambda *_: answered({"health_status": "Everything's Chimpy!"})),
            ("GET", f"/lists/{AUDIENCE}/merge-fields", self._tell_tags),
            ("POST", f"/lists/{AUDIENCE}/merge-fields", self._add_tag),
            ("GET", f"/lists/{AUDIENCE}/members", self._tell_members),
            ("POST", f"/lists/{AUDIENCE}", self._take_members),
            ("GET", f"/lists/{AUDIENCE}/segments", self._tell_segments),
            ("POST", f"/lists/{AUDIENCE}/segments", self._add_segment),
            ("POST", f"/lists/{AUDIENCE}/segments/([0-9]+)", self._fill_segment),
            ("GET", f"/lists/{AUDIENCE}/segments/([0-9]+)/members", self._tell_segment),
            ("GET", "/campaigns", self._tell_campaigns),
            ("POST", "/campaigns", self._add_campaign),
            ("PATCH", "/campaigns/([a-z0-9]+)", self._change_campaign),
            ("GET", "/campaigns/([a-z0-9]+)", self._tell_campaign),
            ("PUT", "/campaigns/([a-z0-9]+)/content", self._set_content),
            ("GET", "/campaigns/([a-z0-9]+)/send-checklist", self._check),
            ("POST", "/campaigns/([a-z0-9]+)/actions/send", self._send),
        ):
            found = re.fullmatch("/3.0" + pattern, parts.path)
            if seen.method == method and found:
                return act(query, body, *found.groups())
        return problem(404, "Resource Not Found", "The requested resource could not be found.")

    def _page(self, what: str, items: list[dict[str, Any]], query: Mapping[str, str]) -> Said:
        offset, count = int(query.get("offset", "0")), min(int(query.get("count", "10")), 1000, self.most)
        return answered({what: items[offset : offset + count], "total_items": len(items)})

    def _tell_tags(self, query: Mapping[str, str], _: Any) -> Said:
        return self._page("merge_fields", [{"tag": tag} for tag in self.tags], query)

    def _add_tag(self, _: Any, body: dict[str, Any]) -> Said:
        tag = body["tag"]
        if tag in self.tags:
            return problem(400, "Invalid Resource", f'A Merge Field with the tag "{tag}" already exists for this list.')
        if len(tag) > 10 or len(self.tags) >= 30:
            return problem(400, "Invalid Resource", "The merge field cannot be added.")
        self.tags.append(tag)
        return answered({"tag": tag, "merge_id": len(self.tags)})

    def _tell_members(self, query: Mapping[str, str], _: Any) -> Said:
        fitting = [one for one in self.members.values() if one.status == query["status"]]
        return self._page("members", [{"email_address": one.email, "status": one.status} for one in fitting], query)

    def _take_members(self, _: Any, body: dict[str, Any]) -> Said:
        if len(body["members"]) > 500:
            return problem(400, "Bad Request", "More than 500 members.")
        told: dict[str, list[dict[str, str]]] = {"new_members": [], "updated_members": [], "errors": []}
        for given in body["members"]:
            address = given["email_address"]
            known = self.members.get(address.lower())
            if address in self.bad or "@@" in address:
                words = f"{address} looks fake or invalid, please enter a real email address."
                told["errors"].append({"email_address": address, "error": words, "error_code": "ERROR_GENERIC"})
            elif known and known.status in ("unsubscribed", "cleaned"):
                words = f"{address} is in a compliance state due to unsubscribe, bounce, or compliance review."
                told["errors"].append({"email_address": address, "error": words, "error_code": "ERROR_GENERIC"})
            elif known and not body.get("update_existing"):
                told["errors"].append(
                    {"email_address": address, "error": "exists", "error_code": "ERROR_CONTACT_EXISTS"}
                )
            else:
                values = {tag: value for tag, value in given["merge_fields"].items() if tag in self.tags}
                now = self.members.setdefault(address.lower(), Member(address, given["status"]))
                now.status = given["status"]
                now.values |= values
                told["updated_members" if known else "new_members"].append({"email_address": address})
        return answered({**told, "error_count": len(told["errors"])})

    def _tell_segments(self, query: Mapping[str, str], _: Any) -> Said:
        items = [{"id": number, "name": name} for number, (name, _) in self.segments.items()]
        return self._page("segments", items, query)

    def _add_segment(self, _: Any, body: dict[str, Any]) -> Said:
        number = 1000 + len(self.segments)
        self.segments[number] = (body["name"], {one.lower(): None for one in body["static_segment"]})
        return answered({"id": number, "name": body["name"]})

    def _fill_segment(self, _: Any, body: dict[str, Any], number: str) -> Said:
        held = self.segments[int(number)][1]
        add, remove = body.get("members_to_add", []), body.get("members_to_remove", [])
        if len(add) > 500 or len(remove) > 500:
            return problem(400, "Bad Request", "A maximum of 500 members can be sent.")
        held.update(dict.fromkeys(one.lower() for one in add if one.lower() in self.members))
        for one in remove:
            held.pop(one.lower(), None)
        return answered({"total_added": len(add), "total_removed": len(remove), "errors": [], "error_count": 0})

    def _mailable(self, number: int) -> list[Member]:
        return [self.members[one] for one in self.segments[number][1] if self.members[one].status == "subscribed"]

    def _tell_segment(self, query: Mapping[str, str], _: Any, number: str) -> Said:
        items = [{"email_address": one.email} for one in self._mailable(int(number))]
        return self._page("members", items, query)

    def _tell_campaigns(self, query: Mapping[str, str], _: Any) -> Said:
        since = dt.datetime.fromisoformat(query["since_create_time"])
        found = [self._told(one) for one in self.campaigns.values() if one.created >= since]
        return self._page("campaigns", found, query)

    def _add_campaign(self, _: Any, body: dict[str, Any]) -> Said:
        name = f"c{len(self.campaigns)}"
        self.campaigns[name] = Campaign(name, body, self.now)
        return answered(self._told(self.campaigns[name]))

    def _change_campaign(self, _: Any, body: dict[str, Any], name: str) -> Said:
        if self.campaigns[name].status != "save":
            return problem(400, "Bad Request", "This campaign cannot be edited.")
        self.campaigns[name].body |= body
        return answered(self._told(self.campaigns[name]))

    def _tell_campaign(self, _: Any, __: Any, name: str) -> Said:
        return answered(self._told(self.campaigns[name]))

    def _told(self, campaign: Campaign) -> dict[str, Any]:
        late = campaign.sent_at is not None and self.now < campaign.sent_at + self.lag
        settings = {"title": campaign.body["settings"]["title"]}
        return {"id": campaign.name, "status": "save" if late else campaign.status, "settings": settings}

    def _set_content(self, _: Any, body: dict[str, Any], name: str) -> Said:
        self.campaigns[name].content = body
        return answered({"html": body["html"], "plain_text": body["plain_text"]})

    def _check(self, _: Any, __: Any, name: str) -> Said:
        items = list(self.wrong)
        if not self._mailable(self._segment_of(self.campaigns[name])):
            items.append({"type": "error", "heading": "List", "details": "Your segment is empty."})
        return answered({"is_ready": not items, "items": items})

    def _segment_of(self, campaign: Campaign) -> int:
        options = campaign.body["recipients"]["segment_opts"]
        assert options["match"] == "all"
        return int(options["saved_segment_id"])

    def _send(self, _: Any, __: Any, name: str) -> Said:
        campaign = self.campaigns[name]
        members = self._mailable(self._segment_of(campaign))
        if campaign.status != "save" or not campaign.content or not members or self.wrong:
            return problem(400, "Bad Request", "Your Campaign is not ready to send.")
        campaign.status, campaign.sent_at = "sending", self.now
        for member in members:
            self.deliver(member.email, self._copy(campaign, member))
        return Said(204)

    def _copy(self, campaign: Campaign, member: Member) -> dict[str, str]:
        settings, content = campaign.body["settings"], campaign.content
        leave = "https://mailchimp.example.org/unsubscribe"
        known = {"FNAME": "somebody", "EMAIL": member.email, "UNSUB": leave, **member.values}
        footer = "" if "*|UNSUB|*" in content["html"] or not settings["auto_footer"] else f"<p>{FOOTER}</p>"
        written = {
            "subject": settings["subject_line"],
            "from": f"{settings['from_name']} <{settings['reply_to']}>",
            "reply-to": settings["reply_to"],
            "html": content["html"] + footer,
            "text": content["plain_text"] + (FOOTER if footer else ""),
            "list-unsubscribe": f"<{leave}>",
        }
        return {name: self.expand(text, known) for name, text in written.items()}


def answered(said: object) -> Said:
    return Said(200, {"Content-Type": "application/json; charset=utf-8"}, json.dumps(said).encode())


def problem(status: int, title: str, detail: str, **more: object) -> Said:
    """Answer as Mailchimp does when something is wrong."""
    said = {"type": "https://mailchimp.com/developer/marketing/docs/errors/", "title": title, "status": status}
    body = json.dumps({**said, "detail": detail, "instance": "0", **more}).encode()
    return Said(status, {"Content-Type": "application/problem+json"}, body)
