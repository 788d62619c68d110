"""A web server that answers as told, and reads what forms bring."""

from __future__ import annotations

import email.parser
import email.policy
import socket
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

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
        self._turn = threading.RLock()  # requests come in at once, and are acted upon one after the other
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # head and body leave in two writes; 40 ms would lie between them

            def setup(self) -> None:
                server.connections += 1
                super().setup()

            def log_message(self, *_: object) -> None: ...

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                server.answer(self, Seen(self.command, self.path, dict(self.headers.items()), body))

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - the library calls them so

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
        self.reply(handler, self.take_turn(seen))

    def take_turn(self, seen: Seen) -> Said | str:
        """Note a request and decide what is answered to it, one request at a time."""
        with self._turn:
            self.seen.append(seen)
            return self.answers.pop(0) if self.answers else self.serve(seen)

    def reply(self, handler: BaseHTTPRequestHandler, said: Said | str) -> None:
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
