"""The project folder, its settings, and the secrets they name."""

from __future__ import annotations

import datetime as dt
import shlex
import subprocess
from pathlib import Path

import pytest
from pydantic import ValidationError

from newsletter import config, source
from newsletter.errors import FaultsError, NewsletterError

LEAST = """\
name: The Weekly
sender: {name: The Weekly, address: weekly@example.org}
address: [Example Coalition, 1 Example Street]
reason: You subscribed.
url: https://news.example.org
lists: {weekly: {title: The Weekly}}
"""


def loaded(folder: Path, text: str = LEAST) -> config.Project:
    (folder / "newsletter.yaml").write_text(text, "utf-8")
    return config.load(folder)


def faults(folder: Path, text: str) -> list[tuple[int, str]]:
    with pytest.raises(FaultsError) as caught:
        loaded(folder, text)
    return [(fault.line, fault.message) for fault in caught.value.faults]


def test_the_project_is_found_from_any_folder_inside_it(tmp_path: Path) -> None:
    (tmp_path / "newsletter.yaml").write_text(LEAST)
    deep = tmp_path / "issues" / "images"
    deep.mkdir(parents=True)
    assert config.find(deep) == config.find(tmp_path) == tmp_path.resolve()


def test_the_nearest_project_is_meant(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    for folder in (tmp_path, inner):
        (folder / "newsletter.yaml").write_text(LEAST)
    assert config.find(inner) == inner.resolve()


def test_outside_a_project_one_line_says_how_to_make_one(tmp_path: Path) -> None:
    (tmp_path / "newsletter.yaml").mkdir()  # a folder of that name is none
    with pytest.raises(NewsletterError, match=r"no newsletter\.yaml here or above; 'newsletter init DIR' makes one"):
        config.find(tmp_path)


def test_few_settings_suffice_and_the_rest_has_its_defaults(tmp_path: Path) -> None:
    project = loaded(tmp_path)
    settings = project.settings
    assert (settings.title, settings.language, settings.theme) == ("{name}: {period}", "en", "weekly")
    assert settings.provider == {"name": "outbox", "folder": "outbox"}
    assert settings.database == "sqlite:///subscribers/newsletter.db"
    assert settings.domain == "example.org"
    assert (project.issues, project.templates) == (tmp_path.resolve() / "issues", tmp_path.resolve() / "templates")
    assert project.file.endswith("newsletter.yaml")


def test_the_settings_of_the_format_page_load(tmp_path: Path, shared: Path) -> None:
    page = (shared / "ISSUE_FORMAT.md").read_text("utf-8")
    block = page.split("# The settings file")[1].split("```yaml\n")[1].split("```")[0]
    settings = loaded(tmp_path, block).settings
    assert settings.subjects["International Criminal Court"].label == "ICC"
    assert settings.countries["MMR"].heading == "Burma/Myanmar"
    assert settings.secret == "env:NEWSLETTER_SECRET"


@pytest.mark.parametrize("url", ["https://news.example.org", "http://localhost:8000", "https://bücher.example/neues"])
def test_a_web_address_may_have_a_port_a_path_and_any_letters(tmp_path: Path, url: str) -> None:
    text = LEAST.replace("https://news.example.org", url)
    assert loaded(tmp_path, text).settings.url == url


def test_a_password_in_a_web_address_is_refused_and_not_repeated(tmp_path: Path) -> None:
    ((_, message),) = faults(tmp_path, LEAST.replace("https://", "https://ann:hunter2@"))
    assert "without a name or password" in message
    assert "hunter2" not in message


def test_a_missing_settings_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(NewsletterError, match=r"newsletter\.yaml: there is no such file"):
        config.load(tmp_path)


def test_provider_settings_arrive_as_the_texts_written(tmp_path: Path) -> None:
    text = LEAST + "provider: {name: smtp, host: 127.0.0.1, port: 025, user: '12', tags: [NO]}\n"
    provider = loaded(tmp_path, text).settings.provider
    assert provider == {"name": "smtp", "host": "127.0.0.1", "port": "025", "user": "12", "tags": ["NO"]}
    assert isinstance(provider["port"], source.Plain)
    assert not isinstance(provider["user"], source.Plain)


def test_settings_are_frozen(tmp_path: Path) -> None:
    settings = loaded(tmp_path).settings
    with pytest.raises(ValidationError, match="frozen"):
        settings.name = "Another"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("sendr: x", "there is no key 'sendr' here; did you mean 'sender'?"),
        ("url: news.example.org", "this is not a web address; write it like https://news.example.org"),
        ("url: https://news.example.org/?a=b", "is not a web address"),
        ("url: javascript:alert(1)", "is not a web address"),
        ("reply_to: editors", "'editors' is not an e-mail address; write it like editors@example.org"),
        ("reply_to: 'A <a@example.org>'", "is not an e-mail address"),
        ('reply_to: "a@example.org\\r\\nBcc: b@example.org"', "is not an e-mail address"),
        ("bounce: bounces@exämple.org", "is not an e-mail address"),
        ("secret: hunter2", "a secret is named, not written: 'env:NAME' or 'file:PATH'"),
        ("secret: 'env:'", "a secret is named, not written"),
        ("secret: 'env:hunter two'", "a secret is named, not written"),
        ("database: postgresql://u:hunter2@db/news", "a password is named, not written: leave it to ~/.pgpass"),
        ("database: 'postgresql:///news?password=hunter2'", "a password is named, not written"),
        ("database: 'env:'", "a secret is named, not written"),
        ("url: https://example.org/a>b,c", "is not a web address"),
        ("url: https://☃.example", "is not a web address"),
        ("url: https://exa_mple.org", "is not a web address"),
        ("url: ftp://example.org", "is not a web address"),
        ("theme: ../../etc", "'../../etc' cannot name a theme; write the name of a folder in templates"),
        ("theme: Weekly", "cannot name a theme"),
        ("language: english", "'english' is not a language tag (BCP 47); write one like en, fr or pt-BR"),
        ("language: xx", "'xx' is not a language tag"),
        ("title: '{name} {date}'", "a title has no {date}; it may have {name}, {number}, {period}"),
        ("title: '{name.upper}'", "a title has no {name.upper}"),
        ("title: '{0}'", "a title has no {0}"),
        ("title: '{number:>5}'", "a title has no {number}"),
        ("title: '{name!r}'", "a title has no {name}"),
        ("title: '{name'", "a brace is never closed or never opened; write {name}, {number} or {period}"),
        ("title: 'name}'", "a brace is never closed or never opened"),
        ('title: "{name}\\n{period}"', "this text must stand on one line"),
        ("credits: []", "'credits' must be text"),
        ('disclaimer: "a\\x07"', "U+0007"),
        ("subjects: {ICC: {labl: x}}", "there is no key 'labl' here; did you mean 'label'?"),
        ("provider: outbox", "'provider' must be keys with values, each with a colon"),
        ("countries: {MMR: Burma}", "'MMR' must be keys with values, each with a colon"),
    ],
)
def test_a_wrong_setting_is_named_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    key = line.partition(":")[0]
    kept = "".join(f"{text}\n" for text in LEAST.splitlines() if not text.startswith(f"{key}:"))
    found = faults(tmp_path, kept + line + "\n")
    assert [at for at, _ in found] == [len(kept.splitlines()) + 1]
    assert message in found[0][1]


