"""What stands for the other side of every carrier, in one shape: it fails on demand, and keeps who got how many."""

from __future__ import annotations

import gc
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from brevo_server import BrevoServer
from fault_clock import SharedClock
from mailchimp_server import MailchimpServer
from mailgun_server import MailgunServer
from mailjet_server import MailjetServer
from postmark_server import PostmarkServer
from provider_server import FAULTS, Fault, ProviderServer
from resend_server import ResendServer
from sendgrid_server import SendgridServer
from ses_server import SesBulkServer, SesServer
from smtp_servers import HANG_UP, SILENCE, ScriptedServer
from web_servers import Said, Seen

from newsletter.providers.base import Provider
from newsletter.providers.outbox import Outbox
from newsletter.providers.smtp import Smtp
from newsletter.providers.smtp_connection import Account

KEY = "the-key-of-the-tests"
SHORT, LONG = (
    1.0,
    20.0,
)  # seconds that a carrier waits for an answer: a busy machine is not to look like a slow provider
SERVERS: Mapping[str, type[ProviderServer]] = {
    "mailgun": MailgunServer,
    "ses": SesServer,
    "ses-bulk": SesBulkServer,
    "postmark": PostmarkServer,
    "mailchimp": MailchimpServer,
    "brevo": BrevoServer,
    "resend": ResendServer,
    "mailjet": MailjetServer,
    "sendgrid": SendgridServer,
}

# The same faults in SMTP's words: the command they answer, and what is said. A reader whose message was taken before
# the connection broke has it.
TAKEN = "taken, and "
SMTP_FAULTS: Mapping[str, tuple[str, str]] = {
    "421 at MAIL": ("MAIL", "421 4.3.2 going down"),
    "421 at the greeting": ("CONNECT", "421 4.3.2 too busy"),
    "451 at MAIL": ("MAIL", "451 4.3.0 not now"),
    "451 at RCPT": ("RCPT", "451 4.7.1 greylisted"),
    "550 at RCPT": ("RCPT", "550 5.1.1 no such user"),
    "451 after DATA": (".", "451 4.3.0 not now"),
    "421 after DATA": (".", "421 4.3.2 going down"),
    "550 after DATA": (".", "550 5.7.1 not wanted"),
    "dropped at MAIL": ("MAIL", HANG_UP),
    "dropped at DATA": ("DATA", HANG_UP),
    "dropped before": (".", HANG_UP),
    "dropped after": (".", TAKEN + HANG_UP),
    "nonsense after DATA": (".", TAKEN + "what a nice message"),
    "too slow": (".", TAKEN + SILENCE),
    "535 at MAIL": ("MAIL", "535 5.7.8 log in first"),
}


class Stand:
    """The other side of a carrier; `names` are the faults it knows."""

    names: tuple[str, ...] = ()
    got: Counter[str]

    def __init__(self, clock: SharedClock) -> None:
        self.clock = clock

    def carrier(self) -> Provider:
        raise NotImplementedError

    def fail_once(self, name: str) -> None:
        raise NotImplementedError

    def refuse(self, address: str) -> None:
        raise NotImplementedError

    def asked_to_send(self) -> list[set[int]]:
        """Return the readers of every request for sending that came in whole, in the order of coming."""
        raise NotImplementedError

    def lost(self) -> set[int]:
        """Return the readers of the request that met the fault."""
        raise NotImplementedError

    def rest(self) -> None:
        """Wait until nothing that came in is still being acted upon; its client is gone."""


def _until(quiet: Callable[[], bool]) -> None:
    for tries in range(20_000):
        if quiet():
            return
        if tries == 20:
            gc.collect()  # urllib3 hangs up when nobody refers to a connection any more, an old exception neither
        time.sleep(0.0005)
    raise AssertionError("a connection is still open whose client is gone")


def _readers(text: bytes) -> set[int]:
    return {int(number) for number in re.findall(rb"reader([0-9]+)@example\.org", text)}


class WebStand(Stand):
    """An HTTP stand-in, on the shared clock."""

    names = tuple(FAULTS)

    def __init__(self, clock: SharedClock, kind: type[ProviderServer]) -> None:
        super().__init__(clock)
        self.met: set[int] = set()
        self.server = _on_the_clock(kind, self)(KEY)  # type: ignore[call-arg]
        self.server.timeout = LONG

    @property
    def got(self) -> Counter[str]:  # type: ignore[override]
        return self.server.got

    def carrier(self) -> Provider:
        carrier: Any = self.server.carrier(self.clock)  # type: ignore[attr-defined]
        return carrier

    def fail_once(self, name: str) -> None:
        self.server.faults.append(FAULTS[name])
        self.server.timeout = SHORT if name == "too slow" else LONG

    def refuse(self, address: str) -> None:
        self.server.bad.add(address)

    def asked_to_send(self) -> list[set[int]]:
        return [_readers(seen.body) for seen in self.server.seen if self.server.sends(seen)]

    def lost(self) -> set[int]:
        return self.met

    def rest(self) -> None:
        self.server.patience.set()
        _until(lambda: not any("process_request_thread" in thread.name for thread in threading.enumerate()))
        self.server.patience.clear()


