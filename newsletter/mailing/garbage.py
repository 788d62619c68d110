"""Keeps the collector of cyclic garbage from looking through the whole program again and again during a send."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def collected_apart() -> Iterator[None]:
    """Let only what is made from now on be looked through (`gc.freeze`).

    Each chunk makes thousands of tuples, so that the collector comes often; looking through all that was loaded each
    time costs a third of a batch send's time (benchmarks/batch.py).
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
