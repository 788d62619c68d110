"""A stand-in for a batch API: reads every request whole and answers after a while. PORT is printed first.

Arguments: seconds to wait, what to answer. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import sys


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float, answer: bytes) -> None:
    """Answer one connection's requests, one after the other."""
    said = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer)
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
            await asyncio.gather(_swallow(reader, length), asyncio.sleep(seconds))
            writer.write(said)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _swallow(reader: asyncio.StreamReader, length: int) -> None:
    while length > 0:
        part = await reader.read(min(length, 1 << 20))
        if not part:
            raise ConnectionError
        length -= len(part)


async def main() -> None:
    """Serve until nobody holds our standard input any more."""
    seconds, answer = float(sys.argv[1]), sys.argv[2].encode()
    server = await asyncio.start_server(
        lambda reader, writer: serve(reader, writer, seconds, answer), "127.0.0.1", 0, limit=1 << 20
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
