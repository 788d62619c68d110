from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from newsletter.config import HeadingSettings, Newsletter
from newsletter.errors import NewsletterError
from newsletter.issue.countries import Countries
from newsletter.issue.folding import fold

ROOT = Path(__file__).resolve().parents[2]

# Names as newsletters, agencies and governments write them, with the traps that general packages fall into.
TRICKY = {
    "Burma": "MMR",
    "Burma/Myanmar": "MMR",
    "Myanmar (Burma)": "MMR",
    "Republic of the Union of Myanmar": "MMR",
    "DRC": "COD",
    "DR Congo": "COD",
    "D.R. Congo": "COD",
    "Congo-Kinshasa": "COD",
    "Congo, The Democratic Republic of the": "COD",
    "Democratic Republic of Congo": "COD",
    "Congo-Brazzaville": "COG",
    "Republic of the Congo": "COG",
    "Congo (the)": "COG",
    "CAR": "CAF",
    "Central African Republic": "CAF",
    "DPRK": "PRK",
    "North Korea": "PRK",
    "Democratic People’s Republic of Korea": "PRK",
    "South Korea": "KOR",
    "Republic of Korea": "KOR",
    "Korea, Republic of": "KOR",
    "oPt": "PSE",
    "Palestine": "PSE",
    "State of Palestine": "PSE",
    "Gaza/West Bank": "PSE",
    "Occupied Palestinian Territories": "PSE",
    "Kosovo": "XKX",
    "Taiwan": "TWN",
    "Taiwan, Province of China": "TWN",
    "Hong Kong": "HKG",
    "Macau": "MAC",
    "Ivory Coast": "CIV",
    "Côte d’Ivoire": "CIV",
    "COTE D'IVOIRE": "CIV",
    "Swaziland": "SWZ",
    "Eswatini": "SWZ",
    "Cape Verde": "CPV",
    "Turkey": "TUR",
    "Türkiye": "TUR",
    "Turkiye": "TUR",
    "Czech Republic": "CZE",
    "Macedonia": "MKD",
    "East Timor": "TLS",
    "Timor Leste": "TLS",
    "Syrian Arab Republic": "SYR",
    "Iran (Islamic Republic of)": "IRN",
    "Bolivia, Plurinational State of": "BOL",
    "Venezuela (Bolivarian Republic of)": "VEN",
    "Russia": "RUS",
    "Russian Federation": "RUS",
    "UK": "GBR",
    "Great Britain": "GBR",
    "USA": "USA",
    "United States of America": "USA",
    "UAE": "ARE",
    "Lao People's Democratic Republic": "LAO",
    "Laos": "LAO",
    "Viet Nam": "VNM",
    "Vietnam": "VNM",
    "United Republic of Tanzania": "TZA",
    "Republic of Moldova": "MDA",
    "The Gambia": "GMB",
    "Holy See": "VAT",
    "Vatican City": "VAT",
    "Guinea": "GIN",
    "Guinea Bissau": "GNB",
    "Equatorial Guinea": "GNQ",
    "Papua New Guinea": "PNG",
    "Niger": "NER",
    "Nigeria": "NGA",
    "Dominica": "DMA",
    "Dominican Republic": "DOM",
    "Sudan": "SDN",
    "South Sudan": "SSD",
    "Libyan Arab Jamahiriya": "LBY",
    "Kyrgyz Republic": "KGZ",
    "São Tomé and Príncipe": "STP",
    "St. Lucia": "LCA",
    "Trinidad & Tobago": "TTO",
    "Bosnia and Herzegovina": "BIH",
    "Syrie": "SYR",
    "سوريا": "SYR",
    "布隆迪": "BDI",
    "Мьянма": "MMR",
    "Sudan/Darfur": "SDN-DARFUR",
    "Darfur": "SDN-DARFUR",
    "Darfur (Sudan)": "SDN-DARFUR",
    "Gaza": "PSE-GAZA",
    "Arakan": "MMR-RAKHINE",
    "Iraqi Kurdistan": "IRQ-KURDISTAN",
    "Northern Ireland": "GBR-NORTHERN-IRELAND",
}


def settings(**more: object) -> Newsletter:
    return Newsletter.model_validate(
        {
            "name": "The Weekly",
            "sender": {"name": "The Weekly", "address": "weekly@example.org"},
            "address": ["Example Coalition"],
            "reason": "You subscribed.",
            "url": "https://news.example.org",
            "lists": {"weekly": {"title": "The Weekly"}},
            **more,
        }
    )


@pytest.mark.parametrize(("name", "key"), TRICKY.items())
def test_a_name_as_newsletters_write_it_means_one_place(name: str, key: str) -> None:
    place = Countries().place(name)
    assert place is not None
    assert place.key == key


