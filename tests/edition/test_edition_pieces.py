"""A part is cut at its marks, and every character but the marks stays."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.edition.model import NAME, PREFERENCES, UNSUBSCRIBE, Piece
from newsletter.edition.pieces import Part, cut, mark
from newsletter.errors import NewsletterError


def html(text: str) -> str:
    """Write '[S0' and 'S0]' as the marks of html."""
    for when in ("S0", "S1", "S2", "S12", "ANY", "NONE", "LESS"):
        text = text.replace(f"[{when}.", mark("html", "BEGIN", when)).replace(f".{when}]", mark("html", "END", when))
    return text


def refusal(text: str, part: Part = "html") -> str:
    with pytest.raises(NewsletterError, match=r"^weekly\.html: [^\n]+$") as caught:
        cut(text, part, "weekly.html")
    return str(caught.value).removeprefix("weekly.html: ")


def test_a_subject_inside_the_jump_list_counts_as_the_subject() -> None:
    found = cut(html("a[ANY.<ul>[S0.<li>x</li>.S0][S1.<li>y</li>.S1]</ul>.ANY]b[NONE.c.NONE]"), "html", "t")
    assert found == (
        Piece("a"),
        Piece("<ul>", "ANY"),
        Piece("<li>x</li>", "S0"),
        Piece("<li>y</li>", "S1"),
        Piece("</ul>", "ANY"),
        Piece("b"),
        Piece("c", "NONE"),
    )


def test_neighbours_with_the_same_condition_are_one_piece() -> None:
    assert cut(html("[S1.a.S1][S1.b.S1]c[S2..S2]d"), "html", "t") == (Piece("ab", "S1"), Piece("cd"))


def test_a_part_without_marks_is_one_piece() -> None:
    assert cut("abc", "html", "t") == (Piece("abc"),)
    assert cut("", "text", "t") == ()


def test_a_mark_alone_on_its_line_takes_the_line_with_it_in_text() -> None:
    text = "one\n__NL_BEGIN_S0__\ntwo\n  __NL_END_S0__ \nthree, __NL_BEGIN_S1__four, __NL_END_S1__five\n"
    assert cut(text, "text", "t") == (
        Piece("one\n"),
        Piece("two\n", "S0"),
        Piece("three, "),
        Piece("four, ", "S1"),
        Piece("five\n"),
    )


def test_tokens_stay_whole() -> None:
    text = f"{UNSUBSCRIBE}{NAME}_{PREFERENCES}x"
    assert cut(text, "text", "t") == (Piece(text),)


@given(st.lists(st.tuples(st.text("ab\n &;é", max_size=8), st.sampled_from(["", "S0", "S1", "ANY", "NONE", "LESS"]))))
def test_the_pieces_joined_are_the_whole_without_its_marks(parts: list[tuple[str, str]]) -> None:
    whole = "".join(
        f"{mark('html', 'BEGIN', when)}{text}{mark('html', 'END', when)}" if when else text for text, when in parts
    )
    found = cut(whole, "html", "t")
    assert "".join(piece.content for piece in found) == "".join(text for text, _ in parts)
    assert all(one.when != other.when for one, other in itertools.pairwise(found))
    assert all(piece.content for piece in found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[S0.a", 'begin("S0") has no end()'),
        ("a.S0]", 'end("S0") has no begin()'),
        ("[S0.a.S1]", 'end("S1") closes begin("S0"); end the inner one first'),
        ("[ANY.[S0.a.ANY].S0]", 'end("ANY") closes begin("S0"); end the inner one first'),
        ("[S0.[S1.a.S1].S0]", 'begin("S1") stands inside begin("S0"); only a subject may, and only inside ANY'),
        (
            "[ANY.[LESS.a.LESS].ANY]",
            'begin("LESS") stands inside begin("ANY"); only a subject may, and only inside ANY',
        ),
        ("[NONE.[S0.a.S0].NONE]", 'begin("S0") stands inside begin("NONE"); only a subject may, and only inside ANY'),
        (
            "[ANY.[S0.[S1.a.S1].S0].ANY]",
            'begin("S1") stands inside begin("S0"); only a subject may, and only inside ANY',
        ),
        ("[S0.<tr><td>a</td>.S0]", 'between begin("S0") and end("S0"), <tr> is not closed'),
        ("[S0.<li>a</li></ul>.S0]", 'between begin("S0") and end("S0"), </ul> closes too much'),
        ("[S0.<b><i>a</b></i>.S0]", 'between begin("S0") and end("S0"), </b> closes too much'),
        ("__NL_NAMES__", "'__NL_NAMES__' is neither a reader's field nor a whole begin or end mark"),
        ("__NL_BEGIN_S0__", "'__NL_BEGIN_S0__' is neither a reader's field nor a whole begin or end mark"),
        ("__NL_UNSUBSCRIBE", "'__NL_UNSUBSCRIBE' is neither a reader's field nor a whole begin or end mark"),
    ],
)
def test_marks_that_cannot_be_cut_at_are_named(text: str, message: str) -> None:
    assert refusal(html(text)) == message


def test_whole_elements_between_marks_are_fine_whatever_they_hold() -> None:
    text = '[S12.<p title="</td>">a<br>b<img src="x"/><!-- <td> --></p>.S12]'
    assert cut(html(text), "html", "t")[0].when == "S12"


def test_a_mark_that_means_nothing_is_a_mistake_of_the_theme() -> None:
    with pytest.raises(ValueError, match=r"^begin\(\) and end\(\) take S and a number, ANY, NONE or LESS, not 'SOME'$"):
        mark("html", "BEGIN", "SOME")
