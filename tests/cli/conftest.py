"""The command line, run as an editor runs it: in the project's folder, in one process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from newsletter.cli.main import main

Run = Callable[..., Result]


@pytest.fixture
def run(project_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `newsletter ARGUMENTS` in a copy of the sample project."""
    monkeypatch.chdir(project_folder)

    def invoke(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(main, arguments, input=stdin, catch_exceptions=False)

    return invoke
