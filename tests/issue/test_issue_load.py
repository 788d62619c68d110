"""Issue files: each trap of the format page, each with the line it names."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from newsletter import config
from newsletter.errors import FaultsError, NewsletterError
from newsletter.issue.countries import Countries
from newsletter.issue.load import IssueFile, dated, is_slug, load, parse
from newsletter.issue.model import Event, Notice, Publication, Update, Weekly

# ruff: noqa: E501 - a trap and what is said about it read best on one line
QUOTATION = "the indentation does not match the lines above, or a quotation mark ends too early"
HEAD = "period: {start: 2016-04-18, end: 2016-04-22}\n"  # line 1
SETTINGS = config.Newsletter.model_validate(
    {
        "name": "The Weekly",
        "sender": {"name": "The Weekly", "address": "weekly@example.org"},
        "address": ["1 Example Street"],
        "reason": "You subscribed.",
        "url": "https://news.example.org",
        "lists": {"weekly": {"title": "The Weekly"}},
        "subjects": {"International Criminal Court": {"label": "ICC"}},
    }
)
COUNTRIES = Countries.from_settings(SETTINGS)


def read(text: str, name: str = "2016-04-22.yaml") -> IssueFile:
    return parse(Path(name), text.encode(), COUNTRIES)


def weekly(text: str) -> Weekly:
    issue = read(text).issue
    assert isinstance(issue, Weekly)
    return issue


def faults(text: str, name: str = "2016-04-22.yaml") -> list[tuple[int, str]]:
    with pytest.raises(FaultsError) as caught:
        read(text, name)
    assert all(str(fault).startswith(f"{name}:{fault.line}: ") for fault in caught.value.faults)
    assert "\n" not in "".join(fault.message for fault in caught.value.faults)
    return [(fault.line, fault.message) for fault in caught.value.faults]


def only(text: str, name: str = "2016-04-22.yaml") -> tuple[int, str]:
    found = faults(text, name)
    assert len(found) == 1, found
    return found[0]


def test_the_weekly_of_the_format_page_loads_but_for_the_subject_without_an_update(shared: Path) -> None:
    page = (shared / "ISSUE_FORMAT.md").read_text("utf-8")
    block = page.split("## weekly\n```yaml\n")[1].split("```")[0]
    line, message = only(block)
    assert block.splitlines()[line - 1].startswith("  International Criminal Court: []")
    assert message == "a subject needs at least one update; write one or delete the subject"
    issue = weekly(block.replace("  International Criminal Court: []", "  International Criminal Court: [One.]"))
    assert list(issue.updates) == ["Burma/Myanmar", "Burundi", "Sudan/Darfur", "International Criminal Court"]
    assert issue.updates["Sudan/Darfur"].style == "paragraphs"
    assert isinstance(issue.sections[0].items[1].event, Event)
    assert isinstance(issue.sections[0].items[2].publication, Publication)
    assert issue.sections[0].items[1].event.start == dt.datetime(2016, 4, 28, 18, 0)  # noqa: DTZ001 - its zone stands beside it


def test_a_file_on_disk_is_read_with_its_slug_and_lines(tmp_path: Path) -> None:
    path = tmp_path / "2016-04-22.yaml"
    path.write_text("updates:\n  Syria:\n    - |\n      One.\n\n      Two.\n", "utf-8")
    file = load(path, COUNTRIES)
    assert (file.slug, file.path, file.published) == ("2016-04-22", path, dt.date(2016, 4, 22))
    assert file.file.endswith("2016-04-22.yaml")
    assert file.line(("updates", "Syria", "updates", 0, "text"), 2) == 6
    with pytest.raises(NewsletterError, match="there is no such file"):
        load(tmp_path / "2016-04-29.yaml", COUNTRIES)


def test_an_issue_without_a_kind_is_a_weekly_and_an_empty_file_an_empty_one() -> None:
    assert weekly("") == Weekly()


def test_a_notice_has_a_title_and_a_body() -> None:
    issue = read("kind: notice\ntitle: No issue next week\nbody: |\n  # A heading\n\n  Until then.\n").issue
    assert issue == Notice(title="No issue next week", body="# A heading\n\nUntil then.")


def test_an_unknown_kind_says_which_this_version_knows() -> None:
    assert only("number: 1\nkind: special\n") == (
        2,
        "'special' is no kind of issue that this version knows; it knows weekly and notice",
    )
    assert only("kind: [weekly]\n")[1].startswith("this is no kind of issue")
    assert only("kind:\n")[1].startswith("this is no kind of issue")


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("published: 2016-04-25\n" + HEAD, dt.date(2016, 4, 25)),
        (HEAD, dt.date(2016, 4, 22)),
        ("number: 1\n", dt.date(2016, 5, 6)),
    ],
)
def test_the_day_is_what_is_written_or_the_periods_end_or_the_slugs(text: str, day: dt.date) -> None:
    assert read(text, "2016-05-06-extra.yaml").published == day


@pytest.mark.parametrize("name", ["spring.yaml", "2016-13-01.yaml", "2016-04-223.yaml"])
def test_an_issue_without_any_day_is_told_to_write_one(name: str) -> None:
    assert only("number: 1\n", name) == (1, "nothing says when this issue is published; write 'published: 2016-04-22'")


@pytest.mark.parametrize(
    "name", ["2016-04-22.yml", "A.yaml", "-a.yaml", "a b.yaml", "ä.yaml", "a.b.yaml", f"{'a' * 82}.yaml"]
)
def test_a_file_that_cannot_name_an_issue_is_told_so(name: str) -> None:
    line, message = only(HEAD, name)
    assert line == 1
    assert message.startswith(f"'{name}' cannot name an issue; call the file something like 2016-04-22.yaml")


def test_slugs_and_their_dates() -> None:
    assert is_slug("2016-04-22")
    assert is_slug("a" * 81)
    assert not any(map(is_slug, ["", "../a", "a/b", "a\n", "A", "a.b", "a" * 82, "-a"]))
    assert dated("2016-04-22-extra") == dt.date(2016, 4, 22)
    assert dated("issue-2016-04-22") is dated("2016-02-30") is None


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("NO:\n    - x\n", 3, "'NO' is a two-letter code, which is too easily a word; write Norway or NOR"),
        ("Yemn:\n    - x\n", 3, "no country is called 'Yemn'; did you mean 'Yemen'?"),
        ("Syria:\n    - x\n  Yemen:\n    - x\n  Syria:\n    - x\n", 7, "'Syria' is here a second time (first in line 3); put both under one"),
        ("Burma:\n    - x\n  Yemen: [x]\n  Myanmar:\n    - x\n", 6, "'Myanmar' is the same as 'Burma' in line 3; put all updates under one of them"),
        ("Syria:\n    - x\n  SYR:\n    - x\n", 5, "'SYR' is the same as 'Syria' in line 3; put all updates under one of them"),
        ("Armenia / Azerbaijan:\n    - x\n  Azerbaijan / Armenia:\n    - x\n", 5, "'Azerbaijan / Armenia' is the same as 'Armenia / Azerbaijan' in line 3; put all updates under one of them"),
        ("Our Elections: {countries: [Haiti], updates: [x]}\n  our  elections: {countries: [Mali], updates: [x]}\n", 4, "'our  elections' is the same as 'Our Elections' in line 3; put all updates under one of them"),
        ("Syria: []\n", 3, "a subject needs at least one update; write one or delete the subject"),
        ("Syria:\n", 3, "'Syria' has no value; write one or delete it"),
        ("Syria: {heading: a}\n", 3, "'updates' is missing"),
        ("Syria: text\n", 3, "'Syria' must be keys with values, each with a colon"),
        ("Syria:\n    - x\n    -\n", 5, "entry 2 of 'updates' has no value; write one or delete it"),
        ("Syria:\n    - [x]\n", 4, "entry 1 of 'updates' must be keys with values, each with a colon"),
        ("Syria: {stile: bullets, updates: [x]}\n", 3, "there is no key 'stile' here; did you mean 'style'?"),
        ("Syria: {style: dots, updates: [x]}\n", 3, "'style': input should be 'bullets', 'paragraphs' or 'headlines'"),
        ("Syria:\n    - {text: x, sauce: y}\n", 4, "there is no key 'sauce' here; did you mean 'source'?"),
        ("Syria:\n    - text: x\n      source: {name: OHCHR, ulr: 'https://example.org/'}\n", 5, "there is no key 'ulr' here; did you mean 'url'?"),
        ("Elections: {countries: [Haity], updates: [x]}\n", 3, "no country is called 'Haity'; did you mean 'Haiti'?"),
        ("Syria:\n    - |\n      One.\n\n      Two [click](javascript:alert(1)).\n", 7, "a link leads to http:, https:, mailto: or #anchor, not to 'javascript:'"),
        ("Syria:\n    - One [click](javascript:alert(1)).\n", 4, "a link leads to http:, https:, mailto: or #anchor, not to 'javascript:'"),
        ("Syria:\n    - #R2P is not a comment\n", 4, "entry 1 of 'updates' has no value; write one or delete it"),
        ("Syria:\n    - ''\n", 4, "this text is empty; write it or delete the key"),
        ("Syria:\n    - He said “no”: never\n", 4, "the ': ' after 'He said “no”' makes it a key; put the whole text in quotes, or write it below a '|'"),
        ("Syria:\n    - a: b: c\n", 4, "a colon followed by a space starts a key; put this text in quotes"),
        ("Syria:\n    - 'It's over'\n", 4, QUOTATION),
        ('Syria:\n    - "It" is over\n', 4, QUOTATION),
        ("Syria:\n    - *bold* words\n", 4, "text that starts with * or & must stand in quotes"),
        ("Syria:\n    - &co\n", 4, "an anchor (&co) is not allowed; put text that starts with & in quotes"),
        ("Syria:\n    - !important x\n", 4, "a tag (!important) is not allowed; put text that starts with ! in quotes"),
        ("<<: {Syria: [x]}\n", 3, "a merge key (<<) is not allowed; write the keys out"),
        ("Syria:\n\t- x\n", 4, "the line is indented with a tab; use spaces"),
        ("Syria:\n    - a\x9bb\n", 4, "the character U+009B has no place in text; delete it"),
        ("Syria:\n    - a\0b\n", 4, "the character U+0000 has no place in text; delete it"),
    ],
)  # fmt: skip
def test_each_trap_under_updates_is_one_fault_with_its_line(text: str, line: int, message: str) -> None:
    assert only(f"{HEAD}updates:\n  {text}") == (line, message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("titel: x", "there is no key 'titel' here; did you mean 'title'?"),
        ("body: x", "there is no key 'body' here; known are: kind, period, published"),
        ('title: "a\\r\\nBcc: b@example.org"', "this text must stand on one line, without a line break of any kind"),
        ('subject: "a\\nb"', "this text must stand on one line"),
        ('subject: "a\\rb"', "this text must stand on one line"),
        ('subject: "a\\Lb"', "U+2028"),
        ('subject: "a\\Pb"', "U+2029"),
        ('subject: "a\\vb"', "U+000B"),
        ('subject: "a\\Nb"', "U+0085"),
        ('authors: [{name: "a\\nb"}]', "this text must stand on one line"),
        ('topics: ["a\\nb"]', "this text must stand on one line"),
        ("title: ' '", "this text is empty; write it or delete the key"),
        ("number: 0", "'0' is not a positive number; write it like 245"),
        ("number: -3", "'-3' is not a positive number"),
        ("number: 2.5", "'2.5' is not a positive number"),
        ("number: ٣", "'٣' is not a positive number"),
        ("number: 9999999999", "'9999999999' is not a positive number"),
        ("number: [1]", "this is not a positive number; write it like 245"),
        ("published: 22 April 2016", "'22 April 2016' is not a date; write it as 2016-04-22"),
        ("published: 2016-02-30", "'2016-02-30' is not a date"),
        ("published: 2016-4-22", "'2016-4-22' is not a date"),
        ("published: {a: b}", "this is not a date; write it as 2016-04-22"),
        ("period: {start: 2016-04-18}", "'end' is missing"),
        ("period: 2016-04-18", "'period' must be keys with values, each with a colon"),
        (f"preheader: {'a' * 151}", "'preheader' is too long: 151 characters; at most 150 are shown"),
        ("language: klingonisch", "'klingonisch' is not a language tag (BCP 47); write one like en, fr or pt-BR"),
        ("translations: {fr: ../a}", "'../a' cannot name an issue; write its slug, such as 2016-04-22"),
        ("translations: {french: a}", "'french' is not a language tag"),
        ("legacy_urls: ['example.org/a']", "the link target 'example.org/a' is no web address"),
        ("actions: [{text: x, url: 'data:text/html,x'}]", "a link leads to http:, https:, mailto: or #anchor, not to 'data:'"),
        ("notices: ['[x](vbscript:x)']", "a link leads to http:, https:, mailto: or #anchor, not to 'vbscript:'"),
        ("notices: x", "'notices' must be a list, each entry with a '- ' before it"),
        ("lead: {title: x}", "'body' is missing"),
        ("sections: [{title: x, items: [{kicker: y}]}]", "an item is either a text, or an event, or a publication"),
        ("sections: [{title: x, items: [{text: y, event: {title: z, start: 2016-04-28 18:00, timezone: UTC}}]}]", "an item is either a text"),
        ("sections: [{title: x, items: [{kicker: y, event: {title: z, start: 2016-04-28 18:00, timezone: UTC}}]}]", "kicker, headline and source go with a text; an event has keys of its own"),
        ("sections: [{title: x, items: [{kicker: y, publication: {title: z}}]}]", "kicker, headline and source go with a text; a publication has keys of its own"),
        ("sections: [{title: x, items: [{event: {title: z, start: 2016-04-28, timezone: UTC}}]}]", "'2016-04-28' is not a date with a time; write it as 2016-04-28 18:00"),
        ("sections: [{title: x, items: [{event: {title: z, start: 2016-04-28 25:00, timezone: UTC}}]}]", "'2016-04-28 25:00' is not a date with a time"),
        ("sections: [{title: x, items: [{event: {title: z, start: 2016-04-28 18:00, timezone: EDT}}]}]", "'EDT' is not a time zone; write one like America/New_York or UTC"),
        ("sections: [{title: x, items: [{event: {title: z, start: 2016-04-28 18:00, timezone: America}}]}]", "'America' is not a time zone"),
        ("sections: [{title: x, items: [{event: {title: z, start: 2016-04-28 18:00, timezone: ../../etc/passwd}}]}]", "is not a time zone"),
        ("updates: [x]", "'updates' must be keys with values, each with a colon"),
    ],
)  # fmt: skip
def test_each_wrong_value_is_one_fault_with_its_line(text: str, message: str) -> None:
    line, found = only(f"# a comment\nkind: weekly\n{text}\n")
    assert line == 3
    assert message in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12:30 was the hour", "12:30 was the hour"),
        ("12:30", "12:30"),
        ("010", "010"),
        ("NO", "NO"),
        ("1e3", "1e3"),
        ("'#R2P trends'", "#R2P trends"),
        ("R2P #hashtag", "R2P"),
        ("2016-04-22", "2016-04-22"),
        ("true", "true"),
        ("Cote\u0301", "Coté"),
    ],
)
def test_words_stay_the_words_they_are(text: str, expected: str) -> None:
    assert weekly(f"updates:\n  Syria:\n    - {text}\n").updates["Syria"].updates == (Update(text=expected),)


def test_a_number_with_a_leading_nought_is_decimal() -> None:
    assert weekly("number: 010\n").number == 10
    assert weekly("number: '245'\n").number == 245


def test_norway_is_spelt_out_or_has_three_letters() -> None:
    assert list(weekly("updates:\n  Norway: [x]\n").updates) == ["Norway"]
    assert list(weekly("updates:\n  NOR: [x]\n").updates) == ["NOR"]


def test_a_declared_subject_and_one_with_countries_of_its_own_may_stand_beside_a_country() -> None:
    issue = weekly(
        "updates:\n  International Criminal Court: [x]\n  Elections: {countries: [Haiti, MLI], updates: [y]}\n  Haiti: [z]\n"
    )
    assert len(issue.updates) == 3


def test_a_language_beyond_the_six_of_the_un_is_taken() -> None:
    assert weekly("language: pt-BR\n").language == "pt-BR"


def test_every_fault_of_a_file_comes_in_one_go() -> None:
    text = (
        "kind: weekly\nnumber: none\nlead:\n  title: x\n  body: |\n    One.\n\n    [Two](ftp://example.org).\n"
        "updates:\n  Yemn: [x]\n  Syria: []\n  Burma: [x]\n  Myanmar:\n    - [a](javascript:b)\n  Syria: &c [d]\nunknown: 1\n"
    )
    found = faults(text.replace("- [a]", "- '[a]").replace("b)\n", "b)'\n"), "No Slug.yaml")
    assert [line for line, _ in found] == [1, 2, 8, 10, 11, 13, 14, 15, 15, 16]


def test_two_hundred_wrong_names_do_not_take_forever_and_are_cut_short() -> None:
    found = faults("updates:\n" + "".join(f"  Nowhere{n}: [x]\n" for n in range(200)))
    assert len(found) == 100


def test_without_a_table_of_countries_any_name_is_taken() -> None:
    assert Weekly.model_validate({"updates": {"Nowhere": ["x"]}}).updates["Nowhere"].updates[0].text == "x"


def test_line_breaks_of_web_forms_become_those_of_files() -> None:
    assert Notice(title="x", body="One.\r\n\r\nTwo.\rThree.\n\n").body == "One.\n\nTwo.\nThree."


def test_every_sample_issue_loads(project: config.Project, countries: Countries) -> None:
    found = sorted(project.issues.glob("*.yaml"))
    assert len(found) >= 4
    for path in found:
        if "." not in path.stem:
            assert load(path, countries).slug == path.stem
