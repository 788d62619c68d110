from __future__ import annotations

import base64
import datetime as dt
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from smtp_servers import free_port
from web_servers import HANG_UP, RESET, SILENCE, Said, Seen, WebServer, form

from newsletter.providers import http
from newsletter.providers.base import Outcome, ProviderStoppedError, Receipt
from newsletter.providers.http import Answer, NoAnswer, Request, Web, multipart, retry_after, settled

NOW = dt.datetime(2016, 4, 22, 12, 0, tzinfo=dt.UTC)


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer() as server:
        yield server


@pytest.fixture
def web() -> Iterator[Web]:
    web = Web(("api", "key"), connect_timeout=1, read_timeout=0.4)
    yield web
    web.close()


def post(server: WebServer, body: bytes = b"x") -> Request:
    return Request("POST", f"{server.url}/messages", {"Content-Type": "text/plain"}, body)


def test_a_request_goes_out_once_with_its_key_and_comes_back_as_an_answer(server: WebServer, web: Web) -> None:
    server.answers = [Said(202, {"X-Said": "a"}, b'{"id": 1}')]
    answer = web.ask(post(server))
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body, answer.headers["x-said"], answer.json()) == (202, b'{"id": 1}', "a", {"id": 1})
    assert [seen.body for seen in server.seen] == [b"x"]
    assert server.seen[0].headers["Authorization"] == "Basic YXBpOmtleQ=="
    assert server.seen[0].headers["User-Agent"].startswith("country-newsletter/")


def test_a_key_with_letters_of_any_alphabet_is_a_wrong_key_and_no_crash(server: WebServer) -> None:
    web = Web(("api", "ключ☃"))
    server.answers = [Said(401, {}, b"no")]
    answer = web.ask(post(server))
    web.close()
    assert isinstance(answer, Answer)
    assert server.seen[0].headers["Authorization"] == "Basic " + base64.b64encode("api:ключ☃".encode()).decode()


@pytest.mark.parametrize(
    ("said", "status", "complete"),
    [
        (HANG_UP, None, False),
        (RESET, None, False),
        (SILENCE, None, False),
        (Said(200, {}, b'{"id"', promised=500), 200, False),
        (Said(200, {"Content-Encoding": "gzip"}, b"not gzip"), 200, False),
        (Said(200, {}, b'{"id": 1'), 200, True),
        (Said(503, {}, b"busy"), 503, True),
    ],
)
def test_an_answer_that_is_lost_or_broken_is_unknown_and_never_asked_for_again(
    server: WebServer, web: Web, said: Said | str, status: int | None, complete: bool
) -> None:
    server.answers = [said]
    answer = web.ask(post(server))
    if status is None:
        assert isinstance(answer, NoAnswer)
        assert answer.outcome is Outcome.UNKNOWN
    else:
        assert isinstance(answer, Answer)
        assert (answer.status, answer.complete) == (status, complete)
        assert answer.json() is None
    assert len(server.seen) == 1


def test_a_server_that_is_not_there_took_nothing(web: Web) -> None:
    for host in (f"127.0.0.1:{free_port()}", "no-such-host.invalid"):
        answer = web.ask(Request("POST", f"http://{host}/", body=b"x"))
        assert answer == NoAnswer(Outcome.DEFERRED, "the provider cannot be reached")


def test_a_redirect_is_an_answer_and_not_followed(server: WebServer, web: Web) -> None:
    server.answers = [Said(307, {"Location": "/elsewhere"})]
    answer = web.ask(post(server))
    assert isinstance(answer, Answer)
    assert answer.status == 307
    assert [seen.path for seen in server.seen] == ["/messages"]


