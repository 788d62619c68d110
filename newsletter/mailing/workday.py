"""A worker's day: jobs and chores until somebody says to stop, and patience while the server is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from newsletter.database.engine import file_of, reading
from newsletter.errors import NewsletterError, TryLaterError
from newsletter.mailing import queue
from newsletter.mailing.chores import EVERY, Chores
from newsletter.mailing.garbage import collected_apart
from newsletter.mailing.stop import Stop
from newsletter.mailing.work import Workshop

_STEP = 0.2  # seconds; how often a wait looks whether somebody wants to stop
_WAITS = (1.0, 2.0, 5.0, 10.0)  # seconds between tries to reach a lost server; the last one again and again


def run(
    shop: Workshop,
    parameters: Mapping[str, Any],
    lanes: int,
    also: Callable[[], None] = lambda: None,
    every: float = EVERY.total_seconds(),
) -> None:
    """Carry what has a job, `lanes` chunks at once, and do the chores, and `also`, every so many seconds.

    `parameters` are libpq's. Returns when `shop.stop` says so and what was under way is done; a lost server is waited
    for. `also` may raise NewsletterError.
    """
    over = threading.Event()
    keeper = threading.Thread(target=_keep, args=(shop, also, every, over), name="chores")
    with shop, collected_apart():
        keeper.start()
        try:
            for seconds in waits(shop.stop):
                try:
                    queue.serve(parameters, shop.carry, lanes, shop.stop)
                except TryLaterError as error:
                    shop.tell(f"{file_of(shop.engine)}: {error}; waiting for it")
                    _wait_for_server(shop, seconds)
        finally:
            over.set()
            keeper.join()


def _keep(shop: Workshop, also: Callable[[], None], every: float, over: threading.Event) -> None:
    chores = Chores(shop)
    while not over.is_set():
        for do in (chores.do, also):
            try:
                do()
            except NewsletterError as error:
                shop.tell(str(error))
        over.wait(every)


def waits(stop: Stop) -> Iterator[float]:
    """Yield how many seconds to wait after each try that fails, until somebody says to stop."""
    number = 0
    while not stop():
        yield _WAITS[min(number, len(_WAITS) - 1)]
        number += 1


def wait(stop: Stop, seconds: float) -> None:
    """Wait, unless somebody says to stop."""
    over = time.monotonic() + seconds
    while time.monotonic() < over and not stop():
        time.sleep(_STEP)


def _wait_for_server(shop: Workshop, seconds: float) -> None:
    while not shop.stop():
        wait(shop.stop, seconds)
        try:
            with reading(shop.engine) as connection:
                queue.is_there(connection)
        except NewsletterError:
            continue
        return
