"""Keeps a spreadsheet from running a cell as a formula, in a way that an import takes back.

OWASP's "CSV injection" page (read 2026-11-20): a cell that starts with = + - @, a tab or a carriage return is a formula
to a spreadsheet, with the full-width forms as well in some languages, and so is what follows a separator inside the
cell where the spreadsheet splits at another one than the file does. An apostrophe in front makes it text.
"""

from __future__ import annotations

import re

_SIGNS = r"=+\-@\t\r＝＋－＠"
_START = re.compile(rf"[ \u00a0]*[{_SIGNS}]")
_BARE = re.compile(rf"""(\A|[;,|\t][ "]*)(?='*[{_SIGNS}])""")
_ARMOURED = re.compile(rf"""(\A|[;,|\t][ "]*)'(?='*[{_SIGNS}])""")


def is_formula(cell: str) -> bool:
    """Say whether a spreadsheet would run this cell."""
    return bool(_START.match(cell))


def armour(cell: str) -> str:
    """Put an apostrophe before whatever a spreadsheet would run."""
    return _BARE.sub(r"\1'", cell)


def disarm(cell: str) -> str:
    """Take the apostrophes off that `armour` put on."""
    return _ARMOURED.sub(r"\1", cell)
