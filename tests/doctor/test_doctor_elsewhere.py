from __future__ import annotations

import contextlib
import datetime as dt
import email.utils
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from doctor_case import NOON, MakeCase, levels

from newsletter.doctor import elsewhere
from newsletter.errors import TryLaterError
from newsletter.providers.base import Provider, ProviderStoppedError


@contextlib.contextmanager
def pages(status: int, date: str | None) -> Iterator[str]:
    """A web server that answers everything alike; yields its address."""

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(status)
            if date is not None:
                self.send_header("Date", date)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Pages) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.mark.parametrize(
    ("status", "apart", "expected"), [(200, 0, ["ok", "ok"]), (404, 0, ["warn", "ok"]), (200, 3600, ["ok", "fail"])]
)
def test_the_archive_says_that_it_is_there_and_what_time_it_is(
    case: MakeCase, status: int, apart: int, expected: list[str]
) -> None:
    date = email.utils.format_datetime(NOON + dt.timedelta(seconds=apart))
    with pages(status, date) as url:
        notes = list(elsewhere.examine_pages(case(url=url)))
    assert [note.level for note in notes] == expected
    assert [note.topic for note in notes] == ["pages", "clock"]


@pytest.mark.parametrize("date", [None, "soon", "Fri, 22 Apr 2016 12:00:00 -0000"])
def test_a_server_without_a_readable_date_tells_no_time(case: MakeCase, date: str | None) -> None:
    with pages(200, date) as url:
        assert [note.topic for note in elsewhere.examine_pages(case(url=url))] == ["pages"]


def test_pages_that_do_not_answer_are_noted(case: MakeCase) -> None:
    (note,) = elsewhere.examine_pages(case(url=f"http://127.0.0.1:{free_port()}"))
    assert (note.level, "does not answer" in note.what) == ("warn", True)


class Asked(Provider):
    """A carrier that answers the question for its key as it is told."""

    name = "asked"
    chunk_size = 1

    def __init__(self, answer: str | Exception | None) -> None:
        self.answer = answer
        self.closed = False

    def describe(self) -> str:
        return "asked for its key"

    def probe(self) -> str | None:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("it may only send", ("ok", "asked for its key: it may only send")),
        (None, ("ok", "asked for its key: it cannot be asked without sending")),
        (ProviderStoppedError("401 wrong key"), ("fail", "401 wrong key")),
        (TryLaterError("nobody answers"), ("warn", "nobody answers")),
    ],
)
def test_the_carrier_is_asked_whether_its_key_works(
    case: MakeCase, answer: str | Exception | None, expected: tuple[str, str]
) -> None:
    carrier = Asked(answer)
    assert levels(elsewhere.examine_carrier(replace(case(), provider=carrier))) == [expected]
    assert carrier.closed


def test_a_server_that_cannot_be_reached_is_noted(case: MakeCase) -> None:
    made = case(provider={"name": "smtp", "host": "127.0.0.1", "port": str(free_port())})
    (note,) = elsewhere.examine_carrier(made)
    assert (note.level, "Connection refused" in note.what) == ("warn", True)


def test_the_outbox_sends_nothing_and_a_carrier_that_is_not_there_says_nothing(case: MakeCase) -> None:
    made = case(provider={"name": "outbox"})
    (note,) = elsewhere.examine_carrier(made)
    assert (note.level, note.what.endswith("no mail leaves")) == ("warn", True)
    assert list(elsewhere.examine_carrier(replace(made, provider=None))) == []
