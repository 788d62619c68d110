"""A project with one issue of every kind of trouble, and how to build its archive."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from newsletter import config
from newsletter.archive import site
from newsletter.issue import folder
from newsletter.issue.countries import Countries

SETTINGS = """\
name: The Weekly
title: "{name} No. {number}: {period}"
sender: {name: The Weekly, address: weekly@example.org}
address: [Example Coalition, 1 Example Street]
reason: You subscribed at example.org.
url: https://news.example.org
lists:
  weekly: {title: The Weekly, description: Country updates every Friday.}
subjects:
  International Criminal Court: {label: ICC}
countries:
  MMR: {heading: Burma/Myanmar, label: Burma}
"""

ISSUES = {
    "2015-07-03": """\
period: {start: 2015-06-29, end: 2015-07-03}
number: 1
lead: {title: A first issue, body: Words.}
updates:
  Syria:
    intro: See [Yemen](#yemen).
    style: paragraphs
    updates:
      - Envoys met for [a second round](https://example.org/vienna?a=1&b=2).
  Yemen:
    style: headlines
    updates:
      - A ceasefire was [announced](https://example.org/yemen).
      - {kicker: Aid, headline: Ports stay closed, text: Ships wait.}
  Sudan / South Sudan:
    - Two governments agreed.
  Sudan:
    - Elections were held.
""",
    "2016-04-15": """\
period: {start: 2016-04-11, end: 2016-04-15}
number: 2
lead:
  kicker: This week
  title: Hall & <podium>
  body: |
    ## A part

    Words with <script>alert("x")</script> in them.
  figures:
    - {src: images/hall one.png, alt: A "hall", caption: The *hall*, credit: A photographer}
    - {src: "https://elsewhere.example/p.png", alt: Elsewhere}
  actions: [{text: Read more, url: "https://example.org/more"}]
notices: [There is no issue next week.]
actions: [{text: Subscribe, url: "https://example.org/join"}]
authors: [{name: A Writer, role: Editor, organisation: A Centre, note: Wrote this.}, {name: B Writer}]
credits: With thanks.
disclaimer: Views are our own.
updates:
  Burma: [Prisoners were freed.]
  Sudan/Darfur:
    - text: People arrived.
      source: {name: OCHA, url: "https://example.org/ocha", date: 2016-04-12}
  International Criminal Court: [Judges sat.]
sections:
  - title: What else is new?
    items:
      - One [thing](https://example.org/thing).
      - Another thing.
      - event: {title: A meeting, host: A member, start: 2016-04-28 18:00, timezone: America/Montreal, place: Montreal,
                url: "https://example.org/e", summary: Come.}
      - publication: {title: A report, organisations: [A centre, B centre], date: 2016-04-10, url: "https://example.org/r",
                      summary: Read.}
      - publication: {title: A leaflet}
      - A last thing.
""",
    "2016-04-22": """\
period: {start: 2016-04-18, end: 2016-04-22}
number: 3
translations: {ar: 2016-04-22-ar}
updates:
  Syria:
    heading: Syria and its neighbours
    updates: [One., Two., Three.]
  Lake region: {countries: [Chad, Niger], updates: [Water rose.]}
""",
    "2016-04-22-ar": """\
period: {start: 2016-04-18, end: 2016-04-22}
language: ar
number: 3
title: النشرة الأسبوعية
updates:
  Syria: [خبر من سوريا.]
  Iraq: [خبر من العراق.]
""",
    "2016-04-25-pause": "kind: notice\ntitle: No issue next week\nbody: We are back in May.\n",
}


def png() -> bytes:
    """Make a picture of one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The project's folder."""
    folder_ = tmp_path / "weekly"
    (folder_ / "issues" / "images").mkdir(parents=True)
    (folder_ / "templates").mkdir()
    (folder_ / "newsletter.yaml").write_text(SETTINGS, "utf-8")
    for slug, text in ISSUES.items():
        (folder_ / "issues" / f"{slug}.yaml").write_text(text, "utf-8")
    (folder_ / "issues" / "images" / "hall one.png").write_bytes(png())
    return folder_


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where the archive goes; not there yet."""
    return tmp_path / "public"


@pytest.fixture
def build(root: Path, out: Path) -> Callable[[], site.Report]:
    """Build the archive of the project as it is now."""

    def built() -> site.Report:
        project = config.load(root)
        countries = Countries.from_settings(project.settings)
        return site.build(project, countries, folder.load_all(project, countries), out)

    return built