def test_an_answer_without_end_is_cut(server: WebServer, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER", 1000)
    server.answers = [Said(200, {}, b"x" * 100_000)]
    answer = web.ask(post(server))
    assert isinstance(answer, Answer)
    assert (len(answer.body), answer.complete) == (1000, False)


def test_json_nested_without_end_is_no_json() -> None:
    assert Answer(200, {}, b"[" * 200_000).json() is None


def test_a_connection_is_kept_for_the_next_request_but_not_when_it_was_idle(
    server: WebServer, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.ask(post(server))
    web.ask(post(server))
    assert server.connections == 1
    monkeypatch.setattr(http, "_IDLE", -1.0)
    web.ask(post(server))
    assert server.connections == 2


def test_the_environment_has_no_say(server: WebServer, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert isinstance(web.ask(post(server)), Answer)


def test_a_certificate_nobody_vouches_for_stops_the_run(tmp_path: Path, web: Web) -> None:
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=scripted"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", files[1], "-out", files[0]]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    with WebServer() as server:
        server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
        with pytest.raises(ProviderStoppedError, match="certificate is not valid: self"):
            web.ask(Request("POST", server.url.replace("http:", "https:"), body=b"x"))
        assert server.seen == []


def test_tls_to_a_server_that_does_not_speak_it_stops_the_run(server: WebServer, web: Web) -> None:
    with pytest.raises(ProviderStoppedError, match="does not speak TLS"):
        web.ask(Request("POST", server.url.replace("http:", "https:"), body=b"x"))


@pytest.mark.parametrize(
    ("status", "outcome", "split"),
    [
        (400, Outcome.REJECTED, True),
        (422, Outcome.REJECTED, True),
        (413, Outcome.REJECTED, True),
        (420, Outcome.DEFERRED, False),
        (429, Outcome.DEFERRED, False),
        (408, Outcome.UNKNOWN, False),
        (409, Outcome.UNKNOWN, False),
        (500, Outcome.UNKNOWN, False),
        (503, Outcome.UNKNOWN, False),
        (100, Outcome.UNKNOWN, False),
    ],
)
def test_a_status_decides_the_outcome(status: int, outcome: Outcome, split: bool) -> None:
    receipt = settled(Answer(status, {"retry-after": "7"}, b'{"message":\n"no"}'), "mailgun", NOW)
    assert isinstance(receipt, Receipt)
    assert (receipt.outcome, receipt.split) == (outcome, split)
    assert receipt.detail == f'mailgun answered {status}: {{"message": "no"}}'
    assert receipt.retry_after == (None if outcome is Outcome.REJECTED else 7.0)


@pytest.mark.parametrize("status", [301, 307, 401, 402, 403, 404, 405, 410])
def test_a_status_that_concerns_us_stops_the_run(status: int) -> None:
    with pytest.raises(ProviderStoppedError, match=f"mailgun answered {status}: Forbidden"):
        settled(Answer(status, {}, b"Forbidden\n"), "mailgun", NOW)


def test_only_the_body_of_a_whole_2xx_has_a_say() -> None:
    whole, broken = Answer(200, {}, b"{}"), Answer(200, {}, b"{", complete=False)
    assert settled(whole, "mailgun", NOW) is whole
    assert settled(broken, "mailgun", NOW).outcome is Outcome.UNKNOWN  # type: ignore[union-attr]
    lost = NoAnswer(Outcome.UNKNOWN, "lost")
    assert settled(lost, "mailgun", NOW) == Receipt(Outcome.UNKNOWN, "lost")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("1.5", 1.5),
        ("86400", http.LONGEST_WAIT),
        ("9" * 5000, http.LONGEST_WAIT),
        ("-5", None),
        ("soon", None),
        ("١٢", None),
        ("nan", None),
        ("Fri, 22 Apr 2016 12:01:30 GMT", 90.0),
        ("Fri, 22 Apr 2016 12:01:30 -0000", 90.0),
        ("Fri, 22 Apr 2016 11:00:00 GMT", 0.0),
        ("Fri, 22 Apr 2099 11:00:00 GMT", http.LONGEST_WAIT),
        ("Fri, 99 Apr 2016 12:01:30 GMT", None),
        ("Fri, 22 Apr 99999999999 12:01:30 GMT", None),
    ],
)
def test_a_wait_is_read_in_seconds_or_as_a_date_and_nonsense_is_none(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


def test_a_form_is_read_back_as_it_was_written() -> None:
    fields = [("a", "1"), ("a", "2"), ("h:List-Unsubscribe", "<x>"), ("text", "– line\r\n--x\r\n\n"), ("empty", "")]
    content_type, body = multipart(fields)
    assert form(Seen("POST", "/", {"Content-Type": content_type}, body)) == fields
    assert multipart(fields) == (content_type, body)
    assert multipart(fields[1:])[0] != content_type
