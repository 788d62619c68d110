"""A stand-in for Amazon SES that passes each message on to an SMTP server before it answers. PORT is printed first.

Argument: the server's port. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from newsletter.providers.base import Envelope, MessageCarrier, Outcome
from newsletter.providers.registry import open_provider

ANSWER = b'{"MessageId": "0100017a"}'


def envelope(request: bytes) -> Envelope:
    """Make a message of a request, as small a work as can be."""
    asked = json.loads(request)
    simple = asked["Content"]["Simple"]
    (to,) = asked["Destination"]["ToAddresses"]
    lines = [f"From: {asked['FromEmailAddress']}", f"To: {to}", f"Subject: {simple['Subject']['Data']}"]
    lines += [f"{one['Name']}: {one['Value']}" for one in simple["Headers"]]
    lines += ["MIME-Version: 1.0", 'Content-Type: multipart/alternative; boundary="b"', ""]
    for kind, part in (("plain", "Text"), ("html", "Html")):
        lines += ["--b", f"Content-Type: text/{kind}; charset=utf-8", "", simple["Body"][part]["Data"]]
    whole = "\n".join([*lines, "--b--", ""]).replace("\r\n", "\n").replace("\n", "\r\n")
    return Envelope(0, "", "bounces@example.org", to, whole.encode())


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, carrier: MessageCarrier) -> None:
    """Answer one connection's requests, one after the other."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER)
    try:
        while True:
            lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
            length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
            receipt = carrier.deliver(envelope(await reader.readexactly(length)))
            if receipt.outcome is not Outcome.ACCEPTED:
                sys.exit(receipt.detail)
            writer.write(head + ANSWER)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    """Serve until nobody holds our standard input any more."""
    carrier = open_provider({"name": "smtp", "host": "127.0.0.1", "port": sys.argv[1], "security": "none"}, Path())
    assert isinstance(carrier, MessageCarrier)
    server = await asyncio.start_server(
        lambda reader, writer: serve(reader, writer, carrier), "127.0.0.1", 0, limit=1 << 20
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
