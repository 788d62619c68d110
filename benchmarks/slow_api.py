"""A stand-in for a batch API: reads every request whole and answers after a while. PORT is printed first.

Arguments: seconds to wait, what to answer. It ends with its standard input. It takes as little of the machine as it
can, which the sender shares with it: a thread for each connection, and bodies that are counted and not copied.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from typing import TypeVar

_PART = 1 << 20  # bytes

Received = TypeVar("Received", bytes, int)


def serve(connection: socket.socket, seconds: float, answer: bytes) -> None:
    """Answer one connection's requests, one after the other."""
    said = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer)
    room = bytearray(_PART)
    with connection, contextlib.suppress(ConnectionError):
        while True:
            head = b""
            while b"\r\n\r\n" not in head:
                head += _got(connection.recv(65536))
            due = time.monotonic() + seconds
            head, _, body = head.partition(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            left = next(int(line[15:]) for line in lines if line.startswith(b"content-length:")) - len(body)
            while left > 0:  # MSG_TRUNC throws the bytes of a stream away (Linux)
                left -= _got(connection.recv_into(room, min(left, _PART), socket.MSG_TRUNC))
            time.sleep(max(due - time.monotonic(), 0.0))
            connection.sendall(said)


def _got(received: Received) -> Received:
    """Return what was received. Raises ConnectionError at the end of the stream."""
    if not received:
        raise ConnectionError
    return received


def _accept(server: socket.socket, seconds: float, answer: bytes) -> None:
    while True:
        connection, _ = server.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(connection, seconds, answer), daemon=True).start()


def main() -> None:
    """Serve until nobody holds our standard input any more."""
    seconds, answer = float(sys.argv[1]), sys.argv[2].encode()
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        threading.Thread(target=_accept, args=(server, seconds, answer), daemon=True).start()
        sys.stdin.read()


if __name__ == "__main__":
    main()
