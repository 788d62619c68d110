"""The house every test of this room starts from."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from mailing_house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "project")
    yield made
    made.engine.dispose()


@pytest.fixture
def hangups_heard() -> Iterator[None]:
    """Let a hangup through, to child processes too, even if the tests themselves were started by nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