@pytest.mark.parametrize(
    ("key", "heading", "label"),
    [
        ("COD", "Democratic Republic of Congo", "DRC"),
        ("CAF", "Central African Republic", "CAR"),
        ("PRK", "Democratic People's Republic of Korea", "DPRK"),
        ("SYR", "Syria", "Syria"),
        ("IRN", "Iran", "Iran"),
        ("BOL", "Bolivia", "Bolivia"),
        ("PSE", "Occupied Palestinian Territory", "oPt"),
        ("XKX", "Kosovo", "Kosovo"),
        ("TWN", "Taiwan", "Taiwan"),
        ("CIV", "Côte d'Ivoire", "Côte d'Ivoire"),
        ("USA", "United States", "US"),
        ("SDN-DARFUR", "Darfur", "Darfur"),
    ],
)
def test_headings_and_labels_are_those_of_a_newsletter(key: str, heading: str, label: str) -> None:
    place = Countries().by_key(key)
    assert place is not None
    assert (place.heading, place.label) == (heading, label)


def test_every_name_of_the_taxonomy_is_understood(shared: Path) -> None:
    countries = Countries()
    with (shared / "data/countries/ocha_taxonomy.csv").open(encoding="utf-8-sig", newline="") as handle:
        for line in csv.DictReader(handle):
            if not line["ISO 3166-1 Alpha 2-Codes"]:
                continue
            for column in ("Preferred Term", "ISO Alt Term", "RW Short Name", "English Short", "English Formal"):
                name = line[column]
                if not name or name in ("Congo", "Korea"):
                    continue
                place = countries.place(name)
                assert place is not None, name
                assert place.key == line["ISO 3166-1 Alpha 3-Codes"], name


def test_an_alias_belongs_to_one_place_and_finds_it() -> None:
    countries = Countries()
    for place in countries.places:
        for name in (place.key, place.heading, place.label, *place.aliases):
            assert countries.place(name) is place, name


def test_the_table_holds_every_country_with_names_in_six_languages_and_a_region() -> None:
    places = Countries().places
    countries = [place for place in places if place.kind == "country"]
    assert len(countries) == 250
    assert all(set(place.names) == {"ar", "en", "es", "fr", "ru", "zh"} for place in countries)
    assert [place.key for place in countries if not place.regions] == ["ATA"]
    assert {place.part_of for place in places if place.kind == "part"} <= {place.key for place in countries}


def test_the_folded_names_of_the_table_are_those_the_program_folds() -> None:
    raw = json.loads((ROOT / "newsletter/issue/countries.json").read_text("utf-8"))
    for part in ("names", "region_names", "ambiguous", "two_letters"):
        assert [name for name in raw[part] if fold(name) != name] == []


def test_the_shipped_table_is_what_the_script_makes(shared: Path, tmp_path: Path) -> None:
    for path in ("scripts/make_countries.py", "scripts/countries.yaml", "newsletter/issue/folding.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes((ROOT / path).read_bytes())
    command = [sys.executable, str(tmp_path / "scripts/make_countries.py"), str(shared / "data/countries")]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    made = (tmp_path / "newsletter/issue/countries.json").read_text("utf-8")
    assert made == (ROOT / "newsletter/issue/countries.json").read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Yemn", "no country is called 'Yemn'; did you mean 'Yemen'?"),
        ("Sirya", "no country is called 'Sirya'; did you mean 'Syria'?"),
        ("NO", "'NO' is a two-letter code, which is too easily a word; write Norway or NOR"),
        ("no", "'no' is a two-letter code, which is too easily a word; write Norway or NOR"),
        ("Syria / Sirya", "no country is called 'Sirya'; did you mean 'Syria'?"),
        ("Syria / Syrian Arab Republic", "'Syria / Syrian Arab Republic' names one country twice; write it once"),
        (
            "Congo",
            "'Congo' may mean several places; write 'Democratic Republic of Congo' or 'Republic of Congo'",
        ),
        (
            "Korea",
            "'Korea' may mean several places; write 'Democratic People's Republic of Korea' or 'Republic of Korea'",
        ),
        (
            "Sudan/South Sudan",
            "'Sudan/South Sudan' is no country; for a group put spaces around the stroke: 'Sudan / South Sudan'",
        ),
        (
            "Sahel",
            (
                "'Sahel' is a region, not a country; to print updates under it, declare it under 'subjects' in "
                "newsletter.yaml"
            ),
        ),
        (
            "International Criminal Court",
            (
                "no country is called 'International Criminal Court'; a subject of another kind is declared in "
                "newsletter.yaml"
            ),
        ),
    ],
)
def test_a_name_that_cannot_stand_says_what_to_write(name: str, message: str) -> None:
    countries = Countries()
    assert countries.resolve(name) is None
    assert countries.fault(name) == message


def test_a_suggestion_is_never_applied_by_itself() -> None:
    countries = Countries()
    assert countries.place("Yemn") is None
    assert countries.suggestions("Yemn") == ("Yemen",)
    assert len(countries.suggestions("Guinee")) <= 3


def test_a_group_is_resolved_in_the_order_written() -> None:
    countries = Countries()
    places = countries.resolve("South Sudan / Sudan")
    assert places is not None
    assert [place.key for place in places] == ["SSD", "SDN"]
    assert countries.fault("South Sudan / Sudan") is None


