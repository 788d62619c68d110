"""Servers that SMTP is tested against: Postfix's smtp-sink, and one that follows a script, for what that cannot do."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from components import component, sink_user

SILENCE = "say nothing, and wait until the client goes away"
HANG_UP = "close the connection without a word"
RESET = "reset the connection"

Line = str
DEFAULTS = {
    "CONNECT": "220 scripted ESMTP",
    "HELO": "250 scripted",
    "AUTH": "235 welcome",
    "STARTTLS": "220 go ahead",
    "MAIL": "250 2.1.0 Ok",
    "RCPT": "250 2.1.5 Ok",
    "DATA": "354 End data with <CR><LF>.<CR><LF>",
    ".": "250 2.0.0 Ok: queued as SCRIPTED",
    "RSET": "250 2.0.0 Ok",
    "QUIT": "221 2.0.0 Bye",
}


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextlib.contextmanager
def smtp_sink(dump: Path, *options: str) -> Iterator[int]:
    """Start a sink that writes every message into a folder; yields its port."""
    port = free_port()
    dump.mkdir(exist_ok=True)
    command = [component("smtp-sink"), *sink_user(), "-d", f"{dump}/m.", *options, f"127.0.0.1:{port}", "64"]
    with subprocess.Popen(command) as sink:
        try:
            _wait_for(port)
            yield port
        finally:
            sink.terminate()


def _wait_for(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError("smtp-sink did not start")


def dumped(folder: Path) -> list[tuple[str, str, bytes]]:
    """Read what a sink wrote: the arguments of MAIL and RCPT, and the message with CRLF line ends.

    It makes a file at DATA, and takes it away again when it sees that the client hung up instead of sending a message.
    """
    found = []
    for path in folder.iterdir():
        try:
            head, _, rest = path.read_bytes().partition(b"\n\tby smtp-sink")
        except FileNotFoundError:
            continue
        given = dict(line.split(": ", 1) for line in head.decode().split("\n") if line.startswith("X-"))
        after = rest.split(b"\n", 2)
        if len(after) == 3:
            message = after[2].removesuffix(b"\n").replace(b"\n", b"\r\n")
            found.append((given["X-Mail-Args"], given["X-Rcpt-Args"], message))
    return found


class ScriptedServer:
    """A server on loopback that notes every command, and replies as usual except where `replies` says otherwise.

    `replies` maps a command to the replies of its first, second, ... use; the usual one follows.
    """

    def __init__(
        self,
        replies: Mapping[str, Sequence[str]] | None = None,
        features: Sequence[str] = ("PIPELINING", "8BITMIME", "SIZE 1000000"),
        tls: ssl.SSLContext | None = None,
        security: Literal["none", "starttls", "tls"] = "none",
    ) -> None:
        self.replies = {command: list(given) for command, given in (replies or {}).items()}
        self.features = features
        self.tls, self.security = tls, security
        self.commands: list[tuple[int, str]] = []
        self.messages: list[bytes] = []
        self.credentials: list[str] = []
        self._connections: list[list[socket.socket]] = []
        self._threads: list[threading.Thread] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for layers in self._connections:
            with contextlib.suppress(OSError):
                layers[-1].shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def verbs(self) -> list[str]:
        return [line.split(" ")[0].split(":")[0].upper() for _, line in self.commands]

    @property
    def connections(self) -> int:
        return len(self._connections)

    def _start(self, target: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._connections.append([connection])
            self._start(self._serve, self._connections[-1], len(self._connections))

    def _serve(self, layers: list[socket.socket], number: int) -> None:
        """Converse on the last of the layers (plain, then TLS), and close them all at the end."""
        with contextlib.suppress(OSError):
            if self.security == "tls":
                self._protect(layers)
            self._converse(layers, number)
        for layer in reversed(layers):
            layer.close()

    def _protect(self, layers: list[socket.socket]) -> None:
        assert self.tls is not None
        layers.append(self.tls.wrap_socket(layers[-1], server_side=True))

    def _converse(self, layers: list[socket.socket], number: int) -> None:
        connection = layers[-1]
        lines = connection.makefile("rb")
        self._reply(connection, lines, "CONNECT")
        while line := lines.readline():
            text = line.decode("utf-8", "replace").strip()
            self.commands.append((number, text))
            verb = text.split(" ")[0].split(":")[0].upper()
            if verb == "EHLO" and "EHLO" not in self.replies:
                features = [f for f in self.features if f != "STARTTLS" or not isinstance(connection, ssl.SSLSocket)]
                all_lines = ["scripted", *features]
                ends = ["-"] * (len(all_lines) - 1) + [" "]
                connection.sendall("".join(f"250{e}{x}\r\n" for e, x in zip(ends, all_lines, strict=True)).encode())
                continue
            if verb == "AUTH":
                self.credentials.append(base64.b64decode(text.split(" ")[2]).decode())
            said = self._reply(connection, lines, verb)
            if verb == "QUIT" or said.startswith("421"):
                return
            if verb == "STARTTLS" and said.startswith("220"):
                lines.close()
                self._protect(layers)
                connection = layers[-1]
                lines = connection.makefile("rb")
            if said.startswith("354"):
                self.messages.append(self._message(lines))
                if self._reply(connection, lines, ".").startswith("421"):
                    return

    def _message(self, lines: Any) -> bytes:
        message = b""
        while (line := lines.readline()) != b".\r\n":
            if not line:
                raise ConnectionAbortedError
            message += line
        return message

    def _reply(self, connection: socket.socket, lines: Any, command: str) -> str:
        given = self.replies.get(command)
        said = given.pop(0) if given else DEFAULTS.get(command, "502 what?")
        if said == SILENCE:
            lines.read()
        if said == RESET:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            lines.close()
        if said in (SILENCE, HANG_UP, RESET):
            raise ConnectionAbortedError
        connection.sendall(said.encode() + b"\r\n")
        return said
