"""What the checks of the finished mail take for wrong, and what they leave alone."""

from __future__ import annotations

from typing import Any

import pytest

from newsletter.checks import run
from newsletter.edition.model import NAME, PREFERENCES, UNSUBSCRIBE

_LEAVE = f'<a([^>]*href="{UNSUBSCRIBE}"[^>]*>)'


def _codes(prover: Any, damage: dict[str, Any]) -> list[str]:
    clean = (prover.folder / "clean.txt").read_text()
    return [finding.code for finding in run(prover.prove(prover.write(clean), damage))]


@pytest.fixture(autouse=True)
def _clean(prover: Any, prove_fixture: Any) -> None:
    (prover.folder / "clean.txt").write_bytes(prove_fixture("clean").file.source.data)
    (prover.folder / "issues" / "clean.yaml").unlink()


def _body(html: str) -> dict[str, Any]:
    return {"html": [["</body>", f"{html}</body>"]]}


@pytest.mark.parametrize(
    ("code", "damage"),
    [
        ("mail-clipped", {"html_size": 200_000}),
        ("unsubscribe-hidden", {"html": [[f'href="{UNSUBSCRIBE}"', f'href="{PREFERENCES}"']]}),
        ("unsubscribe-hidden", {"html": [[_LEAVE + "[^<]+", r"<a\1"]]}),
        ("unsubscribe-hidden", {"text": [[UNSUBSCRIBE, "https://example.org/leave"]]}),
        ("preferences-missing", {"text": [[PREFERENCES, "https://example.org/preferences"]]}),
        ("text-links", _body('<a href="https://example.org/only-here">here</a>')),
        ("text-links", _body('<a href="mailto:only@example.org">write</a>')),
        ("image-query", _body(f'<img src="https://example.org/{UNSUBSCRIBE}.png" alt="A map">')),
        ("tracking-pixel", _body('<img src="https://example.org/a.png" alt="" style="width: 1px; height: 1px">')),
        ("tracking-pixel", _body('<img src="https://example.org/a.png" alt="" style="display: none">')),
        ("foreign-resource", _body("<script>let a</script>")),
        ("foreign-resource", _body('<form action="https://example.org"></form>')),
        (
            "foreign-resource",
            {"html": [["</head>", '<link rel="stylesheet" href="https://example.org/a.css"></head>']]},
        ),
        ("foreign-resource", _body('<div background="https://example.org/a.png">x</div>')),
        ("foreign-resource", _body('<div style="background:url(//example.org/a.png)">x</div>')),
        ("hidden-text", _body("<p hidden>secret</p>")),
        ("hidden-text", _body('<p style="font-size:0">' + "many secret words " * 5 + "</p>")),
        ("online-missing", {"html": [["2016-04-22.html", "2016-04-22.html?reader=7"]]}),
        ("address-missing", {"html": [["1 Example Street", "Somewhere"]]}),
        ("token-misplaced", _body(f'<a href="https://example.org/?r={UNSUBSCRIBE}">leave</a>')),
        ("token-misplaced", _body(f'<a href="{NAME}">you</a>')),
        ("language-missing", {"html": [["<html[^>]*>", "<html>"]]}),
        ("heading-order", {"html": [["<h1", "<h2"], ["</h1>", "</h2>"]]}),
        ("heading-order", _body("<h5>Deep</h5>")),
        ("link-anchor", _body('<a href="#nowhere">there</a>')),
        ("link-empty", _body('<a href="https://example.org/plan"><img src="https://example.org/a.png" alt=""></a>')),
    ],
)
def test_wrong_is_found(code: str, damage: dict[str, Any], prover: Any) -> None:
    assert code in _codes(prover, damage)


@pytest.mark.parametrize(
    "html",
    [
        '<p style="font-size:0.9em;opacity:0.5">small print</p>',
        '<div style="display:none">&nbsp;&zwnj;&#847;</div>',
        '<img src="https://example.org/a.png" alt="" width="1" height="40">',
        '<a href="https://example.org/plan"><img src="https://example.org/a.png" alt="The plan"></a>',
        '<table><tr><th scope="col">Country</th></tr><tr><td>Mali</td></tr></table>',
        f"<p>Dear {NAME},</p>",
        "<!--[if mso]><p>only for Outlook</p><![endif]-->",
        "<style>@media screen { p { margin: 0 } } @media print { p { margin: 0 } } p { color: #000 }</style>",
    ],
)
def test_right_is_left_alone(html: str, prover: Any) -> None:
    assert _codes(prover, _body(html)) == []


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        (["https://news.example.org", "http://localhost:8000"], []),
        (["https://news.example.org", "http://127.0.0.1:8000"], []),
        (["bounces@example.org", "bounces@mail.example.org"], []),
        (["weekly@example.org", "donotreply@example.org"], ["no-reply"]),
        (["weekly@example.org", "weekly@mail.example.org"], []),
        (["weekly@example.org", "weekly@yahoo.co.uk"], ["bounce-domain", "free-mail-sender"]),
    ],
)
def test_settings(change: list[str], codes: list[str], prover: Any) -> None:
    assert sorted(_codes(prover, {"settings": [change]})) == codes
