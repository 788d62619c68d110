"""One clock for a sender, the sender it forked, and the provider."""

from __future__ import annotations

import datetime as dt
import mmap
import struct

from mailing_house import NOON

_MOMENTS = struct.Struct("dd")


class SharedClock:
    """Stands still until somebody waits or sets it forward; it lies in memory that forked children share.

    What the senders read may `jump`, while the time of the rest of the world, `true`, goes on.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _MOMENTS.size)
        _MOMENTS.pack_into(self._memory, 0, NOON.timestamp(), 0.0)

    def __call__(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(sum(self._read()), dt.UTC)

    def true(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self._read()[0], dt.UTC)

    def _read(self) -> tuple[float, float]:
        true, ahead = _MOMENTS.unpack_from(self._memory)
        return true, ahead

    def forward(self, **interval: float) -> None:
        true, ahead = self._read()
        _MOMENTS.pack_into(self._memory, 0, true + dt.timedelta(**interval).total_seconds(), ahead)

    def jump(self, hours: float) -> None:
        true, ahead = self._read()
        _MOMENTS.pack_into(self._memory, 0, true, ahead + hours * 3600)

    def sleep(self, seconds: float) -> None:
        self.forward(seconds=seconds)

    @staticmethod
    def chance() -> float:
        return 0.0
