"""Every check has a fixture that trips it and nothing else; the sample project trips none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from newsletter import config
from newsletter.checks import CHECKS, Check, Proof, run
from newsletter.edition.render import make_edition
from newsletter.issue.countries import Countries
from newsletter.issue.folder import load_all

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_the_fixture_of_a_check_trips_it_and_nothing_else(check: Check, prove_fixture: Callable[[str], Proof]) -> None:
    findings = run(prove_fixture(check.code))
    assert {(f.code, f.level) for f in findings} == {(check.code, check.level)}, [str(f) for f in findings]


def test_the_clean_fixture_trips_nothing(prove_fixture: Callable[[str], Proof]) -> None:
    assert run(prove_fixture("clean")) == ()


def test_every_fixture_belongs_to_a_check() -> None:
    names = {path.name.partition(".")[0] for path in FIXTURES.iterdir()}
    assert names == {check.code for check in CHECKS} | {"clean"}


def test_codes_are_unique_and_stable_words() -> None:
    codes = Counter(check.code for check in CHECKS)
    assert [code for code, count in codes.items() if count > 1] == []
    assert all(code.replace("-", "").isalpha() and code == code.lower() for code in codes)


def test_every_check_says_why_it_is_there_in_full_sentences() -> None:
    for check in CHECKS:
        assert check.reason.endswith((".", ")", '""')), check.code
        assert 40 < len(check.reason) < 400, check.code


def test_every_issue_of_the_sample_project_is_clean(project: config.Project, countries: Countries) -> None:
    files = load_all(project, countries)
    assert len(files) >= 5
    for file in files:
        findings = run(Proof(project, countries, file, make_edition(file, project, countries)))
        assert [str(finding) for finding in findings] == []
