"""The strict reader: what it takes, what it refuses, and the line it names."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field

from newsletter import source
from newsletter.errors import FaultsError, NewsletterError


def faults(text: str | bytes) -> list[tuple[int, str]]:
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    with pytest.raises(FaultsError) as caught:
        source.parse("a.yaml", data)
    assert all("\n" not in str(fault) for fault in caught.value.faults)
    return [(fault.line, fault.message) for fault in caught.value.faults]


def only(text: str | bytes) -> tuple[int, str]:
    found = faults(text)
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize(
    "word", ["NO", "yes", "on", "12:30", "010", "0x1F", "1e3", "1_000", "2016-04-22", "true", ".5", "="]
)
def test_no_word_turns_into_anything_but_the_text_it_is(word: str) -> None:
    assert source.parse("a.yaml", f"key: {word}\n{word}: value\n".encode()).tree == {"key": word, word: "value"}


@pytest.mark.parametrize("nothing", ["", "~", "null", "Null", "NULL"])
def test_only_nothing_is_nothing(nothing: str) -> None:
    assert source.parse("a.yaml", f"key: {nothing}\n".encode()).tree == {"key": None}


def test_nothing_in_quotes_is_a_text() -> None:
    assert source.parse("a.yaml", b"a: ''\nb: \"null\"\nc: '~'\n").tree == {"a": "", "b": "null", "c": "~"}


def test_bare_words_are_marked_so_that_a_model_may_read_a_number() -> None:
    tree = source.parse("a.yaml", b"bare: 25\nquoted: '25'\n").tree
    assert isinstance(tree["bare"], source.Plain)
    assert not isinstance(tree["quoted"], source.Plain)


def test_text_comes_out_in_nfc() -> None:
    assert source.parse("a.yaml", "Co\u0302te: Re\u0301union\n".encode()).tree == {"Côte": "Réunion"}


def test_a_comment_that_swallows_a_hashtag_leaves_no_value_rather_than_an_empty_text() -> None:
    assert source.parse("a.yaml", b"title: #R2P\n").tree == {"title": None}


def test_a_key_a_second_time_is_refused_with_both_lines() -> None:
    line, message = only("updates:\n  Syria:\n    - a\n  Yemen:\n    - b\n  Syria:\n    - c\n")
    assert line == 6
    assert message == "'Syria' is here a second time (first in line 2); put both under one"


def test_a_key_a_second_time_is_seen_through_quotes_spaces_and_composition() -> None:
    assert [line for line, _ in faults('a: 1\n"a": 2\n" a": 3\né: 4\ne\u0301: 5\n')] == [2, 3, 5]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: &x b\n", 1, "an anchor (&x)"),
        ("a: b\nc: *x\n", 2, "an alias (*x)"),
        ("a: !!binary x\n", 1, "a tag (tag:yaml.org,2002:binary)"),
        ("a:\n  - !ruby x\n", 2, "a tag (!ruby)"),
        ("a:\n  <<: {b: c}\n", 2, "a merge key (<<)"),
        ("a: b\n\tc: d\n", 2, "indented with a tab"),
        ("a:\n  \t- b\n", 2, "indented with a tab"),
        ("a: b\n---\nc: d\n", 2, "a second document"),
        ("a: b\n? [c]\n: d\n", 2, "a key must be text"),
        ("? ~\n: b\n", 1, "a key is missing before the colon"),
        (": b\n", 1, "indentation"),
        ("? *x\n: b\n", 1, "an alias (*x)"),
        ("a: b\x00\n", 1, "U+0000"),
        ("a: b\nc: d\x85e\n", 2, "U+0085"),
        ("a: b\x9b\n", 1, "U+009B"),
        ("a: b\x0bc\n", 1, "U+000B"),
        ("a: b\u2028c: d\n", 1, "U+2028"),
        ("a: b\ufffe\n", 1, "U+FFFE"),
        ('a: "\\u0085"\n', 1, "U+0085"),
        ('a: b\nc: "\\x07"\n', 2, "U+0007"),
        ('a: "\\ud800"\n', 1, "escape"),
        ('a: "\\xZZ"\n', 1, "escape"),
        ('a: "\\q"\n', 1, "backslash"),
        ("a: x: y\n", 1, "a colon followed by a space"),
        ("a: b\nno colon here\nc: d\n", 3, "without its colon"),
        ('a: "never closed\nb: c\n', 3, "quotation mark"),
        ('a: "b" c\n', 1, "quotation mark ends too early"),
        ("a: 'it's'\n", 1, "quotation mark ends too early"),
        ("a: @x\n", 1, "reserves"),
        ("a: `x`\n", 1, "reserves"),
        ("a: %x\n", 1, "reserves"),
        ("a:\n  - b\n c: d\n", 3, "indentation"),
        ("a:\n- b\n  c\nd: [e\n", 5, "bracket"),
        ("a: {b: c\nd: e\n", 2, "bracket"),
        ("a: *\n", 1, "must stand in quotes"),
        ("a: b\n}\n", 2, "indentation"),
        ("%YAML 3.0\n---\na: b\n", 1, "this is not valid YAML: found incompatible YAML document"),
    ],
)
def test_each_trap_of_yaml_is_refused_in_one_line(text: str, line: int, words: str) -> None:
    at, message = only(text)
    assert words in message
    assert at == line


def test_a_lone_surrogate_is_refused_as_bytes_too() -> None:
    assert only("a: b\r\nc: \ud800\r\n") == (2, "this is not UTF-8 text; save the file as UTF-8")


def test_latin_1_is_refused_with_the_line_of_its_first_letter() -> None:
    assert only("a: b\rc: d\ntitle: Côte\n".encode("latin-1")) == (3, "this is not UTF-8 text; save the file as UTF-8")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_utf_16_is_called_by_its_name(encoding: str) -> None:
    assert only("title: x\n".encode(encoding)) == (1, "this is UTF-16 or UTF-32 text; save the file as UTF-8")


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert source.parse("a.yaml", b"\xef\xbb\xbfa: b\n").tree == {"a": "b"}


def test_more_than_a_mebibyte_is_refused_and_a_mebibyte_is_not() -> None:
    start = b"a: "
    assert source.parse("a.yaml", start + b"x" * (source.MAX_BYTES - len(start))).tree
    assert only(start + b"x" * source.MAX_BYTES) == (1, "the file is larger than 1024 KiB; split it")


def test_twenty_levels_are_read_and_twenty_one_are_not() -> None:
    def nested(depth: int) -> bytes:
        return b"[" * depth + b"x" + b"]" * depth

    assert source.parse("a.yaml", nested(20)).tree
    assert only(nested(21)) == (1, "lists and keys are nested deeper than 20")


@pytest.mark.parametrize("bomb", ["[", "{a: ", "- ", "? ", "[? ", "{? [", "[a, [", "- - ? "])
def test_a_hundred_thousand_levels_end_in_one_line_and_soon(bomb: str) -> None:
    assert any("nested deeper" in message or "key must be text" in message for _, message in faults(bomb * 100_000))


def test_an_alias_bomb_is_never_unfolded() -> None:
    text = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)
    )
    found = faults(text)
    assert found[0] == (1, "an anchor (&a) is not allowed; put text that starts with & in quotes")
    assert len(found) == 41  # each anchor, and each alias of a line once


def test_every_fault_is_told_in_one_go() -> None:
    assert [line for line, _ in faults("a: &x b\nb: \x9bc\nc: !t d\nd: e\x01f\na: g\n")] == [1, 2, 3, 4, 5]


def test_a_broken_line_does_not_hide_the_faults_before_it() -> None:
    assert [line for line, _ in faults("a: &x b\na: c\nd: 'e\n")] == [1, 2, 4]


def test_a_tab_does_not_bring_a_complaint_about_what_follows_from_it() -> None:
    assert [line for line, _ in faults("updates:\n\tSyria:\n  \t- a\n - b\n")] == [2, 3]


def test_dos_line_ends_count_as_one_line_and_leave_no_trace() -> None:
    read = source.parse("a.yaml", b"a: |\r\n  b\r\n  c\r\nd: e\r\n")
    assert read.tree == {"a": "b\nc\n", "d": "e"}
    assert read.line(("d",)) == 4


@pytest.mark.parametrize("text", [b"", b"\n\n", b"# only a comment\n", b"---\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_an_empty_tree(text: bytes) -> None:
    assert source.parse("a.yaml", text).tree is None


def test_the_line_of_a_value_is_that_of_its_key_or_its_dash() -> None:
    read = source.parse("a.yaml", b"# comment\na:\n  - b\n  -\n    c: d\n    e:\n      f\ng: {h: i}\n")
    assert [read.line(place) for place in [(), ("a",), ("a", 0), ("a", 1, "c"), ("a", 1, "e"), ("g", "h")]] == [
        2, 2, 3, 5, 6, 8,
    ]  # fmt: skip


def test_the_line_of_what_is_not_there_is_that_of_what_holds_it() -> None:
    read = source.parse("a.yaml", b"a:\n  Syria:\n    - text\n")
    assert read.line(("a", "Syria", "updates", 0, "text")) == 3
    assert read.line(("nothing",)) == 1


def test_lines_inside_a_block_text_are_exact() -> None:
    read = source.parse("a.yaml", b"a: | # note\n\n  second\n  third\nb:\n  - |-\n    x\n    y\nc:\n  |2\n    z\n")
    assert read.line(("a",), 0) == 2
    assert read.line(("a",), 1) == 3
    assert read.line(("a",), 2) == 4
    assert read.line(("b", 0), 1) == 8
    assert read.line(("c",), 0) == 11


def test_lines_inside_other_texts_are_where_the_text_starts() -> None:
    read = source.parse("a.yaml", b"a: >\n  one\n  two\n\n  three\nb: 'one\n\n  two'\n")
    assert read.line(("a",), 1) == 2
    assert read.line(("b",), 1) == 6


def test_a_missing_file_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(NewsletterError, match=r"none\.yaml: there is no such file$"):
        source.read(tmp_path / "none.yaml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(NewsletterError, match="cannot be read: Is a directory"):
        source.read(tmp_path)


def test_files_are_named_as_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.yaml").write_text("a: b\n")
    monkeypatch.chdir(tmp_path)
    assert source.read(tmp_path / "a.yaml").file == "a.yaml"
    monkeypatch.chdir("/")
    assert source.display(Path("/etc/hosts")) == "etc/hosts"
    monkeypatch.chdir(tmp_path)
    assert source.display(Path("/etc/hosts")) == "/etc/hosts"


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: source.Line
    size: int = Field(default=1, ge=1)


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid")
    title: source.Line
    short: str = Field(default="", max_length=5)
    parts: tuple[Part, ...] = ()
    named: dict[source.Line, Part] = Field(default_factory=dict)
    other: Part | None = None


def refused(text: str) -> list[tuple[int, str]]:
    with pytest.raises(FaultsError) as caught:
        source.validate(Whole, source.parse("a.yaml", text.encode(), keep_faults=True))
    return [(fault.line, fault.message) for fault in caught.value.faults]


def test_a_model_is_built_from_bare_words() -> None:
    whole = source.validate(Whole, source.parse("a.yaml", b"title: 010\nparts:\n  - {name: 12:30, size: 7}\n"))
    assert whole == Whole(title="010", parts=(Part(name="12:30", size=7),))
    assert type(whole.title) is str


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("short: x\n", 1, "'title' is missing"),
        ("title: a\ntitel: b\n", 2, "there is no key 'titel' here; did you mean 'title'?"),
        ("title: a\nqqq: b\n", 2, "there is no key 'qqq' here; known are: title, short, parts, named, other"),
        ("title: a\nparts:\n  - {name: b,\n     siz: 2}\n", 4, "there is no key 'siz' here; did you mean 'size'?"),
        ("title: a\nnamed:\n  x: {nam: b, name: c}\n", 3, "there is no key 'nam' here; did you mean 'name'?"),
        ("title: a\nother: {nme: b, name: c}\n", 2, "there is no key 'nme' here; did you mean 'name'?"),
        ("title: [a]\n", 1, "'title' must be text"),
        ("title:\n", 1, "'title' has no value; write one or delete it"),
        ("title: ''\n", 1, "this text is empty; write it or delete the key"),
        ("title: a\nparts: b\n", 2, "'parts' must be a list, each entry with a '- ' before it"),
        ("title: a\nparts:\n  - b\n", 3, "entry 1 of 'parts' must be keys with values, each with a colon"),
        ("title: a\nparts:\n  - {name: b}\n  -\n", 4, "entry 2 of 'parts' has no value; write one or delete it"),
        ("title: a\nnamed: b\n", 2, "'named' must be keys with values, each with a colon"),
        ("title: a\nshort: abcdefg\n", 2, "'short' is too long: 7 characters; at most 5 are shown"),
        ("title: a\nother: {name: b, size: 0}\n", 2, "'size': input should be greater than or equal to 1"),
        ("- a\n", 1, "the file must consist of keys, each with a colon: 'title: ...'"),
        ("title\n", 1, "the file must consist of keys, each with a colon: 'title: ...'"),
        ("", 1, "'title' is missing"),
    ],
)
def test_what_a_model_refuses_is_said_in_an_editors_words(text: str, line: int, message: str) -> None:
    assert refused(text) == [(line, message)]


@pytest.mark.parametrize("character", ["\\n", "\\r", "\\r\\n", "\\v", "\\f", "\\N", "\\L", "\\P", "\\x1c"])
def test_no_line_break_of_any_kind_reaches_a_one_line_text(character: str) -> None:
    with pytest.raises(FaultsError) as caught:
        source.validate(Whole, source.parse("a.yaml", f'short: a\ntitle: "a{character}b"\n'.encode(), keep_faults=True))
    assert [fault.line for fault in caught.value.faults] == [2]


def test_a_text_below_a_bar_with_one_line_is_a_line() -> None:
    assert source.validate(Whole, source.parse("a.yaml", b"title: |-\n  a\n")).title == "a"
    assert refused("title: |\n  a\n  b\n")[0][0] == 2


def test_faults_of_reading_and_of_the_model_come_together_without_repeating_each_other() -> None:
    found = refused("title: *x\nshort: abcdefg\nunknown: 1\nshort: b\n")
    assert [line for line, _ in found] == [1, 2, 3, 4]


@pytest.mark.parametrize("line", ["a: b\n", "- &a b\n", "\ta\n", "\x01\n"])
def test_a_file_full_of_faults_is_not_read_to_its_end(line: str) -> None:
    assert 99 <= len(faults(line * 5000)) <= 101


def test_a_file_with_more_faults_than_anybody_mends_is_cut_short() -> None:
    assert len(refused("title: a\n" + "".join(f"k{n}: x\n" for n in range(5000)))) == 100


def test_a_model_keeps_no_text_that_a_file_could_not_hold() -> None:
    assert Whole(title=" e\u0301 ").title == "é"
    with pytest.raises(ValueError, match=r"U\+0007"):
        Whole(title="a\u0007")
