"""What the theme's tests look at: sample issues set in it, whole and as readers of some countries get them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from newsletter import config
from newsletter.edition.model import Edition
from newsletter.edition.render import make_edition
from newsletter.issue.countries import Countries
from newsletter.issue.load import load

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


@pytest.fixture(scope="session")
def set_in_theme(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Edition]:
    """Set the text of an issue in the theme."""
    folder = tmp_path_factory.mktemp("theme")
    shutil.copy(ROOT / "newsletter.yaml", folder)
    (folder / "issues").mkdir()
    project = config.load(folder)
    countries = Countries.from_settings(project.settings)

    def set_one(text: str) -> Edition:
        path = project.issues / "2016-04-22.yaml"
        path.write_text(text, "utf-8")
        return make_edition(load(path, countries), project, countries)

    return set_one


@pytest.fixture(scope="session")
def everything() -> str:
    """The text of a weekly with every part there is."""
    return (HERE / "everything.yaml").read_text("utf-8")


@pytest.fixture(scope="session")
def editions(set_in_theme: Callable[[str], Edition], everything: str) -> dict[str, Edition]:
    """Every part of a weekly, a right-to-left weekly, a notice, and the sample issue of a real week."""
    texts = {
        "everything": everything,
        "arabic": (HERE / "arabic.yaml").read_text("utf-8"),
        "notice": (ROOT / "issues" / "2016-04-25-no-issue-next-week.yaml").read_text("utf-8"),
        "real": (ROOT / "issues" / "2016-04-22.yaml").read_text("utf-8"),
    }
    return {name: set_in_theme(text) for name, text in texts.items()}


@pytest.fixture(scope="session")
def mails(editions: dict[str, Edition]) -> dict[str, str]:
    """Each edition whole, and the copies of readers who follow one country of it ("less") or none ("none")."""
    whole = {name: edition.join_html() for name, edition in editions.items()}
    some = editions["everything"]
    return {**whole, "less": some.join_html(frozenset({1})), "none": some.join_html(frozenset())}
