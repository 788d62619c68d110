"""What each rule takes for wrong, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from newsletter.checks import run

Found = Callable[..., list[str]]

_HEAD = "period: {start: 2016-04-18, end: 2016-04-22}\nnumber: 245\npreheader: What the week brought.\n"
_LEAD = "lead:\n  title: A week of talks\n  body: |\n    The members met in [New York](https://example.org/plan).\n"


def _update(text: str) -> str:
    return "updates:\n  Burundi:\n    - |\n" + "".join(f"      {line}\n" if line else "\n" for line in text.split("\n"))


@pytest.fixture
def found(prover: Any) -> Found:
    """Return the messages of one check for an issue that is clean but for an update, or for more keys."""

    def find(
        code: str, update: str = "They [met](https://example.org/met).", more: str = "", name: str = ""
    ) -> list[str]:
        path = prover.write(
            _HEAD + more + ("" if "lead:" in more else _LEAD) + _update(update), name or "2016-04-22.yaml"
        )
        return [finding.message for finding in run(prover.prove(path)) if finding.code == code]

    return find


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("space-runs", "One  [two](https://example.org/a)."),
        ("space-runs", "One [two](https://example.org/a)  three."),
        ("space-runs", "One\u00a0\u00a0two."),
        ("space-runs", "One two.\u00a0"),
        ("no-break-spaces", "They were\u00a0[told](https://example.org/a) so."),
        ("no-break-spaces", "They were [told](https://example.org/a)\u00a0many times."),
        ("glued-words", "The people ofthe north."),
        ("glued-words", "Their talkswith rebels."),
        ("glued-words", "A new roundabouthe saw, whichwas good; governmentand people of the government."),
        ("glued-link", "He [asked](https://example.org/a)them."),
        ("glued-link", "He[asked](https://example.org/a) them."),
        ("space-before-mark", "They left ; then came back."),
        ("space-before-mark", "They [left](https://example.org/a) ."),
        ("doubled-mark", "They left,, then came."),
        ("doubled-mark", "They left.. Then came."),
        ("doubled-mark", "They left,. Then came."),
        ("broken-hyphen", "The self- defence."),
        ("unbalanced-quotes", 'They said "no.'),
        ("unbalanced-quotes", "They said “no."),
        ("unbalanced-quotes", "They said «no."),
        ("unbalanced-quotes", "“One opens.\n\nThe next does not."),
        ("odd-capitals", "The GOvernment left."),
        ("odd-capitals", "In theCouncil."),
        ("repeated-word", "In the\nthe north."),
        ("repeated-word", "the The north."),
        ("placeholder", "More TBD."),
        ("placeholder", "See [link] for more."),
        ("placeholder", "Lorem ipsum dolor."),
        ("broken-characters", "The countryâ€™s army."),
        ("broken-characters", "The re\u00adgion."),
        ("markup-shown", 'See <a href="https://example.org">this</a>.'),
        ("markup-shown", "See [this] (https://example.org/a)."),
        ("markup-shown", "They **left."),
        ("bare-address", "See www.example.org/a."),
        ("mixed-thousands", "Of 2,500 people, 1400 came."),
        ("mixed-thousands", "Of 2,500 people, 12000 came."),
        ("vague-link", "For more, [click here](https://example.org/a)."),
        ("vague-link", "They left. [Read more…](https://example.org/a)"),
        ("vague-link", "Click here for more."),
        ("repeated-link", "One [a](https://example.org/a), two [b](https://example.org/a)."),
        ("link-shortener", "See [it](https://www.bit.ly/3x)."),
        ("link-redirect", "See [it](https://www.google.com/url?q=https%3A%2F%2Fexample.org)."),
        ("link-redirect", "See [it](https://l.facebook.com/l.php?u=x)."),
        ("link-number-host", "See [it](https://[2001:db8::1]/a)."),
        ("link-number-host", "See [it](https://3221225985/a)."),
        ("link-private-host", "See [it](https://wiki.local/a)."),
        ("link-mixed-script", "See [it](https://xn--exmple-4nf.org/a)."),
        ("link-mixed-script", "See [it](https://\u0440\u0430\u0443\u0440\u0430.com/a)."),
        ("link-other-host", "See [https://un.org/report](https://un.example.org/report)."),
        ("link-session", "See [it](https://example.org/a?access_token=1)."),
    ],
)
def test_wrong_is_found(code: str, text: str, found: Found) -> None:
    assert found(code, text) != []


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("space-runs", "One two.  \nA hard break."),
        ("space-runs", "-   A wide list\n    - inside\n\n1.  One"),
        ("no-break-spaces", "No.\u00a0245 of 5\u00a0km by Vuk\u00a0Jeremić."),
        (
            "glued-words",
            "They withstand and withdraw; forthwith, therefore, the thousand husbands understand nothing whatever.",
        ),
        ("glued-words", "See https://example.org/demandthat and al-demandthat."),
        ("glued-words", "The downto rule, a downto rule, any downto rule."),
        ("glued-link", "He (“[asked](https://example.org/a)”) and [went](https://example.org/b), then."),
        ("space-before-mark", "They wait ... and a .org name :) comes."),
        ("doubled-mark", "They left... Then came e.g., the U.S.. . . . yes: etc.. No."),
        ("broken-hyphen", "Pre- and post-war, two- or three-year terms, mid- to long-term."),
        ("unbalanced-quotes", "“One opens.\n\n“The next, too, and closes.”"),
        ("unbalanced-quotes", 'A 12" pipe, “a «b» c”, and "d".'),
        ("unbalanced-quotes", "It’s the people’s, and the ’90s."),
        ("odd-capitals", "UNAMID’s NGOs, IDPs, RtoP, ICRtoP, McCarthy, MacArthur, iPhone, al-Shabaab, OKed, UNAMIDs."),
        ("odd-capitals", "RIght, RIght and RIght again."),
        ("repeated-word", "Mai Mai Simba had had to travel.\n\nTravel is hard; they said that that is so."),
        ("placeholder", "Lo saben todo; a [link](https://example.org/a); Super XXX."),
        ("broken-characters", "Café, naïve, “quotes” and नमस्ते\u200d."),
        ("markup-shown", "5 < 6 and a <- b, *emphasis* and **strong** words [1]."),
        (
            "bare-address",
            "See [www.example.org](https://www.example.org/a) or <https://example.org/b>, by editors@www.org.",
        ),
        ("mixed-thousands", "In 2016, 2,500 people; Resolution 2279, Suite 1715, NY 10017, case 12/3456, 1400-1500."),
        ("mixed-thousands", "Only 1400 people."),
        ("vague-link", "The [report here](https://example.org/a) says more."),
        ("repeated-link", "Write to [us](mailto:a@example.org) or [me](mailto:a@example.org)."),
        ("link-private-host", "See [it](https://example.org./a) or [that](https://пример.рф/a)."),
        (
            "link-mixed-script",
            "See [it](https://пример.рф/a), [b](https://xn--bcher-kva.example.org/a), [c](https://xn--ls8h.example.org/).",
        ),
        (
            "link-other-host",
            "See [un.org](https://www.un.org/a), [un.org](https://news.un.org/a), [the report](https://un.org/b).",
        ),
        ("link-tracking", "See [it](https://example.org/a?page=2&id=utm)."),
        ("link-anchor", "See [Burundi](#burundi) and [top](#top)."),
    ],
)
def test_right_is_left_alone(code: str, text: str, found: Found) -> None:
    assert found(code, text) == []


def test_french_sets_a_space_before_some_marks(found: Found) -> None:
    text = "Ils sont [là](https://example.org/a) : vraiment ?"
    assert len(found("space-before-mark", text)) == 2
    assert found("space-before-mark", text, "language: fr\n") == []


def test_german_closes_a_quotation_with_the_mark_that_opens_an_english_one(found: Found) -> None:
    assert found("unbalanced-quotes", "Er sagte „nein“ dazu.", "language: de\n") == []
    assert found("unbalanced-quotes", "Er sagte „nein” dazu.", "language: de\n") != []


def test_a_language_without_spaces_may_link_inside_a_run_of_letters(found: Found) -> None:
    text = "政府[释放](https://example.org/a)了囚犯"
    assert found("glued-link", text, "language: zh\n") == []
    assert found("glued-words", "demandthat", "language: fr\n") == []
    assert found("mixed-thousands", "2,500 et 1400", "language: fr\n") == []


def test_an_update_may_repeat_its_link_as_its_source_and_the_lead_as_its_button(found: Found) -> None:
    more = _LEAD + '  actions:\n    - {text: Read the plan, url: "https://example.org/plan"}\n'
    assert found("repeated-link", more=more) == []
    again = more + 'actions:\n  - {text: The plan, url: "https://example.org/plan"}\n'
    assert len(found("repeated-link", more=again)) == 1


def test_sections_links_are_looked_at_like_all_others(found: Found) -> None:
    more = (
        "sections:\n  - title: What else is new?\n    items:\n"
        '      - {text: A guide is out., source: {name: A centre, url: "https://bit.ly/a"}}\n'
        "      - event: {title: A panel, start: 2016-04-28 18:00, timezone: UTC, url: https://bit.ly/b}\n"
        "      - publication: {title: A paper, date: 2016-04-29, url: https://bit.ly/c}\n"
    )
    assert len(found("link-shortener", more=more)) == 3
    assert found("source-date", more=more) == [
        "'A paper' is dated 2016-04-29, after the issue is published on 2016-04-22"
    ]
    assert found("event-past", more=more) == []


@pytest.mark.parametrize(
    ("code", "more", "count"),
    [
        ("title-date", "title: Our week, 18–22 April 2016\n", 0),
        ("title-date", "title: Our week, 11 April\n", 1),
        ("title-date", "subject: Ten years after 2006\n", 1),
        ("title-number", "title: The Weekly (245)\nsubject: \"#245: The week\"\n", 0),
        ("title-number", "subject: \"#244: The week\"\n", 1),
        ("subject-reply", "subject: Reform and rescue\n", 0),
        ("subject-reply", "subject: \"FWD : the week\"\n", 1),
        ("subject-shouting", "subject: Act now!!\n", 1),
        ("subject-shouting", "subject: UN DRC\n", 0),
        ("preheader-repeats", "title: What the week brought\n", 1),
        ("picture-missing", _LEAD + "  figures:\n    - {src: ../newsletter.yaml, alt: A, credit: B}\n", 1),
        ("picture-missing", _LEAD + "  figures:\n    - {src: https://example.org/a.png, alt: A, credit: B}\n", 0),
        ("translation-missing", "translations: {fr: 2016-04-15}\n", 0),
        ("image-query", _LEAD + "  figures:\n    - {src: https://example.org/a.png?x=1, alt: A, credit: B}\n", 1),
    ],
)  # fmt: skip
def test_titles_and_pictures(code: str, more: str, count: int, found: Found) -> None:
    assert len(found(code, more=more)) == count


def test_a_missing_number_is_a_gap_when_the_last_weekly_had_one(prover: Any) -> None:
    path = prover.write(_HEAD.replace("number: 245\n", "") + _LEAD + _update("They [met](https://example.org/m)."))
    (finding,) = run(prover.prove(path))
    assert finding.code == "number-sequence"
    assert finding.message == "the issue has no number, but 2016-04-15 was number 244; write 'number: 245'"


def test_a_broken_issue_beside_it_does_not_stop_the_checks(prover: Any) -> None:
    prover.write("kind: [", "2016-04-20.yaml")
    path = prover.write(_HEAD.replace("245", "246") + _LEAD + _update("They [met](https://example.org/m)."))
    assert [finding.code for finding in run(prover.prove(path))] == ["number-sequence"]


def test_the_first_issue_of_all_has_nothing_to_follow(prover: Any) -> None:
    for path in prover.folder.glob("issues/*.yaml"):
        path.unlink()
    path = prover.write(_HEAD.replace("245", "7") + _LEAD + _update("They [met](https://example.org/m)."))
    assert run(prover.prove(path)) == ()


def test_a_finding_in_a_folded_text_stands_on_the_line_of_its_words(prover: Any) -> None:
    text = (
        "updates:\n  Burundi:\n    - The government [received a\n      mission](https://example.org/mission) and asks\n"
        "      the RIghts Council\n      to demandthat it\n      stays in [town](https://example.org/mission).\n"
        "  Kenya:\n    - text: >-\n        They\n        [met](https://example.org/met)  twice in the the\n"
        "        RIghts Council.\n"
    )
    head = _HEAD + _LEAD
    start = head.count("\n") + 1
    lines = [(f.code, f.line - start) for f in run(prover.prove(prover.write(head + text)))]
    expected = [
        ("odd-capitals", 4),
        ("glued-words", 5),
        ("repeated-link", 6),
        ("repeated-word", 10),
        ("space-runs", 10),
    ]
    assert lines == [*expected, ("odd-capitals", 11)]


def test_a_finding_in_a_block_text_stands_on_its_line(prover: Any) -> None:
    lead = "lead:\n  title: A week\n  body: |\n    One RIghts.\n\n    Two.\n\n    Three RIghts [here](https://example.org/a).\n"
    findings = run(prover.prove(prover.write(_HEAD + lead + _update("They [met](https://example.org/m)."))))
    assert [(f.code, f.line) for f in findings] == [("odd-capitals", 7), ("odd-capitals", 11), ("vague-link", 11)]


def test_a_finding_in_the_settings_names_their_file_and_line(prove_fixture: Any) -> None:
    (finding,) = run(prove_fixture("no-reply"))
    assert finding.file.endswith("newsletter.yaml")
    lines = (prove_fixture("clean").project.root / "newsletter.yaml").read_text().split("\n")
    assert lines[finding.line - 1].startswith("reply_to: no-reply@")


def test_a_finding_reads_as_one_line_with_file_line_level_and_code(prove_fixture: Any) -> None:
    (finding,) = run(prove_fixture("odd-capitals"))
    assert str(finding).endswith("odd-capitals.yaml:10: warn odd-capitals: odd capitals in 'RIghts'")


def test_a_notice_needs_no_lead_nor_updates(prover: Any) -> None:
    path = prover.write(
        "kind: notice\ntitle: No issue next week\nbody: We are away.\npreheader: Back on 6 May.\n", "2016-04-25.yaml"
    )
    assert run(prover.prove(path)) == ()


def test_a_vague_link_is_told_once_and_bare_words_too(found: Found) -> None:
    (link,) = found("vague-link", "[Click here](https://example.org/a) for more.")
    assert "does not say where https://example.org/a goes" in link
    assert len(found("vague-link", "[Click here](https://example.org/a), or click here.")) == 2


def test_a_picture_from_elsewhere_is_no_address_in_a_text(found: Found) -> None:
    figure = "  figures:\n    - {src: https://example.org/a.png, alt: A, credit: www.example.org}\n"
    (message,) = found("bare-address", more=_LEAD + figure)
    assert "'www.example.org' is not a link" in message


@pytest.mark.parametrize("mark", ["<script>", "</style>", "<h2>", "<ol>", "<sup>", "<table border=1>"])
def test_markup_that_readers_would_see_is_found(mark: str, found: Found) -> None:
    assert found("markup-shown", f"They {mark} met.") == [f"readers would see this markup as typed: '{mark}'"]


def test_a_single_straight_mark_is_counted_as_one(found: Found) -> None:
    assert found("mixed-quotes", "It's the people’s and the world’s.") == [
        "straight and curly apostrophes are mixed; 1 is straight, in 'It's the'"
    ]


@pytest.mark.parametrize(
    ("heading", "advice"),
    [("## Why [now](https://example.org/why)", "write '#' for '##'"), ("#### Why", "write '#' for '####'")],
)
def test_a_heading_that_is_too_deep_is_shown_with_its_line_and_what_to_write(
    heading: str, advice: str, prover: Any
) -> None:
    lead = f"lead:\n  title: A week\n  body: |\n    They [met](https://example.org/met).\n\n    {heading}\n\n    So.\n"
    path = prover.write(_HEAD + lead + _update("They [left](https://example.org/left)."))
    (finding,) = [finding for finding in run(prover.prove(path)) if finding.code == "heading-order"]
    assert finding.message.endswith(f"is too deep; {advice}")
    assert path.read_text().split("\n")[finding.line - 1].strip() == heading


def test_headings_from_the_first_level_on_are_right(found: Found) -> None:
    body = "lead:\n  title: A week\n  body: |\n    # One\n\n    Words.\n\n    ## Two\n\n    Words.\n"
    assert found("heading-order", more=body) == []
    under = "lead:\n  title: A week\n  body: |\n    Deep\n    ----\n\n    Words.\n"
    (message,) = found("heading-order", more=under)
    assert "'Deep' is too deep" in message
