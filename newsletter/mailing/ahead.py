"""Composes the next messages of a chunk while the one before is under way.

A signature by RSA takes longer than all else that is done for a message, and it leaves the interpreter to others. So
helpers compose what a lane is going to send; the lane itself claims, notes, sends and counts, as it does without them.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor

from newsletter.mailing.letters import Letter
from newsletter.mailing.message import Compiler
from newsletter.providers.base import Envelope, Provider

LARGEST = 4  # messages that are composed in one go; a future costs as much as a message that is not signed
SLICES = 4  # that are asked for ahead of the one that is being sent


def helpers(connections: int) -> ThreadPoolExecutor:
    """Return who composes ahead, for so many connections; to be shut down.

    One for two connections: a lane composes what none of them has come to, and more would take the lanes' time.
    """
    return ThreadPoolExecutor((connections + 1) // 2, "composing")


def pays(provider: Provider) -> bool:
    """Say whether it pays to compose ahead for a carrier: not at an agreed rate, where nobody is in a hurry."""
    return provider.signer is not None and provider.rate is None


class Composing:
    """The envelopes of a claim's letters."""

    def __init__(self, compiler: Compiler, letters: Sequence[Letter], by: Executor | None) -> None:
        self._compiler = compiler
        self._by = by
        self._coming = _slices(letters, 1 if by is None else LARGEST)
        self._asked: deque[tuple[Sequence[Letter], Future[list[Envelope]]]] = deque()
        self._made: dict[Letter, Envelope] = {}
        self._failed: Exception | None = None  # which came up before its letter was asked for

    def of(self, letter: Letter) -> Envelope:
        """Return the envelope of a letter. Letters may be left out, but none is asked for after a later one.

        Raises what composing raises, and LookupError for a letter that was passed over.
        """
        if self._failed is not None:
            raise self._failed
        while letter not in self._made:
            self._go_on()
        return self._made[letter]

    def ready(self, letter: Letter) -> Envelope | None:
        """Return the envelope of a letter if it can be had now; why it cannot be composed is said by `of`."""
        try:
            while letter not in self._made:
                if self._failed is not None or (self._asked and self._asked[0][1].running()):
                    return None
                self._go_on()
        except Exception as error:  # noqa: BLE001 - raised in the letter's own turn
            self._failed = error
            return None
        return self._made[letter]

    def close(self) -> None:
        """Give up what nobody has begun to compose."""
        for _, future in self._asked:
            future.cancel()

    def _go_on(self) -> None:
        """Have the next slice, made by a helper or, when none has come to it, by the lane itself."""
        letters, future = self._asked.popleft() if self._asked else (next(self._coming, ()), None)
        if not letters:
            raise LookupError("the letter was passed over")
        if self._by is not None:
            for following in itertools.islice(self._coming, SLICES - len(self._asked)):
                self._asked.append((following, self._by.submit(self._compose_all, following)))
        made = self._compose_all(letters) if future is None or future.cancel() else future.result()
        self._made = dict(zip(letters, made, strict=True))

    def _compose_all(self, letters: Sequence[Letter]) -> list[Envelope]:
        return [self._compose(letter) for letter in letters]

    def _compose(self, letter: Letter) -> Envelope:
        return self._compiler.compose(letter.reader, letter.address, letter.name, letter.chosen)


def _slices(letters: Sequence[Letter], largest: int) -> Iterator[Sequence[Letter]]:
    """Cut letters into slices: one letter at first, so that it leaves at once, then more."""
    start, size = 0, 1
    while start < len(letters):
        yield letters[start : start + size]
        start, size = start + size, min(2 * size, largest)
