"""Puts the house of the mailing room and the providers' stand-ins within reach, and sets up the theatre of faults."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

for room in ("mailing", "providers"):
    sys.path.append(str(Path(__file__).resolve().parent.parent / room))

from fault_scene import Theatre  # noqa: E402 - it lies behind the path


@pytest.fixture(scope="session")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Theatre:
    return Theatre(tmp_path_factory.mktemp("faults"))
