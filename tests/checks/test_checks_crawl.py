"""The real weekly of April 2016, typed from the crawl with all its defects, shows each of them on its line."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from newsletter.checks import Finding, run

# The crawl lost the headings of one word; what each country's first update starts with tells where it begins.
_OPENINGS = (
    ("Burma/Myanmar", "Myanmar’s new government"),
    ("Burundi", "The UN High Commissioner for Human"),
    ("Central African Republic", "Assailants"),
    ("Democratic People's Republic of Korea", "The Database Center"),
    ("Democratic Republic of Congo", "A car bomb in Bukavu"),
    ("Iraq", "After Parliament rejected"),
    ("Kenya", "While on the campaign trail"),
    ("Libya", "The EU"),
    ("Mali", "MINUSMA, the UN mission"),
    ("Nigeria", "Following a UN"),
    ("South Sudan", "Opposition leader"),
    ("Sudan/Darfur", "Over 1400"),
    ("Syria", "The National Electoral Commission"),
    ("Yemen", "Peace talks"),
)


def _paragraphs(text: str) -> list[str]:
    """Join what the crawl broke before a link: a paragraph never starts with a small letter."""
    found: list[str] = []
    for line in filter(str.strip, text.split("\n")):
        if found and line[0].islower():
            found[-1] += line
        else:
            found.append(line)
    return found


def _block(text: str, indent: int) -> list[str]:
    return [f"{' ' * indent}- |", f"{' ' * indent}  {text}"]


def _typed(crawl: str) -> str:
    paragraphs = _paragraphs(crawl)
    lead = paragraphs.index("RtoP and the Next Secretary-General")
    jump = paragraphs.index("Catch up on developments in...")
    end = paragraphs.index("What else is new?")
    last = next(n for n, text in enumerate(paragraphs) if text.startswith("Browse Documents"))
    lines = ["period: {start: 2016-04-18, end: 2016-04-22}", "number: 245", "lead:", f"  title: {paragraphs[lead]}"]
    lines.append("  body: |")
    lines += itertools.chain.from_iterable((f"    {text}", "") for text in paragraphs[lead + 1 : jump])
    lines.append("updates:")
    countries = iter([*_OPENINGS, ("", "\0")])
    name, opening = next(countries)
    for text in paragraphs[jump + 1 : end]:
        if text.startswith(opening):
            lines.append(f"  {name}:")
            name, opening = next(countries)
        if lines[-1] != "updates:" and not re.fullmatch(r"[A-Z][\w' ]+:?", text):
            lines += _block(text, 4)
    lines += ["sections:", "  - title: What else is new?", "    items:"]
    for text in paragraphs[end + 1 : last]:
        lines += _block(text, 6)
    return "\n".join(lines) + "\n"


@pytest.fixture
def typed(shared: Path) -> str:
    return _typed(next(shared.glob("seeds/000_*.txt")).read_text("utf-8"))


@pytest.fixture
def findings(typed: str, prover: Any) -> tuple[Finding, ...]:
    return run(prover.prove(prover.write(typed)))


def _lines(findings: Sequence[Finding], code: str) -> list[int]:
    return [finding.line for finding in findings if finding.code == code]


def _places(typed: str, pattern: str) -> list[int]:
    return [number for number, line in enumerate(typed.split("\n"), 1) if re.search(pattern, line)]


def test_the_weekly_is_typed_whole(typed: str) -> None:
    assert typed.count("\n    - |") == 36
    assert len(re.findall(r"(?m)^  (?:[A-Z][\w'/ ]+):$", typed)) == 14


@pytest.mark.parametrize(
    ("code", "pattern"),
    [
        ("glued-words", "demandthat|thatkilled"),
        ("doubled-mark", r"worsen\. \."),
        ("broken-hyphen", "anti- government"),
        ("vague-link", "Click\u00a0here"),
        ("unbalanced-quotes", "Humanity.”"),
        ("odd-capitals", "RIghts"),
        ("space-runs", "[ \u00a0]\u00a0|\u00a0[ \u00a0]|\\S  "),
        ("mixed-thousands", "Over 1400"),
    ],
)
def test_a_defect_of_the_crawl_is_found_on_its_lines_and_nowhere_else(
    code: str, pattern: str, findings: tuple[Finding, ...], typed: str
) -> None:
    assert _lines(findings, code) == _places(typed, pattern) != []


def test_the_lost_spaces_are_named_with_what_to_write(findings: tuple[Finding, ...]) -> None:
    said = " ".join(finding.message for finding in findings if finding.code == "glued-words")
    assert "write 'demand that'" in said
    assert "write 'that killed'" in said


def test_no_break_spaces_of_the_crawl_are_found_in_most_updates(findings: tuple[Finding, ...], typed: str) -> None:
    lines = _lines(findings, "no-break-spaces")
    assert len(lines) > 25
    assert set(lines) <= set(_places(typed, "\u00a0"))


def test_every_update_lost_its_link_in_the_crawl(findings: tuple[Finding, ...], typed: str) -> None:
    items = _places(typed, r"^    - \|")
    assert _lines(findings, "unsourced-update") in (items, [number + 1 for number in items])


def test_right_words_are_left_alone(findings: tuple[Finding, ...]) -> None:
    """The weekly has 'Mai Mai', 'had had to travel', acronyms, RtoP, ICRtoP, and curly and straight marks."""
    quiet = {"repeated-word", "placeholder", "markup-shown", "bare-address", "broken-characters", "space-before-mark"}
    assert [str(finding) for finding in findings if finding.code in quiet] == []
    assert not any(finding.level == "block" for finding in findings)
