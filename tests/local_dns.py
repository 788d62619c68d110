"""A real DNS server on loopback, over UDP, for whoever asks it instead of the world's."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

Zone = Mapping[str, Mapping[str, Sequence[str]]]

FAILS = "FAILS"  # a type of record: questions for this name are answered with SERVFAIL
SILENT = "SILENT"  # questions for this name are not answered at all


class LocalDns:
    """Answers from a zone such as `{"example.org": {"MX": ["10 mail.example.org."], "TXT": ["v=spf1 -all"]}}`.

    Text is written as it is, however long; CNAME is followed; every other name does not exist. `asked` keeps the
    questions, as (name, type).
    """

    def __init__(self, zone: Zone) -> None:
        self.zone = {dns.name.from_text(name).canonicalize(): records for name, records in zone.items()}
        self.asked: list[tuple[str, str]] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def serve(self) -> None:
        """Answer until an empty datagram comes."""
        while True:
            data, peer = self._socket.recvfrom(4096)
            if not data:
                return
            answer = self._answer(dns.message.from_wire(data))
            if answer:
                self._socket.sendto(answer, peer)

    def stop(self, serving: threading.Thread) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as knocking:
            knocking.sendto(b"", ("127.0.0.1", self.port))
        serving.join(5)
        self._socket.close()

    def _answer(self, query: dns.message.Message) -> bytes | None:
        question = query.question[0]
        self.asked.append((str(question.name).lower().rstrip("."), dns.rdatatype.to_text(question.rdtype)))
        answer = dns.message.make_response(query, recursion_available=True)
        name = question.name.canonicalize()
        for _ in range(10):
            records = self.zone.get(name)
            if records is None:
                if not any(other.is_subdomain(name) for other in self.zone):
                    answer.set_rcode(dns.rcode.NXDOMAIN)
                break
            if SILENT in records:
                return None
            if FAILS in records:
                answer.set_rcode(dns.rcode.SERVFAIL)
                break
            kind = "CNAME" if "CNAME" in records else dns.rdatatype.to_text(question.rdtype)
            values = records.get(kind, ())
            if values:
                answer.answer.append(dns.rrset.from_text_list(name, 60, "IN", kind, [_quoted(kind, v) for v in values]))
            if kind != "CNAME":
                break
            name = dns.name.from_text(values[0]).canonicalize()
        wire = answer.to_wire(max_size=65535)
        if len(wire) <= max(512, query.payload):
            return wire
        answer.answer.clear()
        answer.flags |= dns.flags.TC
        return answer.to_wire()


def _quoted(kind: str, value: str) -> str:
    """Write a text as the strings of at most 255 characters that a record holds."""
    if kind != "TXT":
        return value
    escaped = [value[n : n + 255].replace("\\", "\\\\").replace('"', '\\"') for n in range(0, len(value), 255)]
    return " ".join(f'"{part}"' for part in escaped) or '""'


@contextlib.contextmanager
def local_dns(zone: Zone) -> Iterator[LocalDns]:
    """Start a server for a zone, and stop it."""
    server = LocalDns(zone)
    serving = threading.Thread(target=server.serve, daemon=True)
    serving.start()
    try:
        yield server
    finally:
        server.stop(serving)
