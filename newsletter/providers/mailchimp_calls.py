"""Asks Mailchimp one thing after the other, in JSON, and keeps what cannot be had now apart from what is refused."""

from __future__ import annotations

import datetime as dt
import json
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from newsletter.providers.base import Outcome, ProviderStoppedError, Receipt, one_line
from newsletter.providers.http import Answer, NoAnswer, Request, Web, settled

_PAGE = 1000  # items of one answer, at most (Mailchimp's OpenAPI 3.0.55)
_MOST = 10_000_000  # items of one question; whoever has more is not asked to the end


class NotYetError(Exception):
    """Nothing was sent, and the same may be asked again; `receipt` says so. It does not leave the carrier."""

    def __init__(self, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.receipt = Receipt(Outcome.DEFERRED, detail, retry_after=retry_after)


class RefusedError(ProviderStoppedError):
    """Mailchimp takes a request for wrong: what is the same for every reader, unless `problem` names one."""

    def __init__(self, detail: str, problem: Mapping[str, Any]) -> None:
        super().__init__(f"{detail} (it is the same for every reader; see Mailchimp's account and audience)")
        self.problem = problem


class Calls:
    """One account. `base` is what stands before `/3.0`."""

    def __init__(self, web: Web, base: str, clock: Callable[[], dt.datetime]) -> None:
        self._web, self._base, self._clock = web, base, clock

    def send(self, method: str, path: str, body: object = None, **query: object) -> Answer | NoAnswer:
        """Make one request and hand its answer back as it is."""
        url = f"{self._base}/3.0/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        if body is None:
            return self._web.ask(Request(method, url))
        written = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        return self._web.ask(Request(method, url, {"Content-Type": "application/json; charset=utf-8"}, written))

    def ask(self, method: str, path: str, body: object = None, **query: object) -> dict[str, Any]:
        """Ask for something that sends no mail. Raises NotYetError for what is not clear, RefusedError for a 400."""
        answer = self.send(method, path, body, **query)
        judged = self.judge(answer)
        if isinstance(judged, Answer):
            said = judged.json()
            if isinstance(said, dict):
                return said
            raise NotYetError(one_line(f"mailchimp answered {judged.status} without JSON: {one_line(judged.body)}"))
        if judged.outcome is Outcome.REJECTED and isinstance(answer, Answer):
            raise RefusedError(judged.detail, _problem(answer))
        raise NotYetError(judged.detail, judged.retry_after)

    def pages(self, path: str, what: str, **query: object) -> Iterator[dict[str, Any]]:
        """Go through a list of any length. Raises as `ask` does."""
        offset = 0
        while offset < _MOST:
            said = self.ask("GET", path, count=_PAGE, offset=offset, **query)
            items = said.get(what)
            if not isinstance(items, list):
                raise NotYetError(f"mailchimp answered without {what}")
            yield from (item for item in items if isinstance(item, dict))
            offset += len(items)
            total = said.get("total_items")
            if not items or (isinstance(total, int) and offset >= total):
                return
        raise ProviderStoppedError(f"mailchimp has more than {_MOST} {what}")

    def judge(self, answer: Answer | NoAnswer) -> Receipt | Answer:
        """Judge an answer as every carrier does, in Mailchimp's words (problem+json) where it has some."""
        if isinstance(answer, NoAnswer):
            return Receipt(answer.outcome, answer.detail)
        if answer.status == 403 and not _problem(answer):
            # Too many requests may be answered so by what stands before the API (vendor's page on fundamentals, 2026).
            return Receipt(Outcome.DEFERRED, "mailchimp answered 403 without JSON: too many requests")
        words = _words(_problem(answer))
        told = replace(answer, body=words.encode()) if words and answer.status >= 400 else answer
        return settled(told, "mailchimp", self._clock())


def _problem(answer: Answer) -> dict[str, Any]:
    said = answer.json()
    return said if isinstance(said, dict) else {}


def _words(problem: Mapping[str, Any]) -> str:
    errors = problem.get("errors")
    fields = [
        f"{error.get('field')}: {error.get('message')}"
        for error in (errors if isinstance(errors, list) else ())
        if isinstance(error, dict)
    ]
    told = [problem[part] for part in ("title", "detail") if isinstance(problem.get(part), str)]
    return ": ".join([*told[:1], "; ".join([*told[1:], *fields])]).strip(": ")
