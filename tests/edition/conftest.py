"""What the edition's tests share: an issue written into the project and set in its theme."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from newsletter import config
from newsletter.edition.model import Edition
from newsletter.edition.render import make_edition
from newsletter.issue.countries import Countries
from newsletter.issue.load import load

WEEKLY = """\
kind: weekly
period: {start: 2016-04-18, end: 2016-04-22}
number: 245
lead:
  title: Voices from the rostrum
  body: |
    Candidates [answered](https://example.org/hearings) for an hour each.
updates:
  Syria:
    - Talks in Geneva were [put off](https://example.org/syria) once more.
  Burundi:
    - Observers counted [345 cases](https://example.org/burundi) this year.
  Côte d'Ivoire:
    - A court in Abidjan [heard witnesses](https://example.org/ivoire).
sections:
  - title: What else is new?
    items:
      - A member [hosts a talk](https://example.org/talk) on Thursday.
"""

# The smallest theme that is whole: what tests of the pipeline itself are set in.
PLAIN_HTML = """\
<!DOCTYPE html>
<html lang="{{ language }}" dir="{{ direction }}"><head><meta charset="utf-8"><title>{{ subject }}</title>
<style>{{ styles.style }}</style>
<style data-premailer="ignore" data-css-inline="keep">{{ styles.dark }}</style></head>
<body><h1>{{ title }}</h1>
{% for s in subjects %}
{{ begin("S" ~ s.number) }}<h2 id="{{ s.anchor }}" class="heading">{{ s.heading }}</h2>
{% for update in s.updates %}<p class="update">{{ update.text|inline }}</p>{% endfor %}
{{ end("S" ~ s.number) }}
{% endfor %}
<p><a href="{{ UNSUBSCRIBE }}">{{ words.unsubscribe }}</a></p>
</body></html>
"""
PLAIN_TEXT = """\
{{ title }}

{% for s in subjects %}
{{ begin("S" ~ s.number) }}
{{ s.heading }}

{% for update in s.updates %}
{{ update.text|text_prose("* ") }}

{% endfor %}
{{ end("S" ~ s.number) }}
{% endfor %}
{{ words.unsubscribe }}: {{ UNSUBSCRIBE }}
"""


@pytest.fixture(scope="session", autouse=True)
def _no_trace_in_the_users_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the compiled templates of the tests out of the user's own folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def weekly() -> str:
    """The text of a small weekly."""
    return WEEKLY


@pytest.fixture
def plain_theme(project: config.Project) -> config.Project:
    """The sample project with the smallest theme in place of the built-in one."""
    folder = project.templates / "plain"
    (folder / "kept").mkdir(parents=True)
    for kind in ("weekly", "notice"):
        (folder / f"{kind}.html").write_text(PLAIN_HTML)
        (folder / f"{kind}.txt").write_text(PLAIN_TEXT)
    (folder / "style.css").write_text("p { margin: 0 }\n.heading { color: #123456 }\n")
    (folder / "kept" / "dark.css").write_text("@media (prefers-color-scheme: dark) { .heading { color: #fff } }\n")
    settings = project.root / "newsletter.yaml"
    settings.write_text(settings.read_text().replace("theme: weekly", "theme: plain"))
    return config.load(project.root)


@pytest.fixture
def set_issue(countries: Countries) -> Callable[..., Edition]:
    """Write an issue into a project and make its edition."""

    def make(project: config.Project, text: str, slug: str = "2016-04-22", **options: str) -> Edition:
        path = project.issues / f"{slug}.yaml"
        path.write_text(text, "utf-8")
        return make_edition(load(path, countries), project, countries, **options)

    return make