@pytest.mark.parametrize("key", ["name", "sender", "address", "reason", "url", "lists"])
def test_a_missing_setting_is_named(tmp_path: Path, key: str) -> None:
    kept = "".join(f"{text}\n" for text in LEAST.splitlines() if not text.startswith(f"{key}:"))
    assert faults(tmp_path, kept) == [(1, f"'{key}' is missing")]


def test_an_empty_list_of_lists_or_address_lines_is_refused(tmp_path: Path) -> None:
    text = LEAST.replace("lists: {weekly: {title: The Weekly}}", "lists: {}")
    text = text.replace("address: [Example Coalition, 1 Example Street]", "address: []")
    assert [line for line, _ in faults(tmp_path, text)] == [3, 6]


@pytest.mark.parametrize("name", ["Weekly list", "../x", "", "a" * 42])
def test_a_lists_name_fits_into_an_address(tmp_path: Path, name: str) -> None:
    text = LEAST.replace("{weekly: {", f"{{'{name}': {{")
    assert faults(tmp_path, text)[0][1].startswith(f"'{name}' cannot name a list; use a-z, 0-9 and hyphens")


def test_all_faults_of_the_settings_come_in_one_go(tmp_path: Path) -> None:
    text = LEAST.replace("reason: You subscribed.", "reason: &x y") + "url: b\ntheme: A B\nnope: 1\n"
    assert [line for line, _ in faults(tmp_path, text)] == [4, 7, 8, 9]


def test_addresses_of_the_site_are_joined_from_its_url(tmp_path: Path) -> None:
    settings = loaded(tmp_path, LEAST.replace("news.example.org", "example.org/news/")).settings
    assert settings.url == "https://example.org/news"
    assert settings.online_url("2016-04-22") == "https://example.org/news/archive/issues/2016-04-22.html"
    assert settings.archive_url == "https://example.org/news/archive/index.html"
    assert settings.leave_url("t") == "https://example.org/news/leave/t"
    assert settings.preferences_url("t") == "https://example.org/news/preferences/t"


