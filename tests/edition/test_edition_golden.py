"""Editions as they were when somebody last looked at them; `pytest --update-golden` writes them anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from newsletter import config
from newsletter.edition.model import Edition

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("*.yaml")))
def test_an_edition_is_what_it_was_when_somebody_last_looked(
    request: pytest.FixtureRequest, project: config.Project, set_issue: Callable[..., Edition], name: str
) -> None:
    edition = set_issue(project, (GOLDEN / f"{name}.yaml").read_text("utf-8"), "2016-04-22-golden")
    for ending, made in (("html", edition.join_html()), ("txt", edition.join_text())):
        path = GOLDEN / f"{name}.{ending}"
        if request.config.getoption("--update-golden"):
            path.write_text(made, "utf-8")
        assert made == path.read_text("utf-8"), f"{path.name} differs; if that is meant, run pytest --update-golden"
