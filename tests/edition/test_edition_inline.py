"""Styles are inlined as both engines agree, and nothing is fetched."""

from __future__ import annotations

import concurrent.futures
import http.server
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import pytest

from newsletter import config
from newsletter.edition import context, guard, inline, themes, words
from newsletter.errors import NewsletterError
from newsletter.issue.countries import Countries
from newsletter.issue.folder import paths
from newsletter.issue.load import load

ENGINES = get_args(inline.Engine)
KEPT = "@media (max-width: 600px) { .narrow { width: 100% !important } }\na > b { content: '\\201C' }"


def page(body: str, css: str = "p { color: red }", kept: str = KEPT) -> str:
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>T</title><style>{css}</style>'
        f'<style data-premailer="ignore" data-css-inline="keep">{kept}</style></head><body>{body}</body></html>\n'
    )


class Declarations(HTMLParser):
    """The computed declarations of each element of a page, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("tbody", "style"):
            self.found.append((tag, computed(dict(attrs).get("style") or "")))


def computed(style: str) -> dict[str, str]:
    """Apply declarations in their order, the four-sided shorthands written out; !important wins."""
    values: dict[str, str] = {}
    important: set[str] = set()
    for declaration in style.split(";"):
        name, colon, value = declaration.partition(":")
        if not colon:
            continue
        bare = value.replace("!important", "").replace('"', "'").replace(", ", ",").strip().lower()
        bare = re.sub(r"#([0-9a-f])([0-9a-f])([0-9a-f])\b", r"#\1\1\2\2\3\3", bare)
        name = name.strip().lower()
        parts = bare.split()
        names = {name: bare}
        if name in ("margin", "padding"):
            top, right, bottom, left = (
                parts * 4 if len(parts) == 1 else parts * 2 if len(parts) == 2 else [*parts, parts[1]]
            )[:4]
            names = {f"{name}-top": top, f"{name}-right": right, f"{name}-bottom": bottom, f"{name}-left": left}
        for key, one in names.items():
            if "!important" in value or key not in important:
                values[key] = one
            if "!important" in value:
                important.add(key)
    return values


@pytest.mark.parametrize("engine", ENGINES)
def test_rules_become_style_attributes_and_kept_blocks_stay(engine: inline.Engine) -> None:
    done = inline.inline(page("<p>x</p>"), engine)
    assert '<p style="color:red">x</p>' in done.replace("color: red;", "color:red").replace("color: red", "color:red")
    assert f"<style>{KEPT}</style>" in done
    assert done.startswith("<!DOCTYPE html>")
    assert done.endswith("</html>\n")
    assert "p { color: red }" not in done


def test_important_rules_stay_important_and_win() -> None:
    done = inline.inline(page('<p class="a">x</p>', "p { color: red !important } .a { color: blue }"))
    assert computed(done.partition('<p style="')[2].partition('"')[0]) == {"color": "red"}
    assert "!important" in done.partition("<body>")[2]


@pytest.mark.parametrize("engine", ENGINES)
def test_classes_stay_only_where_a_kept_block_speaks_of_them(engine: inline.Engine) -> None:
    body = '<p class="narrow a">x class="a"</p><p class="a">y</p><!--[if mso]><p class="a"><![endif]-->'
    done = inline.inline(page(body, ".a { color: red }"), engine)
    assert 'class="narrow"' in done
    assert done.count('class="a"') == 2  # the text and the comment
    assert "data-premailer" not in done
    assert "data-css-inline" not in done


def test_every_class_stays_when_a_kept_block_selects_by_parts_of_names() -> None:
    assert 'class="a"' in inline.inline(page('<p class="a">x</p>', kept='[class*="a"] { color: red }'))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "css", ["@import url(http://127.0.0.1:9/a.css);", "@IMPORT 'a'", r"@\69mport 'a'", "@im/**/port"]
)
def test_an_import_is_refused(engine: inline.Engine, css: str) -> None:
    with pytest.raises(NewsletterError, match=r"^@import is never fetched; put the rules into style.css$"):
        inline.inline(page("x", css), engine)
    with pytest.raises(NewsletterError, match="@import is never fetched"):
        inline.inline(page("x", kept=css), engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_stylesheet_link_is_refused(engine: inline.Engine) -> None:
    for link in ('<link rel="stylesheet" href="file:///etc/passwd">', "<LINK href=a rel='alternate styleshee&#116;'>"):
        with pytest.raises(
            NewsletterError, match=r"^a stylesheet link is never fetched; put the rules into style.css$"
        ):
            inline.inline(page("x").replace("</head>", f"{link}</head>"), engine)


@pytest.fixture
def asked() -> Iterator[list[str]]:
    """A web server on this machine; the list of what was asked of it."""
    requests: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    requests.append(f"http://127.0.0.1:{server.server_port}")
    yield requests
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_is_fetched_even_past_the_first_refusal(
    engine: inline.Engine, asked: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(inline, "refuse_unfit", len)
    (tmp_path / "a.css").write_text("p { color: green }")
    address = asked.pop()
    css = (
        f"@import url({address}/a.css); @import url(file://{tmp_path}/a.css); p {{ background: url({address}/p.png) }}"
    )
    links = f'<link rel="stylesheet" href="{address}/link.css"><link rel="stylesheet" href="{tmp_path}/a.css"></head>'
    try:
        done = inline.inline(page("<p>x</p>", css).replace("</head>", links), engine)
    except NewsletterError as error:
        done = str(error)
    assert "green" not in done
    assert asked == []


def test_premailers_loader_of_external_files_is_shut_too() -> None:
    with pytest.raises(NewsletterError, match=r"^file:///etc/passwd: nothing is fetched while inlining"):
        inline.fetch_nothing("file:///etc/passwd")


def test_premailer_is_given_a_large_cache_unless_somebody_chose_one() -> None:
    code = (
        "import os, sys; from newsletter.edition import inline\n"
        "assert 'premailer' not in sys.modules and 'lxml' not in sys.modules and 'requests' not in sys.modules\n"
        "inline.inline('<!DOCTYPE html><html><head></head><body>x</body></html>')\n"
        "from premailer.cache import cache; print(cache.maxsize)"
    )
    for given, expected in (({}, "8192"), ({"PREMAILER_CACHE_MAXSIZE": "77"}, "77")):
        done = subprocess.run([sys.executable, "-c", code], env=given, capture_output=True, text=True, check=True)
        assert (done.stdout.strip(), done.stderr) == (expected, "")


def test_broken_css_says_nothing_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    inline.inline(page("<p>x</p>", "p { colour: red; mso-line-height-rule: exactly; ; } } q {{ x"))
    assert capfd.readouterr() == ("", "")


def test_a_page_premailer_cannot_work_on_is_one_line() -> None:
    with pytest.raises(NewsletterError, match=r"^premailer cannot inline this page: TypeError: ") as caught:
        inline.inline(page('<p style="p">x</p>'))
    assert "\n" not in str(caught.value)


def test_a_mark_on_a_style_block_that_premailer_does_not_know_is_refused() -> None:
    with pytest.raises(NewsletterError, match=r'^a style block is kept with data-premailer="ignore"; it has no other'):
        inline.inline(page("x").replace('"ignore"', '"keep"'))


def test_a_page_prepared_for_inlining_has_no_indentation_and_only_ascii_addresses() -> None:
    ready = inline.ready(
        '\n  <p>\n\n   <a href="https://bücher.example/é?a=1&amp;b=ü"  title="é">a  b</a>\n <img src="https://example.org/é.png">'
        '<!-- href="é" --></p>'
    )
    assert ready == (
        '<p>\n<a href="https://xn--bcher-kva.example/%C3%A9?a=1&amp;b=%C3%BC"  title="é">a  b</a>\n'
        '<img src="https://example.org/%C3%A9.png"><!-- href="é" --></p>'
    )


def test_without_the_extra_css_inline_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "css_inline", None)
    with pytest.raises(NewsletterError, match=r"pip install country-newsletter\[css-inline\]"):
        inline.inline(page("x"), "css-inline")


@pytest.mark.parametrize("language", ["en", "ar"])
def test_both_engines_compute_the_same_declarations_for_every_element_of_the_theme(
    project: config.Project, countries: Countries, language: str
) -> None:
    for path in paths(project.issues):
        file = load(path, countries)
        env = themes.environment(project.templates, "weekly")
        env.filters.update(context.filters(project.settings, language))
        phrases = words.read((themes.built_in(),), language)
        shown = {**context.context(file, project.settings, countries, phrases), **context.html_only(env)}
        ready = inline.ready(themes.render(env, f"{file.issue.kind}.html", shown))
        one, other = (Declarations(inline.inline(ready, engine)) for engine in ENGINES)
        assert len(one.found) > 40
        for mine, theirs in zip(one.found, other.found, strict=True):
            assert mine == theirs


def test_both_engines_pass_the_guard(
    set_issue: Callable[..., object], plain_theme: config.Project, weekly: str
) -> None:
    for engine in ENGINES:
        set_issue(plain_theme, weekly, engine=engine)


def test_pages_inlined_in_several_threads_do_not_mix() -> None:
    pages = [page(f"<p>{n}</p>" * 20, f"p {{ color: #{n:06x}; margin: {n}px }}") for n in range(12)]
    alone = [inline.inline(one) for one in pages]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        assert list(pool.map(inline.inline, pages)) == alone


def test_every_ascii_character_that_may_stand_in_an_address_survives() -> None:
    address = "https://example.org/!$&amp;()*+,-./:;=?@[]^_`{|}~'%20%C3%A9#a"
    before = page(f'<a href="{address}">x</a>')
    guard.compare(before, inline.inline(before), "weekly.html")
