"""What tests in every room use: the sample project, the shared data, real components."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from components import component
from postgres import Cluster

from newsletter import config
from newsletter.issue.countries import Countries

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden editions anew; read the diff")


@pytest.fixture
def shared() -> Path:
    """The folder of real documents and data, which a user's clone does not have."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the folder ../shared with real documents is not here; nothing to install, the test is optional")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Chromium, which draws mails and pages."""
    return component("chromium")


@pytest.fixture(scope="session")
def w3m() -> str:
    """The path of w3m, which reads mails and pages as plain text."""
    return component("w3m")


@pytest.fixture(scope="session")
def smtp_sink_program() -> str:
    """The path of Postfix's smtp-sink, which takes mail and throws it away, or keeps it in a folder."""
    return component("smtp-sink")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL server of this test process; the first test that needs one starts it."""
    cluster = Cluster(component("postgres"))
    yield cluster
    cluster.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of database; a test of one kind only says so: `@pytest.mark.parametrize("kind", ["sqlite"])`."""
    return str(request.param)


@pytest.fixture
def database_url(kind: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """Where a test finds a database for itself, which is empty when a server lends it, and not there in a folder."""
    if kind == "sqlite":
        yield "sqlite:///subscribers/newsletter.db"
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    with cluster.lent() as url:
        yield url


@pytest.fixture
def project_folder(tmp_path: Path) -> Path:
    """A copy of the sample project that a test may change."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copy(ROOT / "newsletter.yaml", folder)
    shutil.copytree(ROOT / "issues", folder / "issues")
    shutil.copytree(ROOT / "subscribers", folder / "subscribers", ignore=shutil.ignore_patterns("*.db*"))
    (folder / "templates").mkdir()
    secret = folder / "secret.key"
    secret.write_text("a secret only the tests know\n")
    secret.chmod(0o600)
    return folder


@pytest.fixture
def project(project_folder: Path) -> config.Project:
    """The sample project, loaded from its copy."""
    return config.load(project_folder)


@pytest.fixture
def countries(project: config.Project) -> Countries:
    """The country table with the sample project's house labels."""
    return Countries.from_settings(project.settings)