def _on_the_clock(kind: type[ProviderServer], stand: WebStand) -> type[ProviderServer]:
    """Let a stand-in live by the shared clock, and act only upon requests that came in whole, as every server does."""

    class OnTheClock(kind):  # type: ignore[misc, valid-type]
        now = property(lambda _: stand.clock.true(), lambda *_: None)

        def answer(self, handler: BaseHTTPRequestHandler, seen: Seen) -> None:
            if len(seen.body) < int(seen.headers.get("Content-Length", 0)):
                handler.close_connection = True
                return
            super().answer(handler, seen)

        def _fail(self, fault: Fault, seen: Seen) -> Said | str:
            stand.met = _readers(seen.body)
            return super()._fail(fault, seen)

    return OnTheClock


class SmtpStand(Stand):
    """A server of our own script that notes whom it took a message for."""

    names = tuple(SMTP_FAULTS)

    def __init__(self, clock: SharedClock) -> None:
        super().__init__(clock)
        self.got = Counter()
        self.faults: list[tuple[str, str]] = []
        self.timeout = LONG
        self.bad: set[str] = set()
        self.met: set[int] = set()
        self.server = _Postbox(self)

    def carrier(self) -> Provider:
        account = Account("127.0.0.1", self.server.port, "none", timeout=LONG)
        return Smtp(account, final_timeout=self.timeout)

    def fail_once(self, name: str) -> None:
        self.faults.append(SMTP_FAULTS[name])
        self.timeout = SHORT if name == "too slow" else LONG

    def refuse(self, address: str) -> None:
        self.bad.add(address)

    def asked_to_send(self) -> list[set[int]]:
        return [_readers(message) for message in self.server.messages]

    def lost(self) -> set[int]:
        return self.met

    def rest(self) -> None:
        _until(lambda: not any(thread.is_alive() for thread in self.server._threads[1:]))


class _Postbox(ScriptedServer):
    """Takes messages, and answers once as the stand's fault says. Every connection has a thread, and a script."""

    def __init__(self, stand: SmtpStand) -> None:
        self.at = threading.local()
        super().__init__()
        self.stand = stand
        self.turn = threading.Lock()

    @property
    def replies(self) -> dict[str, list[str]]:  # type: ignore[override]
        script: dict[str, list[str]] = self.at.__dict__.setdefault("script", {})
        return script

    @replies.setter
    def replies(self, given: dict[str, list[str]]) -> None:
        assert not given

    def _converse(self, layers: list[socket.socket], number: int) -> None:
        self.at.number, self.at.begun, self.at.address = number, False, ""
        layers[-1].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else its replies come 40 ms late each
        super()._converse(layers, number)

    def _reply(self, connection: Any, lines: Any, command: str) -> str:
        with self.turn:
            said = self._judge(command)
        if said:
            self.replies[command] = [said.removeprefix(TAKEN)]
        return super()._reply(connection, lines, command)

    def _judge(self, command: str) -> str:
        """Return what is said to a command, "" for the usual, and note whom a message is taken for."""
        stand, at = self.stand, self.at
        if command == "RCPT":
            mine = next(said for number, said in reversed(self.commands) if number == at.number)
            at.address = mine.partition("<")[2].partition(">")[0]
        said = ""
        if stand.faults and stand.faults[0][0] == command:
            said = stand.faults.pop(0)[1]
            stand.met = _readers(at.address.encode())
        elif command == "RCPT" and (at.address in stand.bad or not at.begun):
            said = "550 5.1.1 no such user" if at.begun else "503 5.5.1 MAIL first"
        elif command == "DATA" and not at.address:
            said = "503 5.5.1 RCPT first"
        taken = not said or said.startswith(TAKEN)
        if command == "MAIL":
            at.begun, at.address = taken, ""
        elif command == "RCPT" and not taken:
            at.address = ""
        elif command == "." and taken:
            stand.got[at.address] += 1
        return said


class OutboxStand(Stand):
    """A folder, which knows no faults but the sender's death."""

    def __init__(self, clock: SharedClock, folder: Path) -> None:
        super().__init__(clock)
        self.folder = folder

    @property
    def got(self) -> Counter[str]:  # type: ignore[override]
        return Counter(f"reader{path.stem}@example.org" for path in self.folder.glob("*/*.eml"))

    def carrier(self) -> Provider:
        return Outbox(self.folder)

    def asked_to_send(self) -> list[set[int]]:
        return [{int(path.stem)} for path in self.folder.glob("*/*.eml")]


@contextmanager
def open_stand(name: str, clock: SharedClock, root: Path) -> Iterator[Stand]:
    """Open what stands for the other side of a carrier."""
    if name == "outbox":
        yield OutboxStand(clock, root / "outbox")
        return
    stand = SmtpStand(clock) if name == "smtp" else WebStand(clock, SERVERS[name])
    with stand.server:
        yield stand
