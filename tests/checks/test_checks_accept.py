"""What an editor accepts is kept beside the issue, with name and day, for those very findings."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from newsletter.checks import Proof, accept, run
from newsletter.errors import FaultsError, NewsletterError
from newsletter.issue import folder

DAY = dt.date(2016, 4, 22)
Prove = Callable[[str], Proof]


def test_an_accepted_warning_comes_back_as_information_with_name_and_day(prove_fixture: Prove) -> None:
    proof = prove_fixture("odd-capitals")
    (warned,) = run(proof)
    accept(proof.file, [warned], "odd-capitals", "Ana  Souza", DAY)
    (finding,) = run(proof)
    assert finding.level == "info"
    assert finding.message == f"{warned.message} (accepted by Ana Souza on 2016-04-22)"
    assert finding.line == warned.line


def test_a_new_finding_of_an_accepted_code_shows_again(prove_fixture: Prove, prover: Any) -> None:
    proof = prove_fixture("odd-capitals")
    accept(proof.file, run(proof), "odd-capitals", "Ana", DAY)
    text = proof.file.path.read_text().replace("RIghts Council", "RIghts Council and the SEcurity Council")
    again = run(prover.prove(prover.write(text, "odd-capitals.yaml")))
    assert [(f.level, "SEcurity" in f.message) for f in again] == [("info", False), ("warn", True)]


def test_one_acceptance_covers_one_of_two_findings_that_read_alike(prove_fixture: Prove, prover: Any) -> None:
    proof = prove_fixture("odd-capitals")
    accept(proof.file, run(proof), "odd-capitals", "Ana", DAY)
    text = proof.file.path.read_text() + "  Kenya:\n    - The RIghts [met](https://example.org/kenya) too.\n"
    again = run(prover.prove(prover.write(text, "odd-capitals.yaml")))
    assert [finding.level for finding in again] == ["info", "warn"]


def test_a_second_acceptance_is_added_and_the_first_kept(prove_fixture: Prove, prover: Any) -> None:
    proof = prove_fixture("odd-capitals")
    accept(proof.file, run(proof), "odd-capitals", "Ana", DAY)
    text = proof.file.path.read_text().replace("RIghts Council", "RIghts Council and the SEcurity Council")
    second = prover.prove(prover.write(text, "odd-capitals.yaml"))
    path = accept(second.file, run(second), "odd-capitals", "Ben: yes", DAY + dt.timedelta(1))
    assert [f.message.rpartition(" (")[2] for f in run(second)] == [
        "accepted by Ana on 2016-04-22)",
        "accepted by Ben: yes on 2016-04-23)",
    ]
    assert path.name == "odd-capitals.accepted.yaml"


def test_the_record_is_no_issue(prove_fixture: Prove) -> None:
    proof = prove_fixture("odd-capitals")
    path = accept(proof.file, run(proof), "odd-capitals", "Ana", DAY)
    assert path.parent == proof.project.issues
    assert path not in folder.paths(proof.project.issues)


@pytest.mark.parametrize(
    ("fixture", "code", "by", "said"),
    [
        ("placeholder", "placeholder", "Ana", "'placeholder' blocks the send and cannot be accepted; mend it: 'TODO'"),
        ("mixed-quotes", "mixed-quotes", "Ana", "'mixed-quotes' only informs"),
        ("odd-capitals", "odd-capital", "Ana", "nothing was found by 'odd-capital'; did you mean 'odd-capitals'?"),
        ("odd-capitals", "photo-credit", "Ana", "nothing was found by 'photo-credit'"),
        ("odd-capitals", "odd-capitals", " ", "a name stands behind every acceptance"),
    ],
)
def test_what_cannot_be_accepted_is_refused_in_one_line(
    fixture: str, code: str, by: str, said: str, prove_fixture: Prove
) -> None:
    proof = prove_fixture(fixture)
    with pytest.raises(NewsletterError, match=r"\A[^\n]*\Z") as caught:
        accept(proof.file, run(proof), code, by, DAY)
    assert said in str(caught.value)
    assert list(proof.project.issues.glob("*.accepted.yaml")) == []


def test_accepting_twice_says_that_there_is_nothing_new(prove_fixture: Prove) -> None:
    proof = prove_fixture("odd-capitals")
    accept(proof.file, run(proof), "odd-capitals", "Ana", DAY)
    with pytest.raises(NewsletterError, match="is accepted already"):
        accept(proof.file, run(proof), "odd-capitals", "Ana", DAY)


def test_a_spoilt_record_is_a_fault_with_its_line(prove_fixture: Prove) -> None:
    proof = prove_fixture("odd-capitals")
    record = proof.file.path.with_name("odd-capitals.accepted.yaml")
    record.write_text("accepted:\n  - {code: odd-capitals, by: Ana, date: yesterday, findings: []}\n")
    with pytest.raises(FaultsError, match=r"accepted\.yaml:2: 'yesterday' is not a date"):
        run(proof)


def test_a_record_that_cannot_be_written_is_said_in_one_line(prove_fixture: Prove) -> None:
    proof = prove_fixture("odd-capitals")
    warned = run(proof)
    proof.file.path.with_name("odd-capitals.accepted.yaml").mkdir()
    with pytest.raises(NewsletterError, match=r"^[^\n]*accepted\.yaml: cannot be (?:read|written): Is a directory$"):
        accept(proof.file, warned, "odd-capitals", "Ana", DAY)
