from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from newsletter.archive import site

Build = Callable[[], site.Report]
ATOM = "{http://www.w3.org/2005/Atom}"
BASE = "{http://www.w3.org/XML/1998/namespace}base"


def read(path: Path) -> ET.Element:
    return ET.fromstring(path.read_bytes())  # noqa: S314 - our own file


def text(element: ET.Element, name: str) -> str:
    return element.findtext(f"{ATOM}{name}", "")


@pytest.fixture
def feeds(build: Build, out: Path) -> dict[str, ET.Element]:
    build()
    return {path.relative_to(out).as_posix(): read(path) for path in out.rglob("*.xml")}


def test_every_feed_has_what_rfc_4287_requires(feeds: dict[str, ET.Element]) -> None:
    assert len(feeds) == 10
    for path, feed in feeds.items():
        assert feed.tag == f"{ATOM}feed"
        assert text(feed, "id") == f"https://news.example.org/archive/{path}"
        assert text(feed, "title")
        assert feed.find(f"{ATOM}author/{ATOM}name") is not None
        self_link = feed.find(f"{ATOM}link[@rel='self']")
        assert self_link is not None
        assert self_link.get("href") == f"https://news.example.org/archive/{path}"
        for element in (feed, *feed.iter(f"{ATOM}entry")):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT00:00:00Z", text(element, "updated"))
            assert text(element, "title")
        ids = [text(entry, "id") for entry in feed.iter(f"{ATOM}entry")]
        assert ids
        assert len(ids) == len(set(ids))
        assert all(address.startswith("https://news.example.org/archive/") for address in ids)


def test_the_feed_of_issues_holds_the_whole_text_newest_first(feeds: dict[str, ET.Element]) -> None:
    entries = list(feeds["feed.xml"].iter(f"{ATOM}entry"))
    assert [text(entry, "id").rpartition("/")[2] for entry in entries] == [
        "2016-04-25-pause.html",
        "2016-04-22.html",
        "2016-04-15.html",
        "2015-07-03.html",
    ]
    assert text(feeds["feed.xml"], "updated") == "2016-04-25T00:00:00Z"
    assert "<p>We are back in May.</p>" in text(entries[0], "content")
    assert "Prisoners were freed." in text(entries[2], "content")
    assert "&lt;script&gt;" in text(entries[2], "content")
    assert [element.get("term") for element in entries[2].iter(f"{ATOM}category")] == ["Burma", "Darfur", "ICC"]
    translation = entries[1].find(f"{ATOM}link[@hreflang='ar']")
    assert translation is not None
    assert translation.get("href") == "https://news.example.org/archive/issues/2016-04-22-ar.html"


def test_a_countrys_feed_holds_what_each_issue_said_of_it(feeds: dict[str, ET.Element]) -> None:
    newest, oldest = feeds["countries/syria.xml"].iter(f"{ATOM}entry")
    assert text(newest, "title") == "Syria, 18–22 April 2016"
    assert "Syria and its neighbours" in text(newest, "content")
    assert text(oldest, "id") == "https://news.example.org/archive/countries/syria.html#i2015-07-03"
    content = oldest.find(f"{ATOM}content")
    assert content is not None
    assert content.get(BASE) == "https://news.example.org/archive/issues/2015-07-03.html"
    assert 'href="https://example.org/vienna?a=1&amp;b=2"' in str(content.text)
    assert "Two governments agreed." in text(next(feeds["countries/sudan.xml"].iter(f"{ATOM}entry")), "content")


def test_ids_do_not_change_when_an_issue_does(root: Path, build: Build, out: Path) -> None:
    build()
    before = [text(entry, "id") for entry in read(out / "feed.xml").iter(f"{ATOM}entry")]
    path = root / "issues/2016-04-22.yaml"
    path.write_text(path.read_text("utf-8") + "title: Another title\n", "utf-8")
    build()
    after = list(read(out / "feed.xml").iter(f"{ATOM}entry"))
    assert [text(entry, "id") for entry in after] == before
    assert text(after[1], "title") == "Another title"


def test_a_feed_without_issues_is_still_a_feed(root: Path, build: Build, out: Path) -> None:
    for path in (root / "issues").glob("*.yaml"):
        path.unlink()
    build()
    assert text(read(out / "feed.xml"), "updated") == "1970-01-01T00:00:00Z"


def test_a_feed_stops_at_fifty_issues(root: Path, build: Build, out: Path) -> None:
    for number in range(1, 61):
        name = f"2017-{1 + number // 28:02d}-{1 + number % 28:02d}"
        (root / f"issues/{name}.yaml").write_text(
            f"number: {number + 3}\nupdates: {{Syria: [News {number}.]}}\n", "utf-8"
        )
    build()
    assert len(list(read(out / "feed.xml").iter(f"{ATOM}entry"))) == 50
    assert len(list(read(out / "countries/syria.xml").iter(f"{ATOM}entry"))) == 50
