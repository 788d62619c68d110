from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

from newsletter import config, source
from newsletter.archive import site
from newsletter.edition import themes
from newsletter.issue import folder
from newsletter.issue.countries import Countries

Build = Callable[[], site.Report]


def soup(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text("utf-8"), "html.parser")


def texts(path: Path, selector: str) -> list[str]:
    return [" ".join(found.get_text(" ").split()) for found in soup(path).select(selector)]


def pages(out: Path) -> list[Path]:
    return sorted(out.rglob("*.html"))


def test_the_archive_has_an_index_a_page_per_issue_and_per_country_feeds_and_pictures(build: Build, out: Path) -> None:
    report = build()
    found = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert found == {
        ".newsletter-archive.json",
        "index.html",
        "feed.xml",
        "style.css",
        "images/hall one.png",
        "issues/2015-07-03.html",
        "issues/2016-04-15.html",
        "issues/2016-04-22.html",
        "issues/2016-04-22-ar.html",
        "issues/2016-04-25-pause.html",
        "countries/index.html",
        *(
            f"countries/{name}.{ending}"
            for ending in ("html", "xml")
            for name in (
                "burma-myanmar",
                "chad",
                "darfur",
                "international-criminal-court",
                "niger",
                "south-sudan",
                "sudan",
                "syria",
                "yemen",
            )
        ),
    }
    assert (report.written, report.unchanged, report.removed) == (len(found) - 1, 0, 0)
    assert str(report) == f"{len(found) - 1} files written, 0 unchanged, 0 removed"


def test_every_link_inside_the_archive_leads_somewhere(build: Build, out: Path) -> None:
    build()
    for page in pages(out):
        for element in soup(page).select("[href], [src]"):
            target = str(element.get("href") or element.get("src"))
            parts = urlsplit(target)
            if parts.scheme or element.get("rel") == ["canonical"]:
                continue
            to = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            assert to.is_file(), f"{page}: {target}"
            assert to.suffix, f"{page}: {target} is a folder, which a disk does not open"
            if parts.fragment:
                assert soup(to).find(id=unquote(parts.fragment)), f"{page}: {target}"


def test_ids_are_unique_on_every_page(build: Build, out: Path) -> None:
    build()
    for page in pages(out):
        ids = [str(element["id"]) for element in soup(page).select("[id]")]
        assert len(ids) == len(set(ids)), page


def test_a_page_loads_nothing_from_elsewhere_and_runs_no_script(build: Build, out: Path) -> None:
    build()
    for page in pages(out):
        markup = soup(page)
        policy = markup.find("meta", attrs={"http-equiv": "Content-Security-Policy"})
        assert policy is not None
        assert str(policy["content"]).startswith("default-src 'none'; img-src 'self'; style-src 'self'")
        assert markup.find(["script", "iframe", "form", "style"]) is None
        assert not markup.select("[style], [onload], [onclick]")
        loaded = [str(e.get("src") or e.get("href")) for e in markup.select("img, link[rel=stylesheet]")]
        assert not [address for address in loaded if urlsplit(address).netloc]
    assert "url(" not in (out / "style.css").read_text("utf-8")


def test_what_editors_typed_is_escaped(build: Build, out: Path) -> None:
    build()
    markup = (out / "issues/2016-04-15.html").read_text("utf-8")
    assert "<h2>Hall &amp; &lt;podium&gt;</h2>" in markup
    assert "&lt;script&gt;alert(" in markup
    assert 'alt="A &#34;hall&#34;"' in markup


def test_every_page_names_its_public_address(build: Build, out: Path) -> None:
    build()
    for page in pages(out):
        link = soup(page).find("link", rel="canonical")
        assert link is not None
        assert link["href"] == f"https://news.example.org/archive/{page.relative_to(out).as_posix()}"


