"""The docs say what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from newsletter import config
from newsletter.issue.model import KINDS, Event, Figure, Lead, Publication, Section, Subject, Update
from newsletter.providers.registry import PROVIDERS

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def test_the_generated_pages_are_fresh() -> None:
    script = ROOT / "scripts" / "make-docs"
    result = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_every_setting_is_described() -> None:
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    for name in config.Newsletter.model_fields:
        assert f"`{name}`" in page, name


def test_every_provider_has_its_heading_in_the_settings_page() -> None:
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    for name in PROVIDERS:
        assert f"\n### {name}\n" in page


@pytest.mark.parametrize("model", [*KINDS.values(), Lead, Subject, Update, Section, Figure, Event, Publication])
def test_every_key_of_the_issue_file_is_described(model: type[BaseModel]) -> None:
    page = (ROOT / "docs" / "issue-file.md").read_text("utf-8")
    described = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", page))))
    assert set(model.model_fields) <= described


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_the_docs_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8")):
        if not re.match(r"(https?|mailto):", target):
            assert (page.parent / target).exists(), target


def test_the_readme_shows_both_commands_first() -> None:
    start = (ROOT / "README.md").read_text("utf-8")[:400]
    assert "make demo" in start
    assert "make test" in start
