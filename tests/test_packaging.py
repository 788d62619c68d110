"""What is installed from the wheel does the main job from an empty folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("newsletter", "templates"):  # a copy, since setuptools packs what an earlier build left in build/
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(source)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return next(out.glob("country_newsletter-*.whl"))


def test_the_wheel_holds_every_template_and_table(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    templates = [path for path in (ROOT / "templates").rglob("*") if path.is_file()]
    assert templates
    assert {f"newsletter/templates/{path.relative_to(ROOT / 'templates')}" for path in templates} <= names
    assert "newsletter/issue/countries.json" in names
    assert any(name.startswith("newsletter/database/migrations/versions/0002") for name in names)
    assert not any(name.startswith(("tests/", "templates/")) for name in names)


def test_an_installed_wheel_does_the_main_job_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "bare"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", str(wheel)]
    result = subprocess.run(install, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    work = tmp_path / "empty"
    work.mkdir()
    environment = {"PATH": f"{home / 'bin'}:/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    environment |= {key: value for key, value in os.environ.items() if key.startswith("PIP_")}
    steps = (
        ["init", "weekly"],
        ["--project", "weekly", "check"],
        ["--project", "weekly", "build", "-o", "made"],
        ["--project", "weekly", "subscribers", "add", "ann@example.org", "--consent", "asked on paper"],
        ["--project", "weekly", "archive", "build", "-o", "public"],
    )
    for step in steps:
        done = subprocess.run(
            ["newsletter", *step], cwd=work, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode in ((0, 1) if "check" in step else (0,)), done.stderr
        assert "Traceback" not in done.stderr
    assert list(work.rglob("message.eml"))
    assert (work / "public" / "index.html").exists()
