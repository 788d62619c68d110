"""The house every test of this room starts from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mailing_house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "project")
    yield made
    made.engine.dispose()
