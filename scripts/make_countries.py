"""Make newsletter/issue/countries.json from the public tables and the house's own countries.yaml.

Run it when a table changes: scripts/make_countries.py FOLDER, where FOLDER holds the OCHA taxonomy (256 countries and
territories, ISO and M49 codes, names in the six languages of the United Nations) and the territory containment of
Unicode CLDR. Everyday names where the official ones are unwieldy ("Syrie") come from CLDR through Babel.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from babel import Locale

from newsletter.issue.folding import fold, slug

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "newsletter" / "issue" / "countries.json"
COLUMNS = {"ar": "Arabic", "en": "English", "es": "Spanish", "fr": "French", "ru": "Russian", "zh": "Chinese"}
NAME_COLUMNS = (
    "Preferred Term",
    "ISO Alt Term",
    "DGACM Alt Term",
    "HPC Tools Alt Term",
    "RW Short Name",
    "RW API Alt Term",
    "English Short",
    "English Formal",
    "M49 English",
)
REGION_COLUMNS = (
    ("Region Code", "Region Name"),
    ("Sub-region Code", "Sub-region Name"),
    ("Intermediate Region Code", "Intermediate Region Name"),
)
CLDR_CODES = {"XKX": "XK"}
# What only names a state's claim or a grammatical form, as in "Bahamas (the)" and "Aruba (The Netherlands)".
IN_BRACKETS = re.compile(r" \([^)]*\)$")

Row = dict[str, Any]


def rows(folder: Path, house: Mapping[str, Any], ambiguous: Iterable[str]) -> Iterator[Row]:
    """Make a row for each country and territory with an ISO code of its own, and Kosovo."""
    languages = {language: Locale(language).territories for language in COLUMNS}
    with (folder / "ocha_taxonomy.csv").open(encoding="utf-8-sig", newline="") as handle:
        for line in csv.DictReader(handle):
            key = line["ISO 3166-1 Alpha 3-Codes"] or line["x Alpha3 codes"]
            two = line["ISO 3166-1 Alpha 2-Codes"] or CLDR_CODES.get(key, "")
            if not two:
                continue  # islands without a code, which are parts, and what was dissolved
            own = house.get(key) or {}
            cldr = {language: str(names[two]) for language, names in languages.items()}
            united = {n: line[f"{c} Short"] or line[f"M49 {c}"] or cldr[n] for n, c in COLUMNS.items()}
            heading = own.get("heading") or IN_BRACKETS.sub("", line["Preferred Term"])
            names = {**(cldr if own.get("cldr") else united), "en": heading, **own.get("names", {})}
            names = {language: name.replace("o-ва", "острова") for language, name in names.items()}
            official = [line[column] for column in NAME_COLUMNS if line[column]]
            official += [IN_BRACKETS.sub("", name) for name in official]
            official = [name for name in official if fold(name) not in ambiguous]
            yield {
                "key": key,
                "heading": heading,
                **({"label": own["label"]} if "label" in own else {}),
                **({"sort": own["sort"]} if "sort" in own else {}),
                "aliases": aliases([*own.get("aliases", ()), *official, cldr["en"]], heading),
                "regions": [slug(line[name]) for _, name in REGION_COLUMNS if line[name]],
                "names": names,
                "two": two,
                "m49": {slug(line[name]): line[code].zfill(3) for code, name in REGION_COLUMNS if line[name]},
                "foreign": sorted({*cldr.values(), *united.values(), *names.values()}),
            }


def aliases(names: Iterable[str], heading: str) -> list[str]:
    """Drop names that fold to one another or to the heading."""
    kept = {fold(name): name.removeprefix("the ") for name in reversed(list(names))}
    return sorted((name for folded, name in kept.items() if folded != fold(heading)), key=fold)


def add_regions(countries: list[Row], house: Mapping[str, Any], containment: Mapping[str, list[str]]) -> list[Row]:
    """Make the rows of regions, and put each country into those of the house."""
    for name, own in house.items():
        members = set(own.get("countries", ())) | {
            row["key"] for row in countries if row["two"] in containment.get(own.get("cldr", ""), ())
        }
        unknown = members - {row["key"] for row in countries}
        if unknown:
            raise SystemExit(f"{name}: unknown {sorted(unknown)}")
        for row in countries:
            if row["key"] in members and name not in row["regions"]:
                row["regions"].append(name)
    found = dict.fromkeys(region for row in countries for region in row["regions"])
    codes = {region: code for row in countries for region, code in row["m49"].items()}
    return [region_row(key, codes.get(key), house.get(key, {})) for key in sorted(found)]


def region_row(key: str, code: str | None, own: Mapping[str, Any]) -> Row:
    """Make the row of a region; its M49 name is an alias of its everyday one."""
    cldr = {language: str(Locale(language).territories.get(code, "")) for language in COLUMNS if language != "en"}
    names = own.get("names") or {language: name for language, name in cldr.items() if code and name}
    table_name = key.replace("-", " ").title().replace(" And ", " and ").replace(" The ", " the ")
    heading = own.get("heading", table_name)
    row = {"key": key, "heading": heading, "aliases": aliases([*own.get("aliases", ()), table_name], heading)}
    return {**row, **({"label": own["label"]} if "label" in own else {}), "names": names, "foreign": names.values()}


def part_rows(house: Mapping[str, Any], countries: Mapping[str, Row]) -> Iterator[Row]:
    """Make the rows of parts; 'Sudan/Darfur', 'Darfur (Sudan)' and 'Darfur, Sudan' name Darfur too."""
    for key, own in house.items():
        country = countries[key.partition("-")[0]]
        forms = []
        for name in (own["heading"], *own.get("aliases", ())):
            for whole in (country["heading"], country.get("label", country["heading"])):
                forms += [f"{whole}/{name}", f"{name} ({whole})", f"{name}, {whole}"]
        yield {
            "key": key,
            "heading": own["heading"],
            **({"label": own["label"]} if "label" in own else {}),
            "part_of": country["key"],
            "aliases": aliases(own.get("aliases", ()), own["heading"]),
            "names": own.get("names", {}),
            "foreign": [*forms, *own.get("names", {}).values()],
        }


def index(places: Iterable[Row], ambiguous: Mapping[str, Any]) -> dict[str, str]:
    """Map every folded name to its key; stop when an English name belongs to two places.

    A name in another language, or a form, that two places share is left out: "Congo" is French for one of them too.
    """
    found: dict[str, str] = {}
    unclear = {fold(name) for name in ambiguous}
    places = list(places)
    for row in places:
        for name in (row["key"], row["heading"], row.get("label", row["heading"]), *row["aliases"]):
            folded = fold(name)
            if found.setdefault(folded, row["key"]) != row["key"] or folded in unclear:
                raise SystemExit(f"'{name}' belongs to {row['key']} and to {found[folded]}")
    shared: dict[str, set[str]] = {}
    for row in places:
        for name in row.get("foreign", ()):
            shared.setdefault(fold(name), set()).add(row["key"])
    for folded, keys in shared.items():
        if len(keys) == 1 and folded not in unclear:
            found.setdefault(folded, *keys)
    return dict(sorted(found.items()))


def shipped(row: Row) -> Row:
    """Return what the project needs of a row."""
    return {key: value for key, value in row.items() if key not in ("two", "m49", "foreign")}


def write(path: Path, table: Mapping[str, Any]) -> None:
    """Write the table with one row a line, so that a change of it can be read."""
    parts = []
    for name, value in table.items():
        if isinstance(value, list):
            inner = ",\n".join(json.dumps(row, ensure_ascii=False) for row in value)
            parts.append(f"{json.dumps(name)}: [\n{inner}\n]")
        else:
            pairs = (f"{json.dumps(k, ensure_ascii=False)}: {json.dumps(v)}" for k, v in value.items())
            parts.append(f"{json.dumps(name)}: {{\n" + ",\n".join(pairs) + "\n}")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", "utf-8")


def main(folder: Path) -> None:
    """Read the tables of a folder and write the project's own."""
    house = yaml.safe_load((HERE / "countries.yaml").read_text("utf-8"))
    containment = json.loads((folder / "cldr41_territory_containment.json").read_text("utf-8"))
    countries = sorted(
        rows(folder, house["countries"], {fold(name) for name in house["ambiguous"]}), key=lambda row: str(row["key"])
    )
    unknown = set(house["countries"]) - {row["key"] for row in countries}
    if unknown:
        raise SystemExit(f"countries.yaml names what the tables do not: {sorted(unknown)}")
    regions = add_regions(countries, house["regions"], containment)
    parts = list(part_rows(house["parts"], {row["key"]: row for row in countries}))
    table = {
        "countries": [shipped(row) for row in countries],
        "parts": [shipped(row) for row in parts],
        "regions": [shipped(row) for row in regions],
        "names": index([*countries, *parts], house["ambiguous"]),
        "region_names": index(regions, {}),
        "ambiguous": {fold(name): keys for name, keys in house["ambiguous"].items()},
        "two_letters": {fold(row["two"]): row["key"] for row in countries},
    }
    write(TARGET, table)
    print(
        f"{TARGET.name}: {len(countries)} countries, {len(parts)} parts, {len(regions)} regions, "
        f"{len(table['names'])} names"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
