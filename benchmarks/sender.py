"""Sends the sample issue to everybody in a project folder: the process that kill.py kills and memory.py weighs.

A dot goes to the standard output for every message that is settled.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import bench

from newsletter.database.engine import open_database
from newsletter.mailing.dispatch import Order, Progress, send
from newsletter.providers.registry import open_provider


def main() -> None:
    project, edition = bench.edition_of(Path(sys.argv[1]))
    engine = open_database(project.database(), project.root)
    provider = open_provider(project.settings.provider, project.root, project.source)
    before = -1

    def told(progress: Progress) -> None:
        nonlocal before
        if before >= 0:
            os.write(1, b"." * (progress.done - before))
        before = progress.done

    try:
        send(Order(engine, project, edition, bench.LIST, provider), told)
    finally:
        engine.dispose()


if __name__ == "__main__":
    main()
