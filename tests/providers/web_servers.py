"""Web servers that carriers are tested against: one that answers as told, and one that merges as Mailgun does."""

from __future__ import annotations

import base64
import email.parser
import email.policy
import json
import re
import socket
import struct
import threading
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

HANG_UP = "close the connection without a word"
RESET = "reset the connection"
SILENCE = "say nothing"


@dataclass(frozen=True)
class Seen:
    """A request as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Said:
    """An answer. `promised` is the Content-Length it names, when that is not the truth."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    promised: int | None = None


class WebServer:
    """Answers each request with the next of `answers`, and when there is none with what `serve` makes of it."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.answers: list[Said | str] = []
        self.patience = threading.Event()  # what silent answers wait for
        self.connections = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                server.connections += 1
                super().setup()

            def log_message(self, *_: object) -> None: ...

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                server.answer(self, Seen(self.command, self.path, dict(self.headers.items()), body))

            do_GET = do_POST = answer  # noqa: N815 - the library calls them so

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_: object) -> None: ...

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.patience.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def serve(self, seen: Seen) -> Said | str:
        return Said(404, {}, b"nothing here: " + seen.path.encode())

    def answer(self, handler: BaseHTTPRequestHandler, seen: Seen) -> None:
        self.seen.append(seen)
        said = self.answers.pop(0) if self.answers else self.serve(seen)
        if isinstance(said, str):
            handler.close_connection = True
            if said == SILENCE:
                self.patience.wait(10)
            if said == RESET:
                handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()
            return
        handler.send_response(said.status)
        for name, value in said.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(said.body) if said.promised is None else said.promised))
        handler.end_headers()
        handler.wfile.write(said.body)
        if said.promised is not None:
            handler.close_connection = True


def form(seen: Seen) -> list[tuple[str, str]]:
    """Read a multipart/form-data body with the standard library's parser."""
    head = f"Content-Type: {seen.headers['Content-Type']}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + seen.body)
    assert not message.defects
    fields = []
    for part in message.iter_parts():
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        fields.append((str(part.get_param("name", header="content-disposition")), payload.decode()))
    return fields


def expand_in_one_pass(text: str, values: Mapping[str, Any]) -> str:
    return re.sub(r"%recipient\.([A-Za-z0-9_.-]+)%", lambda found: str(values.get(found[1], found[0])), text)


def expand_one_after_the_other(text: str, values: Mapping[str, Any]) -> str:
    for name, value in values.items():
        text = text.replace(f"%recipient.{name}%", str(value))
    return text


def unlike_ours(text: str) -> str:
    """Expand what Mailgun expands beside recipient variables."""
    text = text.replace("%unsubscribe_url%", "https://mailgun.example.org/leave")
    return re.sub(r"%recipient(_email|_name)?%", "somebody@example.org", text)


class MailgunServer(WebServer):
    """Merges a batch into what each reader gets, and tells of it in events, `page_size` a page."""

    def __init__(self, key: str, expand: Callable[[str, Mapping[str, Any]], str] = expand_in_one_pass) -> None:
        super().__init__()
        self.key, self.expand = key, expand
        self.copies: dict[str, dict[str, str]] = {}
        self.events: list[dict[str, Any]] = []
        self.page_size = 2
        self.lose_answers = 0

    def serve(self, seen: Seen) -> Said | str:
        expected = base64.b64encode(f"api:{self.key}".encode()).decode()
        if seen.headers.get("Authorization") != f"Basic {expected}":
            return Said(401, {}, b"Forbidden")
        parts = urllib.parse.urlsplit(seen.path)
        if (seen.method, parts.path) == ("POST", "/v3/mg.example.org/messages"):
            return self._take(dict(_grouped(form(seen))))
        if seen.method == "GET" and parts.path.startswith("/v3/mg.example.org/events"):
            return self._tell(parts)
        return Said(200, {"Content-Type": "text/plain"}, b"Mailgun Magnificent API")

    def _take(self, fields: dict[str, list[str]]) -> Said | str:
        if len(fields["to"]) > 1000:
            return _json(400, {"message": "to parameter: too many recipients"})
        if any("invalid" in address for address in fields["to"]):
            return _json(400, {"message": "to parameter is not a valid address. please check documentation"})
        values = json.loads(fields["recipient-variables"][0])
        for address in fields["to"]:
            self.copies[address] = self._copy(fields, values[address])
            variables = {n[2:]: self.expand(v[0], values[address]) for n, v in fields.items() if n.startswith("v:")}
            about = {"recipient": address, "tags": fields["o:tag"], "user-variables": variables}
            self.events.append({"event": "accepted", "id": str(len(self.events)), **about})
        if self.lose_answers:
            self.lose_answers -= 1
            return HANG_UP
        return _json(200, {"id": "<20160422.1@mg.example.org>", "message": "Queued. Thank you."})

    def _copy(self, fields: dict[str, list[str]], values: Mapping[str, Any]) -> dict[str, str]:
        written = {name: fields[name][0] for name in ("from", "subject", "text", "html")}
        written |= {name[2:].lower(): value[0] for name, value in fields.items() if name.startswith("h:")}
        return {name: self.expand(unlike_ours(value), values) for name, value in written.items()}

    def _tell(self, parts: urllib.parse.SplitResult) -> Said:
        query = dict(urllib.parse.parse_qsl(parts.query))
        page = int(query.get("page", "0"))
        kinds = query["event"].split(" OR ")
        fitting = [e for e in self.events if query["tags"] in e["tags"] and e["event"] in kinds]
        items = fitting[page * self.page_size : (page + 1) * self.page_size]
        following = urllib.parse.urlencode({**query, "page": str(page + 1)})
        return _json(200, {"items": items, "paging": {"next": f"{self.url}{parts.path}?{following}"}})


def _json(status: int, said: object) -> Said:
    return Said(status, {"Content-Type": "application/json"}, json.dumps(said).encode())


def _grouped(fields: list[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in fields:
        grouped.setdefault(name, []).append(value)
    return grouped