def test_headings_in_other_languages_come_from_the_table_and_english_from_the_house() -> None:
    myanmar = Countries(settings(countries={"MMR": {"heading": "Burma/Myanmar", "label": "Burma"}})).by_key("MMR")
    assert myanmar is not None
    assert myanmar.heading_in("en-GB") == "Burma/Myanmar"
    assert myanmar.heading_in("fr") == "Myanmar"
    assert myanmar.heading_in("ar") == "ميانمار"
    assert myanmar.heading_in("sw") == "Burma/Myanmar"
    assert myanmar.label == "Burma"


def test_a_country_is_in_every_region_of_m49_and_of_the_house() -> None:
    countries = Countries()
    yemen, sudan, darfur = (countries.by_key(key) for key in ("YEM", "SDN", "SDN-DARFUR"))
    assert yemen is not None
    assert sudan is not None
    assert darfur is not None
    assert {"asia", "western-asia", "middle-east", "middle-east-and-north-africa"} <= set(yemen.regions)
    assert {"africa", "northern-africa", "sub-saharan-africa", "horn-of-africa"} <= set(sudan.regions)
    assert darfur.regions == sudan.regions
    assert darfur.part_of == "SDN"
    known = {region.key for region in countries.regions}
    assert all(set(place.regions) <= known for place in countries.places)


def test_readers_follow_countries_parts_regions_and_declared_subjects() -> None:
    countries = Countries(settings(subjects={"International Criminal Court": {"label": "ICC"}}))
    names = ("Burma", "Darfur", "MENA", "Great Lakes", "western-asia", "sahel", "ICC", "SYR")
    assert [countries.follow(name) for name in names] == [
        "MMR",
        "SDN-DARFUR",
        "middle-east-and-north-africa",
        "great-lakes",
        "western-asia",
        "sahel",
        "international-criminal-court",
        "SYR",
    ]
    region = countries.by_key("great-lakes")
    assert region is not None
    assert region.kind == "region"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Sirya", "no country is called 'Sirya'; did you mean 'Syria'?"),
        ("sahell", "no country or region is called 'sahell'; did you mean 'Sahel'?"),
        ("NO", "'NO' is a two-letter code, which is too easily a word; write Norway or NOR"),
    ],
)
def test_following_what_is_not_there_is_refused_with_a_suggestion(name: str, message: str) -> None:
    with pytest.raises(NewsletterError) as refusal:
        Countries().follow(name)
    assert str(refusal.value) == message


def test_a_declared_subject_is_found_by_heading_and_label() -> None:
    countries = Countries.from_settings(settings(subjects={"International Criminal Court": {"label": "ICC"}}))
    subject = countries.place("the international criminal court")
    assert subject is not None
    assert (subject.kind, subject.key, subject.label) == ("subject", "international-criminal-court", "ICC")
    assert countries.place("ICC") == subject
    assert subject in countries.places


def test_a_region_may_be_declared_as_a_subject_and_is_followed_with_it() -> None:
    countries = Countries(settings(subjects={"Sahel": {}}))
    places = countries.resolve("Sahel")
    assert places is not None
    assert countries.follow("Sahel") == places[0].key == "sahel"


def test_a_house_may_print_a_label_that_is_a_two_letter_code() -> None:
    countries = Countries(settings(countries={"NOR": {"label": "NO"}}))
    norway = countries.by_key("NOR")
    assert norway is not None
    assert norway.label == "NO"
    assert countries.fault("NO") is not None


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"countries": {"Yemn": {"label": "Y"}}},
            "newsletter.yaml: countries: no country is called 'Yemn'; did you mean 'Yemen'?",
        ),
        (
            {"countries": {"MMR": {"label": "Burma"}, "Myanmar": {"label": "Burma"}}},
            "newsletter.yaml: countries: 'MMR' and 'Myanmar' are one country; keep one of them",
        ),
        (
            {"countries": {"COG": {"heading": "Zaire"}}},
            "newsletter.yaml: countries: 'Zaire' is the name of Democratic Republic of Congo already",
        ),
        (
            {"subjects": {"Syria": {}}},
            "newsletter.yaml: subjects: 'Syria' is a country's name already; give it another name",
        ),
        (
            {"subjects": {"UN Office": {}, "U.N. Office": {}}},
            "newsletter.yaml: subjects: 'U.N. Office' is declared twice, as 'UN Office'; give it another name",
        ),
        (
            {"subjects": {"UN Office": {}, "UN+Office": {}}},
            "newsletter.yaml: subjects: 'UN+Office' is too like 'UN Office'; give it another name",
        ),
        (
            {"subjects": {"???": {}}},
            "newsletter.yaml: subjects: '???' has no letter to name its page by",
        ),
    ],
)
def test_settings_that_cannot_stand_are_one_line(more: dict[str, object], message: str) -> None:
    with pytest.raises(NewsletterError) as refusal:
        Countries.from_settings(settings(**more))
    assert str(refusal.value) == message


def test_one_newsletters_headings_do_not_reach_another() -> None:
    Countries(settings(countries={"MMR": {"heading": "Burma"}}, subjects={"ICC": HeadingSettings().model_dump()}))
    fresh = Countries()
    myanmar = fresh.by_key("MMR")
    assert myanmar is not None
    assert myanmar.heading == "Myanmar"
    assert fresh.place("ICC") is None
