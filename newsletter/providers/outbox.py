"""The outbox: every message is a file in a folder, to look at, to hand on, or to test with."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import threading
from pathlib import Path
from typing import Any, ClassVar, Literal

from newsletter.config import Settings
from newsletter.providers.base import Envelope, Guard, MessageCarrier, Outcome, ProviderStoppedError, Receipt
from newsletter.source import Line, display

_FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,150}")


class OutboxSettings(Settings):
    """`provider: {name: outbox, folder: outbox}`; a relative folder stands in the project."""

    name: Literal["outbox"]
    folder: Line = "outbox"


class Outbox(MessageCarrier):
    """Writes `<folder>/<mailing>/<reader id>.eml`, the message byte for byte.

    A file appears whole or not at all, so a sender that is killed leaves no half message, and handing the same message
    over again changes nothing. Folders and files are the owner's alone (0700, 0600): they hold addresses. Files are not
    forced to the disk one by one; after a power cut, not after a kill, the newest may be missing.
    """

    name = "outbox"
    guard = Guard.REPEATABLE
    chunk_size = 200
    settings: ClassVar[type[Settings]] = OutboxSettings

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ready: set[str] = set()
        self._lock = threading.Lock()  # a thread that prepares must not clear away the draft of another

    @classmethod
    def open(cls, settings: Any, root: Path) -> Outbox:
        """Make the outbox of a project."""
        return cls(root / settings.folder)

    def describe(self) -> str:
        """Name the folder."""
        return f"outbox {display(self.folder)}"

    def place(self) -> str:
        """Return the folder: only there does the same message again make no second copy."""
        return str(self.folder.resolve())

    def deliver(self, envelope: Envelope, following: Envelope | None = None) -> Receipt:
        """Write one message. Raises ProviderStoppedError when the disk is full or the folder cannot be written."""
        del following
        target = self._path(envelope)
        draft = target.with_name(f".{target.name}.tmp")
        try:
            self._prepare(target.parent)
            _write(draft, envelope.data)
            os.replace(draft, target)  # noqa: PTH105 - half the cost of Path.replace, once a reader
        except OSError as error:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise ProviderStoppedError(_explain(error, target)) from None
        return Receipt(Outcome.ACCEPTED, reference=target.name)

    def knows(self, envelope: Envelope) -> bool:
        """Say whether the very same message is there."""
        try:
            return self._path(envelope).read_bytes() == envelope.data
        except FileNotFoundError:
            return False
        except OSError as error:
            raise ProviderStoppedError(_explain(error, self._path(envelope))) from None

    def _path(self, envelope: Envelope) -> Path:
        mailing = envelope.key.rpartition("/")[0]
        if not _FOLDER_NAME.fullmatch(mailing):
            raise ProviderStoppedError(f"outbox: '{mailing}' cannot be the name of a mailing's folder")
        return self.folder / mailing / f"{envelope.reader:d}.eml"

    def _prepare(self, folder: Path) -> None:
        """Make a mailing's folder, and clear away the draft that a killed sender may have left in it."""
        if folder.name in self._ready:
            return
        with self._lock:
            if folder.name in self._ready:
                return
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            for left in folder.glob(".*.eml.tmp"):
                left.unlink(missing_ok=True)
            self._ready.add(folder.name)


def _write(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        rest = memoryview(data)
        while rest:  # a disk that fills up takes a part first, and says so at the next write
            rest = rest[os.write(handle, rest) :]
    finally:
        os.close(handle)


def _explain(error: OSError, path: Path) -> str:
    where = display(path)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{where}: the disk is full; free some space and run the command again, it goes on where it stopped"
    return f"{where}: cannot be written: {error.strerror}"