def test_the_index_lists_issues_by_year_newest_first_with_number_date_and_labels(build: Build, out: Path) -> None:
    build()
    index = out / "index.html"
    assert texts(index, ".year > h2") == ["2016", "2015"]
    assert texts(index, "#y2016 h3") == ["No issue next week", "The Weekly No. 3: 18–22 April 2016", "Hall & <podium>"]
    assert texts(index, "#y2016 .when") == ["25 April 2016 Notice", "18–22 April 2016 No. 3", "11–15 April 2016 No. 2"]
    assert "Burma Darfur ICC" in texts(index, "#y2016 li .labels")
    assert texts(index, ".tagline") == ["Country updates every Friday."]


def test_an_issue_leads_to_the_issues_before_and_after_it(build: Build, out: Path) -> None:
    build()
    steps = {
        slug: [str(link["href"]) for link in soup(out / f"issues/{slug}.html").select(".steps a")]
        for slug in ("2015-07-03", "2016-04-15", "2016-04-22", "2016-04-25-pause")
    }
    assert steps == {
        "2015-07-03": ["../issues/2016-04-15.html"],
        "2016-04-15": ["../issues/2015-07-03.html", "../issues/2016-04-22.html"],
        "2016-04-22": ["../issues/2016-04-15.html", "../issues/2016-04-25-pause.html"],
        "2016-04-25-pause": ["../issues/2016-04-22.html"],
    }


def test_an_issue_page_holds_all_that_its_editors_wrote(build: Build, out: Path) -> None:
    build()
    page = out / "issues/2016-04-15.html"
    words = " ".join(soup(page).get_text(" ").split())
    for said in (
        "This week",
        "A part",
        "The hall Photo: A photographer",
        "Picture elsewhere: Elsewhere",
        "Read more",
        "There is no issue next week.",
        "Subscribe",
        "By A Writer , Editor , A Centre",
        "Wrote this.",
        "With thanks.",
        "Views are our own.",
        "Prisoners were freed.",
        "Source: OCHA , 12 April 2016",
        "What else is new?",
        "Another thing.",
        "Thursday, 28 April 2016, 18:00",
        "Details and registration",
        "A centre , B centre , 10 April 2016",
        "A leaflet",
        "A last thing.",
    ):
        assert said in words, said
    assert texts(page, "h1") == ["No. 2: 11–15 April 2016"]
    assert texts(page, ".subject h2") == ["Burma/Myanmar", "Darfur", "International Criminal Court"]
    assert [str(link["href"]) for link in soup(page).select(".jump a")] == [
        "#burma-myanmar",
        "#darfur",
        "#international-criminal-court",
    ]
    assert [str(image["src"]) for image in soup(page).select("img")] == ["../images/hall%20one.png"]


def test_a_notice_has_a_page_with_its_title_and_body(build: Build, out: Path) -> None:
    build()
    page = out / "issues/2016-04-25-pause.html"
    assert texts(page, "h1") == ["No issue next week"]
    assert "We are back in May." in soup(page).get_text()
    assert texts(page, ".facts") == ["25 April 2016"]


def test_an_issue_in_arabic_is_written_from_right_to_left_with_arabic_phrases(build: Build, out: Path) -> None:
    build()
    page = soup(out / "issues/2016-04-22-ar.html")
    assert page.html is not None
    assert (page.html["lang"], page.html["dir"]) == ("ar", "rtl")
    assert [link.get_text() for link in page.select(".jump a")] == ["العراق", "سوريا"]
    assert "البلدان" in page.get_text()


def test_a_translation_stands_beside_its_original_and_counts_once(build: Build, out: Path) -> None:
    build()
    original, translation = (soup(out / f"issues/{slug}.html") for slug in ("2016-04-22", "2016-04-22-ar"))
    assert [str(link["href"]) for link in original.select("a[hreflang=ar]")] == ["../issues/2016-04-22-ar.html"]
    assert [str(link["href"]) for link in translation.select("a[hreflang=en]")] == ["../issues/2016-04-22.html"]
    assert [str(link["href"]) for link in soup(out / "index.html").select("h3 a")].count(
        "issues/2016-04-22-ar.html"
    ) == 0
    assert texts(out / "index.html", "a[hreflang=ar]") == ["العربية"]
    assert "خبر" not in (out / "countries/syria.html").read_text("utf-8")
    assert not (out / "countries/iraq.html").exists()
    assert translation.select(".steps a") == []