def test_a_secret_comes_from_the_environment(tmp_path: Path) -> None:
    assert config.resolve_secret("env:KEY", tmp_path, {"KEY": " s3cret\n"}) == "s3cret"


def test_a_secret_comes_from_the_real_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSLETTER_TEST_KEY", "s3cret")
    assert config.resolve_secret("env:NEWSLETTER_TEST_KEY", tmp_path) == "s3cret"


@pytest.mark.parametrize("environment", [{}, {"KEY": ""}, {"KEY": "  \n"}])
def test_a_secret_that_is_not_set_is_named_in_one_line(tmp_path: Path, environment: dict[str, str]) -> None:
    with pytest.raises(NewsletterError, match=r"the environment variable KEY, which .* names, is not set"):
        config.resolve_secret("env:KEY", tmp_path, environment)


def test_a_secret_comes_from_a_file_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    path.write_text("s3cret\n")
    path.chmod(0o600)
    assert config.resolve_secret("file:secret.key", tmp_path) == "s3cret"
    assert config.resolve_secret(f"file:{path}", Path("/")) == "s3cret"
    assert loaded(tmp_path).secret() == b"s3cret"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o601])
def test_a_secret_that_others_can_read_is_refused_with_the_command_that_mends_it(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret.key"
    path.write_text("s3cret\n")
    path.chmod(mode)
    with pytest.raises(NewsletterError, match=r"others can read this secret; run: chmod 600 .*secret\.key$") as caught:
        config.resolve_secret("file:secret.key", tmp_path)
    assert "s3cret" not in str(caught.value)


def test_a_secret_file_that_is_missing_empty_or_no_text_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(NewsletterError, match="the secret cannot be read: No such file"):
        config.resolve_secret("file:none.key", tmp_path)
    path = tmp_path / "secret.key"
    path.write_bytes(b" \n")
    path.chmod(0o600)
    with pytest.raises(NewsletterError, match="the secret is empty"):
        config.resolve_secret("file:secret.key", tmp_path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(NewsletterError, match="the secret is not UTF-8 text"):
        config.resolve_secret("file:secret.key", tmp_path)
    with pytest.raises(NewsletterError, match="the secret cannot be read: Is a directory"):
        config.resolve_secret(f"file:{tmp_path}", tmp_path)


def test_the_address_of_the_database_may_be_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert loaded(tmp_path, LEAST + "database: postgresql://u@db/news\n").database() == "postgresql://u@db/news"
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:hunter2@db/news")
    assert loaded(tmp_path, LEAST + "database: env:DATABASE_URL\n").database() == "postgresql://u:hunter2@db/news"
    with pytest.raises(NewsletterError, match=r"url\.key: the secret cannot be read"):
        loaded(tmp_path, LEAST + "database: file:url.key\n").database()


def test_the_hint_names_the_file_so_that_the_command_works_from_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "my secret.key"
    path.write_text("s3cret\n")
    path.chmod(0o644)
    with pytest.raises(NewsletterError) as caught:
        config.resolve_secret("file:my secret.key", tmp_path)
    subprocess.run(shlex.split(str(caught.value).partition("run: ")[2]), check=True)
    assert config.resolve_secret("file:my secret.key", tmp_path) == "s3cret"


@pytest.mark.parametrize(
    ("text", "meant"), [("90m", dt.timedelta(minutes=90)), ("24h", dt.timedelta(days=1)), ("3 d", dt.timedelta(days=3))]
)
def test_the_age_of_a_mailing_is_written_with_its_unit(tmp_path: Path, text: str, meant: dt.timedelta) -> None:
    send = loaded(tmp_path, f"{LEAST}send: {{max_age: {text}, require_approval: 2}}\n").settings.send
    assert (send.max_age, send.require_approval) == (meant, 2)
    assert loaded(tmp_path).settings.send.max_age == dt.timedelta(hours=24)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max_age: 24", "write how long as 90m, 24h or 3d: minutes, hours or days"),
        ("max_age: 0h", "write how long as 90m, 24h or 3d: minutes, hours or days"),
        ("require_approval: 10", "'require_approval': input should be less than or equal to 9"),
        ("max_ages: 24h", "there is no key 'max_ages' here; did you mean 'max_age'?"),
    ],
)
def test_what_send_cannot_say_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert faults(tmp_path, f"{LEAST}send: {{{text}}}\n") == [(7, said)]
