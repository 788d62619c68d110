"""A mail server that takes a message and hangs up without a word, or says yes after a while."""

from __future__ import annotations

import contextlib
import socketserver
import threading
import time
from typing import Any, Self


class DoubtfulServer(socketserver.ThreadingTCPServer):
    """Listens on a port of its own. `answers`: whether it says yes to a message, `pause` seconds after it came."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *, answers: bool = False, pause: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), Dialogue)
        self.port: int = self.server_address[1]
        self.answers = answers
        self.pause = pause
        self.count = 0
        self.taken = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is no fault."""


class Dialogue(socketserver.StreamRequestHandler):
    server: DoubtfulServer

    def handle(self) -> None:
        self.wfile.write(b"220 doubtful ESMTP\r\n")
        with contextlib.suppress(ConnectionError):
            while line := self.rfile.readline():
                if not self.answer(line[:4].upper().strip()):
                    return

    def answer(self, command: bytes) -> bool:
        if command == b"DATA":
            self.wfile.write(b"354 go ahead\r\n")
            while self.rfile.readline() not in (b".\r\n", b""):
                pass
            if not self.server.answers:
                return False
            self.server.taken.set()
            time.sleep(self.server.pause)
            self.server.count += 1
        self.wfile.write(b"221 bye\r\n" if command == b"QUIT" else b"250 fine\r\n")
        return command != b"QUIT"