def test_a_countrys_page_tells_all_issues_newest_first_with_a_link_to_each(build: Build, out: Path) -> None:
    build()
    page = out / "countries/syria.html"
    assert texts(page, "h1") == ["Syria"]
    assert texts(page, ".opening .facts") == ["Updates: 4 · Issues: 2 · Feed"]
    assert texts(page, ".week .when") == ["18–22 April 2016 No. 3", "29 June – 3 July 2015 No. 1"]
    assert [str(link["href"]) for link in soup(page).select(".week .when a")] == [
        "../issues/2016-04-22.html#syria-and-its-neighbours",
        "../issues/2015-07-03.html#syria",
    ]
    assert texts(page, ".week h4") == ["Syria and its neighbours"]
    assert texts(page, ".updates li") == ["One.", "Two.", "Three."]


def test_an_anchor_in_a_text_leads_to_its_issue_from_a_countrys_page(build: Build, out: Path) -> None:
    build()
    assert soup(out / "countries/syria.html").select_one('.intro a[href="../issues/2015-07-03.html#yemen"]')
    assert soup(out / "issues/2015-07-03.html").select_one('.intro a[href="#yemen"]')


def test_a_part_has_a_page_of_its_own_and_its_country_leads_to_it(build: Build, out: Path) -> None:
    build()
    darfur, sudan = out / "countries/darfur.html", out / "countries/sudan.html"
    assert texts(darfur, ".relation") == ["Part of: Sudan"]
    assert texts(sudan, ".opening .relation") == ["Parts with pages of their own: Darfur 1"]
    assert "People arrived." in darfur.read_text("utf-8")
    assert "People arrived." not in sudan.read_text("utf-8")


def test_a_groups_update_stands_on_each_countrys_page_with_the_others_named(build: Build, out: Path) -> None:
    build()
    sudan, south_sudan = out / "countries/sudan.html", out / "countries/south-sudan.html"
    assert texts(sudan, ".told .updates li") == ["Elections were held.", "Two governments agreed."]
    assert texts(sudan, ".told .relation") == ["Together with: South Sudan"]
    assert texts(south_sudan, ".told .relation") == ["Together with: Sudan"]
    assert texts(out / "countries/chad.html", ".told h4") == ["Lake region"]


def test_a_countrys_page_draws_how_much_each_issue_said_gaps_included(build: Build, out: Path) -> None:
    build()
    chart = soup(out / "countries/syria.html").select_one(".chart")
    assert chart is not None
    assert [link["aria-label"] for link in chart.select("a")] == ["3 July 2015: 1", "22 April 2016: 3"]
    assert len(chart.select("rect.gap")) == 1


def test_a_countrys_page_names_its_neighbours_by_region(build: Build, out: Path) -> None:
    build()
    page = soup(out / "countries/sudan.html")
    regions = {
        region.dt.get_text(): [link.get_text() for link in region.select("a")]
        for region in page.select(".nearby dl > div")
        if region.dt
    }
    assert regions == {"Horn of Africa": ["South Sudan"], "Sub-Saharan Africa": ["Chad", "Niger", "South Sudan"]}


def test_the_list_of_countries_is_by_name_with_parts_below_and_by_region(build: Build, out: Path) -> None:
    build()
    page = out / "countries/index.html"
    assert texts(page, ".columns > li > a") == [
        "Burma/Myanmar",
        "Chad",
        "Niger",
        "South Sudan",
        "Sudan",
        "Syria",
        "Yemen",
        "International Criminal Court",
    ]
    assert texts(page, ".columns li li") == ["Darfur 1"]
    assert texts(page, "#middle-east a") == ["Syria", "Yemen"]
    assert soup(page).find(id="africa") is None


