"""Makes proofs out of issue files, with the clean weekly of the week before beside them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from newsletter import config
from newsletter.checks import Proof
from newsletter.edition.model import Edition, Piece
from newsletter.edition.render import make_edition
from newsletter.issue.countries import Countries
from newsletter.issue.load import load

FIXTURES = Path(__file__).parent / "fixtures"


@dataclass(frozen=True)
class Prover:
    """A project folder in which issues are proved."""

    folder: Path

    def write(self, text: str, name: str = "2016-04-22.yaml") -> Path:
        path = self.folder / "issues" / name
        path.write_text(text, "utf-8")
        return path

    def prove(self, path: Path, damage: dict[str, Any] | None = None) -> Proof:
        """Make the proof of an issue; `damage` changes the settings before, the finished mail after."""
        damage = damage or {}
        settings = self.folder / "newsletter.yaml"
        settings.write_text(_changed(settings.read_text(), damage.get("settings", [])))
        project = config.load(self.folder)
        countries = Countries.from_settings(project.settings)
        file = load(path, countries)
        return Proof(project, countries, file, _damaged(make_edition(file, project, countries), damage))


def _changed(text: str, changes: list[list[str]]) -> str:
    for find, put in changes:
        text, count = re.subn(find, put.replace("{padding}", "p{margin:0 0 1px}" * 1000), text)
        assert count, f"the fixture looks for {find!r}, which is not there any more"
    return text


def _damaged(edition: Edition, damage: dict[str, Any]) -> Edition:
    for part, whole in (("html", edition.join_html()), ("text", edition.join_text())):
        if damage.get(part):
            edition = replace(edition, **{part: (Piece(_changed(whole, damage[part])),)})
    if "html_size" in damage:
        html = edition.join_html()
        filling = "a word " * ((damage["html_size"] - len(html.encode()) - 7) // 7)
        filling += "x" * (damage["html_size"] - len(html.encode()) - len(filling) - 7)
        edition = replace(edition, html=(Piece(html.replace("</body>", f"<p>{filling}</p></body>")),))
    return replace(edition, preheader=damage.get("preheader", edition.preheader))


@pytest.fixture
def prover(project_folder: Path) -> Prover:
    for path in (project_folder / "issues").glob("*.yaml"):
        if path.stem != "2016-04-15":
            path.unlink()
    (project_folder / "issues" / "images" / "chairs.svg").write_text("<svg/>")
    (project_folder / "issues" / "images" / "heavy.png").write_bytes(bytes(1_200_000))
    return Prover(project_folder)


@pytest.fixture
def prove_fixture(prover: Prover) -> Callable[[str], Proof]:
    """Prove the fixture of a check: its issue file, or the clean one, and what is damaged in the finished mail."""

    def prove(code: str) -> Proof:
        source = FIXTURES / f"{code}.yaml"
        source = source if source.exists() else FIXTURES / "clean.yaml"
        named = re.match(r"# file: (\S+)", source.read_text("utf-8"))
        target = prover.folder / "issues" / (named[1] if named else f"{code}.yaml")
        shutil.copy(source, target)
        damage = FIXTURES / f"{code}.damage.yaml"
        return prover.prove(target, yaml.safe_load(damage.read_text("utf-8")) if damage.exists() else None)

    return prove
