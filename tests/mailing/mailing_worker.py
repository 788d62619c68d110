"""A worker in a process of its own: ROOT CARRIER DATABASE [LANES]. It says what it does on its standard output.

CARRIER as in mailing_sender.py. Its chores come three times a second and not once a minute.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mailing_house import House
from mailing_sender import provider

from newsletter.database import postgresql
from newsletter.mailing import queue, workday
from newsletter.mailing.clocks import database_clock
from newsletter.mailing.stop import stop_on_signals
from newsletter.mailing.work import Workshop


def main(root: str, kind: str, database: str, lanes: str = "2") -> None:
    house = House(Path(root), url=database)
    queue.install(house.engine)

    def say(line: str) -> None:
        print(line, flush=True)  # noqa: T201 - what the test reads

    with stop_on_signals() as stop:
        shop = Workshop(
            house.engine,
            lambda one: house.order(provider(kind, house.root, 0), list_name=one.list),
            database_clock(house.engine),
            stop,
            say,
        )
        say("ready")
        workday.run(shop, postgresql.parameters(database), int(lanes), every=0.3)
    house.engine.dispose()


if __name__ == "__main__":
    main(*sys.argv[1:])