def test_an_archive_without_issues_says_so(root: Path, build: Build, out: Path) -> None:
    shutil.rmtree(root / "issues")
    build()
    assert "There is no issue in the archive yet." in (out / "index.html").read_text("utf-8")
    assert "No issue names a country yet." in (out / "countries/index.html").read_text("utf-8")


def test_a_project_may_put_its_own_template_and_phrase_before_the_built_in_ones(
    root: Path, build: Build, out: Path
) -> None:
    own = root / "templates" / "archive"
    (own / "words").mkdir(parents=True)
    (own / "words" / "en.yaml").write_text("countries: Places\n", "utf-8")
    (own / "countries.html").write_text('{% extends "base.html" %}{% block content %}Ours{% endblock %}', "utf-8")
    build()
    page = (out / "countries/index.html").read_text("utf-8")
    assert "Ours" in page
    assert ">Places</a>" in page


def test_pages_in_another_language_use_its_names_for_countries_and_regions(root: Path, build: Build, out: Path) -> None:
    (root / "newsletter.yaml").write_text(SETTINGS_FR, "utf-8")
    build()
    assert texts(out / "countries/syria.html", "h1") == ["Syrie"]
    page = out / "countries/index.html"
    assert texts(page, "h1") == ["Pays"]
    assert texts(page, "#middle-east dt") == ["Moyen-Orient"]


SETTINGS_FR = """\
name: La Lettre
sender: {name: La Lettre, address: lettre@example.org}
address: [Une Coalition]
reason: Vous êtes inscrit.
url: https://news.example.org
language: fr
lists: {weekly: {title: La Lettre}}
subjects: {International Criminal Court: {label: CPI}}
"""


def test_the_sample_project_has_an_archive(project: config.Project, countries: Countries, tmp_path: Path) -> None:
    files = folder.load_all(project, countries)
    site.build(project, countries, files, tmp_path / "out")
    assert len(list((tmp_path / "out/issues").glob("*.html"))) == len(files)


def test_a_browser_shows_pages_from_a_disk_without_breaking_their_policy(
    build: Build, out: Path, tmp_path: Path, chromium: str
) -> None:
    build()
    shot = tmp_path / "shot.png"
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
    for page in ("index.html", "countries/syria.html", "issues/2016-04-15.html"):
        shown = (f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", f"--screenshot={shot}")
        command = [chromium, *quiet, *shown, (out / page).as_uri()]
        ran = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
        assert not re.search("Content Security Policy|ERR_FILE_NOT_FOUND", ran.stderr), ran.stderr
        assert shot.stat().st_size > 10_000


def test_a_card_keeps_its_distance_from_the_list_before_it(
    build: Build, out: Path, tmp_path: Path, chromium: str
) -> None:
    build()
    html = (out / "issues/2016-04-15.html").read_text()
    html = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)  # it lets no script measure
    place = "document.querySelector('.extra .updates'), card = list.nextElementSibling"
    tell = "card.className + ' ' + (card.getBoundingClientRect().top - list.getBoundingClientRect().bottom)"
    measured = out / "issues/measured.html"
    measured.write_text(
        html.replace("</body>", f"<script>const list = {place}; document.title = {tell}</script></body>")
    )
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command += ["--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    ran = subprocess.run([*command, measured.as_uri()], check=True, capture_output=True, text=True, timeout=120)
    (gap,) = re.findall(r"<title>card ([\d.]+)", ran.stdout)
    assert float(gap) >= 16


def test_every_language_of_the_archive_has_every_phrase() -> None:
    folder_ = themes.built_in() / "archive" / "words"
    phrases = {path.stem: set(source.read(path).tree) for path in folder_.glob("*.yaml")}
    assert set(phrases) == {"ar", "en", "es", "fr", "ru", "zh"}
    assert all(names == phrases["en"] for names in phrases.values())
