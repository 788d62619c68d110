"""The house rules that no linter holds."""

from __future__ import annotations

import ast
import configparser
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "newsletter").rglob("*.py"))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_has_at_most_300_lines_and_a_function_40(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 300
    bodies = {f.name: f.end_lineno - f.body[0].lineno + 1 for f in functions(path) if f.end_lineno}
    if path.parent.name != "versions":  # a migration is one list of tables
        assert {name: count for name, count in bodies.items() if count > 40} == {}


def test_the_packages_listed_by_hand_are_all_there_are() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = set(setup["options"]["packages"].split())
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in SOURCES if path.name == "__init__.py"}
    assert listed == found | {"newsletter.templates"}


def test_help_loads_nothing_that_a_command_needs() -> None:
    code = "import sys, newsletter.cli.main; print(sorted({m.partition('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    heavy = "pydantic jinja2 premailer requests sqlalchemy alembic flask lxml babel rich"
    assert [name for name in heavy.split() if f"'{name}'" in loaded] == []


def test_no_third_party_comes_in_by_a_second_door() -> None:
    doors = {
        "click": {"cli"},
        "premailer": {"edition/inline.py"},
        "css_inline": {"edition/inline.py"},
        "jinja2": {"edition/themes.py"},
        "requests": {"providers/http.py"},
        "bs4": {"checks"},
        "flask": {"studio"},
        "waitress": {"studio"},
        "sqlalchemy": {"database", "subscribers", "mailing"},
        "markdown_it": {"issue"},
        "nh3": {"issue"},
        "ruamel": {"issue"},
        "rich": {"cli"},
        "procrastinate": {"mailing/queue.py"},
        "dns": {"doctor/dns.py"},
    }
    for path in SOURCES:
        place = str(path.relative_to(ROOT / "newsletter"))
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.append(node.module)
            for name in names:
                allowed = doors.get(name.partition(".")[0])
                assert allowed is None or any(place.startswith(door) for door in allowed), f"{place} imports {name}"
