"""Templates are found, rendered and, when something is wrong with them, named with their line."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest

from newsletter.edition import themes, words
from newsletter.errors import NewsletterError


@pytest.fixture
def theme(tmp_path: Path) -> Path:
    folder = tmp_path / "templates" / "ours"
    folder.mkdir(parents=True)
    return folder


def rendered(theme: Path, text: str, name: str = "page.html", **context: object) -> str:
    (theme / name).write_text(text)
    return themes.render(themes.environment(theme.parent, theme.name), name, context)


def refusal(theme: Path, text: str, **context: object) -> str:
    with pytest.raises(NewsletterError) as caught:
        rendered(theme, text, **context)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(str(theme))


def test_what_an_editor_wrote_is_escaped_in_every_template_that_is_html(theme: Path) -> None:
    for name in ("page.html", "page.html.j2", "page.xml", "page"):
        assert rendered(theme, "{{ x }}", name, x='<b>"&') == "&lt;b&gt;&#34;&amp;"


def test_the_text_part_is_no_html_and_shows_characters_as_they_are(theme: Path) -> None:
    assert rendered(theme, "{{ x }}", "page.txt", x="Côte d'Ivoire & <us>") == "Côte d'Ivoire & <us>"


def test_a_projects_template_stands_before_the_built_in_one_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "weekly").mkdir()
    (tmp_path / "weekly" / "style.css").write_text("p { color: red }")
    env = themes.environment(tmp_path, "weekly")
    assert themes.style(env, "style.css") == "p { color: red }"
    assert themes.loader(env).path("base.html") == themes.built_in() / "weekly" / "base.html"


def test_a_template_reaches_the_built_in_one_that_it_hides(tmp_path: Path) -> None:
    (tmp_path / "weekly").mkdir()
    (tmp_path / "weekly" / "style.css").write_text("")
    env = themes.environment(tmp_path, "weekly")
    path = themes.loader(env).path("built-in/weekly/style.css")
    assert path == themes.built_in() / "weekly" / "style.css"


def test_the_built_in_themes_are_found_inside_an_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "templates" / "weekly").mkdir(parents=True)
    monkeypatch.setattr(themes, "_PACKAGE", tmp_path)
    assert themes.built_in() == tmp_path / "templates"


def test_no_template_is_read_from_outside_the_theme(theme: Path) -> None:
    (theme.parent / "secret.html").write_text("secret")
    assert "there is no template '../secret.html'" in refusal(theme, "{% include '../secret.html' %}")


def test_a_missing_template_is_named_with_the_line_that_asks_for_it(theme: Path) -> None:
    assert refusal(theme, "one\n\n{% include 'gone.html' %}") == (
        "/page.html:3: there is no template 'gone.html'; put it into templates/ours/"
    )


def test_a_kind_without_a_template_is_named_with_who_asked(theme: Path) -> None:
    env = themes.environment(theme.parent, "ours")
    with pytest.raises(NewsletterError, match=r"^newsletter.yaml:12: there is no template 'weekly.html'; put it into "):
        themes.render(env, "weekly.html", {}, "newsletter.yaml:12")
    with pytest.raises(NewsletterError, match=r"^there is no template 'weekly.html'; put it into templates/ours/$"):
        themes.render(env, "weekly.html", {})


def test_a_syntax_error_is_named_with_its_line(theme: Path) -> None:
    assert refusal(theme, "one\n{% if x %}\n").startswith("/page.html:2: Unexpected end of template")
    assert refusal(theme, "one\n{{ x|nofilter }}", x=1) == "/page.html:2: No filter named 'nofilter'."


def test_a_syntax_error_in_an_included_template_names_that_one(theme: Path) -> None:
    (theme / "part.html").write_text("\n\n{{ ")
    assert refusal(theme, "{% include 'part.html' %}").startswith("/part.html:3: ")


def test_an_undefined_name_is_named_with_its_line(theme: Path) -> None:
    assert refusal(theme, "\n{{ tilte }}") == "/page.html:2: nothing is called 'tilte' here"
    assert refusal(theme, "\n{% if tilte %}{% endif %}") == "/page.html:2: nothing is called 'tilte' here"
    assert refusal(theme, "{{ x.y }}", x=theme) == f"/page.html:1: nothing is called 'y' of {type(theme).__name__} here"
    assert "no element 3" in refusal(theme, "{{ x[3] }}", x=[1])


def test_an_undefined_name_in_a_macro_is_named_where_it_stands(theme: Path) -> None:
    (theme / "parts.html").write_text("{% macro one() %}\n{{ oops }}{% endmacro %}")
    assert refusal(theme, "\n{% from 'parts.html' import one %}\n{{ one() }}") == (
        "/parts.html:2: nothing is called 'oops' here"
    )


def test_a_missing_phrase_is_named_with_the_file_it_belongs_in(theme: Path) -> None:
    message = refusal(theme, "{{ words.hello }}", words=words.Words("fr", {}, {}))
    assert message == "/page.html:1: no phrase is called 'hello'; write it into templates/words/en.yaml"


def test_an_expression_that_fails_is_named_with_its_line(theme: Path) -> None:
    assert refusal(theme, "\n\n{{ 1 / 0 }}") == "/page.html:3: division by zero"


def test_a_bug_in_our_own_code_is_not_blamed_on_the_template(theme: Path) -> None:
    def broken() -> str:
        return int("x") and ""

    with pytest.raises(ValueError, match="invalid literal"):
        rendered(theme, "{{ f() }}", f=broken)


def test_an_error_of_ours_passes_through_a_template_as_it_is(theme: Path) -> None:
    def refuse() -> str:
        raise NewsletterError("one line")

    assert refusal(theme, "{{ f() }}", f=refuse) == "one line"


def test_a_template_that_is_not_utf_8_is_named_with_its_line(theme: Path) -> None:
    (theme / "part.html").write_bytes(b"one\ntwo \xe9\n")
    assert refusal(theme, "{% include 'part.html' %}") == "/part.html:2: this is not UTF-8 text; save the file as UTF-8"


def test_a_template_nobody_may_read_is_named(theme: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)  # root may read everything, so the refusal is made by hand
    assert refusal(theme, "x") == "/page.html: cannot be read: Permission denied"


def test_a_saved_template_is_read_again(theme: Path) -> None:
    env = themes.environment(theme.parent, "ours")
    (theme / "page.html").write_text("one")
    assert themes.render(env, "page.html", {}) == "one"
    (theme / "page.html").write_text("three")
    assert themes.render(env, "page.html", {}) == "three"


def test_a_template_that_is_deleted_while_in_use_is_missed(theme: Path) -> None:
    env = themes.environment(theme.parent, "ours")
    (theme / "page.html").write_text("one")
    assert themes.render(env, "page.html", {}) == "one"
    (theme / "page.html").unlink()
    with pytest.raises(NewsletterError, match="there is no template"):
        themes.render(env, "page.html", {})


def test_a_stylesheet_link_is_refused_with_its_line(theme: Path) -> None:
    message = refusal(theme, '\n<link href="https://example.org/x.css" rel="stylesheet">')
    assert message == "/page.html:2: a stylesheet link is never fetched; put the rules into style.css"


def test_a_page_that_is_no_mail_may_link_a_style_sheet(theme: Path) -> None:
    (theme / "page.html").write_text('<link rel="stylesheet" href="style.css">')
    env = themes.environment(theme.parent, "ours", mail=False)
    assert themes.render(env, "page.html", {}) == '<link rel="stylesheet" href="style.css">'


def test_an_import_in_a_style_sheet_is_refused_with_its_line(theme: Path) -> None:
    (theme / "style.css").write_text("p { color: red }\n@IMPORT url(https://example.org/x.css);")
    env = themes.environment(theme.parent, "ours")
    with pytest.raises(NewsletterError, match=r"style.css:2: @import is never fetched"):
        themes.style(env, "style.css")


def test_a_style_sheet_cannot_end_its_style_block(theme: Path) -> None:
    (theme / "style.css").write_text("p { color: red }\n</style><script>")
    with pytest.raises(NewsletterError, match=r"style.css:2: '</' would end the style block"):
        themes.style(themes.environment(theme.parent, "ours"), "style.css")


def test_a_missing_style_sheet_is_named(theme: Path) -> None:
    with pytest.raises(NewsletterError, match=r"ours/kept/dark.css: there is no such style sheet"):
        themes.style(themes.environment(theme.parent, "ours"), "kept/dark.css")


def test_a_style_sheet_is_sent_without_its_comments_but_with_its_strings(theme: Path) -> None:
    (theme / "style.css").write_text("/* why\n */\n\np::before {\n  content: '/* kept */'; /* gone */\n}\n")
    css = themes.style(themes.environment(theme.parent, "ours"), "style.css")
    assert css == "p::before {\ncontent: '/* kept */';\n}"


def test_the_files_that_were_used_are_noted_with_their_bytes(theme: Path) -> None:
    (theme / "part.html").write_text("part")
    (theme / "other.html").write_text("other")
    (theme / "page.html").write_text("{% include 'part.html' %}")
    for _ in range(2):  # the second time from the store of compiled templates
        env = themes.environment(theme.parent, "ours")
        themes.render(env, "page.html", {})
        assert themes.loader(env).used == {"ours/page.html": b"{% include 'part.html' %}", "ours/part.html": b"part"}


def test_an_environment_made_elsewhere_has_no_loader_of_ours() -> None:
    with pytest.raises(TypeError):
        themes.loader(themes.Environment())


def test_compiled_templates_are_stored_where_only_this_user_can_write(tmp_path: Path) -> None:
    folder = themes.cache_folder({"XDG_CACHE_HOME": str(tmp_path / "cache")})
    assert folder == tmp_path / "cache" / "country-newsletter"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert themes.cache_folder({"HOME": str(tmp_path)}) == tmp_path / ".cache" / "country-newsletter"


def test_a_folder_that_others_can_write_in_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    (tmp_path / "country-newsletter").mkdir()
    (tmp_path / "country-newsletter").chmod(0o777)
    folder = themes.cache_folder({"XDG_CACHE_HOME": str(tmp_path)})
    assert folder == tmp_path / "tmp" / f"country-newsletter-{os.getuid()}"
    folder.chmod(0o755)
    assert themes.cache_folder({"XDG_CACHE_HOME": str(tmp_path)}) is None


def test_a_link_in_place_of_the_folder_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / f"country-newsletter-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    assert themes.cache_folder({}) is None


def test_where_nothing_can_be_stored_templates_render_all_the_same(
    theme: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert themes.cache_folder() is None
    assert rendered(theme, "fine") == "fine"


def test_a_store_that_vanishes_between_two_templates_is_not_missed(
    theme: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    env = themes.environment(theme.parent, "ours")
    (tmp_path / "cache" / "country-newsletter").rmdir()
    (tmp_path / "cache" / "country-newsletter").write_text("a file now")
    (theme / "page.html").write_text("fine")
    assert themes.render(env, "page.html", {}) == "fine"
