"""The weekly theme as readers see it: measured in real Chromium, on desktops and phones, light, dark and inverted."""

from __future__ import annotations

import html
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

DARK_QUERY = "@media (prefers-color-scheme: dark)"
WIDTHS = (320, 375, 700)  # 320 is also a 640 px window at 200 % zoom (WCAG 2.2, 1.4.10)
ENOUGH = 4.5  # WCAG 2.2, 1.4.3

# Runs inside a page of iframes and writes what it measured into the page itself, for --dump-dom to print.
MEASURE = """
const rgb = text => text.match(/[\\d.]+/g).map(Number);
const flip = c => { const m = Math.max(...c) + Math.min(...c); return c.map(v => 255 - m + v); };
const channel = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const light = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
function behind(element) {
  for (let at = element; at; at = at.parentElement) {
    const colour = rgb(at.ownerDocument.defaultView.getComputedStyle(at).backgroundColor);
    if (colour.length === 3) return colour;
  }
  return [255, 255, 255];
}
function texts(page) {
  const found = [], walk = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const element = node.parentElement, style = page.defaultView.getComputedStyle(element);
    if (!node.data.trim() || style.display === "none") continue;
    const ink = rgb(style.color), paper = behind(element), box = element.getBoundingClientRect();
    found.push({text: node.data.trim(), size: parseFloat(style.fontSize), contrast: contrast(ink, paper),
      inverted: contrast(flip(ink), flip(paper)), left: box.left, right: box.right});
  }
  return found;
}
addEventListener("load", () => {
  const all = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, root = page.documentElement;
    const links = [...page.querySelectorAll(".back a, .footer a, .jump a, .button a")];
    return {name: frame.name, width: frame.clientWidth, scroll: root.scrollWidth, texts: texts(page),
      hidden: page.querySelector("body > div").getBoundingClientRect().height,
      low: links.map(a => a.getBoundingClientRect().height).sort((a, b) => a - b)[0]};
  });
  const out = document.createElement("pre");
  out.id = "measured";
  out.textContent = JSON.stringify(all);
  document.body.append(out);
});
"""


@pytest.fixture(scope="module")
def measured(mails: dict[str, str], chromium: str, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Every mail at every width, light and dark, measured in one run of Chromium."""
    frames = "".join(
        f'<iframe name="{name} {light} {width}" width="{width}" height="900" srcdoc="{html.escape(shown)}"></iframe>'
        for name, mail in mails.items()
        for light, query in (("light", "@media not all"), ("dark", "@media all"))
        for width in WIDTHS
        for shown in (mail.replace(DARK_QUERY, query),)
    )
    page = f'<!DOCTYPE html><meta charset="utf-8"><body><script>{MEASURE}</script>{frames}</body>'
    found = re.search(
        r'<pre id="measured">(.*?)</pre>', _dump(chromium, page, tmp_path_factory.mktemp("chromium")), re.DOTALL
    )
    assert found, "Chromium ran, but the page measured nothing"
    return list(json.loads(html.unescape(found[1])))


def _dump(chromium: str, page: str, folder: Path) -> str:
    source = folder / "page.html"
    source.write_text(page, "utf-8")
    command = [chromium, "--headless", "--hide-scrollbars", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command += ["--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND"]
    command += [f"--user-data-dir={folder / 'profile'}", "--dump-dom", source.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def test_every_mail_is_measured_at_every_width_in_both_lights(
    measured: list[dict[str, Any]], mails: dict[str, str]
) -> None:
    assert len(measured) == len(mails) * len(WIDTHS) * 2
    assert all(len(frame["texts"]) > 10 for frame in measured)


def test_no_mail_is_wider_than_its_window(measured: list[dict[str, Any]]) -> None:
    wide = [frame["name"] for frame in measured if frame["scroll"] > frame["width"]]
    wide += [
        f"{frame['name']}: {text['text']}"
        for frame in measured
        for text in frame["texts"]
        if text["right"] > frame["width"] + 1 or text["left"] < -1
    ]
    assert wide == []


@pytest.mark.parametrize("seen", ["contrast", "inverted"])
def test_every_text_stands_out_from_what_is_behind_it(measured: list[dict[str, Any]], seen: str) -> None:
    faint = {
        (frame["name"].split()[1], text["text"][:30], round(text[seen], 2))
        for frame in measured
        for text in frame["texts"]
        if text[seen] < ENOUGH
    }
    assert faint == set()


def test_dark_screens_get_other_colours_than_light_ones(measured: list[dict[str, Any]]) -> None:
    ratios = {frame["name"]: [text["contrast"] for text in frame["texts"]] for frame in measured}
    assert ratios["everything light 700"] != ratios["everything dark 700"]


def test_no_text_is_smaller_than_14_pixels(measured: list[dict[str, Any]]) -> None:
    small = {(text["text"], text["size"]) for frame in measured for text in frame["texts"] if text["size"] < 14}
    assert small == set()


def test_running_text_has_16_pixels(measured: list[dict[str, Any]]) -> None:
    sizes = {text["text"]: text["size"] for frame in measured for text in frame["texts"]}
    assert sizes["First text item."] == 16
    assert sizes["A paragraph."] == 16


def test_a_thumb_hits_every_link_that_stands_alone(measured: list[dict[str, Any]]) -> None:
    low = {frame["name"]: frame["low"] for frame in measured if frame["width"] < 700 and frame["low"] < 24}
    assert low == {}  # 24 CSS pixels: WCAG 2.2, 2.5.8


def test_the_preheader_takes_no_room(measured: list[dict[str, Any]]) -> None:
    assert {frame["hidden"] for frame in measured} == {0}


def test_a_right_to_left_mail_is_mirrored(measured: list[dict[str, Any]]) -> None:
    [frame] = [frame for frame in measured if frame["name"] == "arabic light 700"]
    texts = {text["text"]: text for text in frame["texts"]}
    assert texts["القراءة على الإنترنت"]["left"] < 100
    assert texts["العدد 245 · 18–22 أبريل 2016"]["right"] > 600
    assert texts["سوريا"]["right"] > 600


def test_a_right_to_left_mail_isolates_names_in_other_letters(mails: dict[str, str]) -> None:
    page = BeautifulSoup(mails["arabic"], "lxml")
    for name in ("The Protection Weekly", "OHCHR", "UN Photo", "Montreal", "A member institute"):
        shown = page.body.find(string=name)
        assert shown is not None, name
        assert shown.parent.get("dir") == "auto", name
    assert page.html["dir"] == "rtl"
    assert {table["dir"] for table in page.find_all("table")} == {"rtl"}
    assert all("padding:0 22px 0 0" in (li.parent["style"] or "") for li in page.select("td > ul:not(.jump) > li"))
