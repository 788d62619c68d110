"""How answers look in a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from newsletter.checks.finding import Finding

_COLOURS = {"block": "red", "warn": "yellow", "info": "cyan"}


def size(count: int) -> str:
    """Write a number of bytes as an editor reads it: 61.4 kB, 25 MB (of 1,000, as mail programs count)."""
    if count >= 1_000_000:
        return f"{count / 1_000_000:.3g} MB"
    return f"{count / 1000:.1f} kB" if count >= 1000 else f"{count} bytes"


def counted(count: int, thing: str) -> str:
    """Count things: 1 update, 36 updates."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def duration(seconds: float) -> str:
    """Write how long something takes as people say it: 0.4 s, 42 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60} min"


def say_findings(name: str, findings: Iterable[Finding]) -> None:
    """Write findings a line each, and a last line that counts them."""
    shown = list(findings)
    for finding in shown:
        level = click.style(finding.level, fg=_COLOURS[finding.level], bold=True)
        code = click.style(f"[{finding.code}]", dim=True)
        click.echo(f"{finding.file}:{finding.line}: {level}: {finding.message} {code}")
    counts = [
        f"{sum(f.level == level for f in shown)} {level}" for level in _COLOURS if any(f.level == level for f in shown)
    ]
    click.echo(f"{name}: {', '.join(counts) if counts else 'nothing found'}")


def columns(rows: Iterable[Iterable[object]], header: Iterable[str]) -> str:
    """Align rows below a header, columns as wide as their longest cell."""
    cells = [[str(cell) for cell in row] for row in (tuple(header), *rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(cells[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def as_json(value: Any) -> str:
    """Write an answer for another program: UTF-8, indented, the same every time."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def display(path: Path) -> str:
    """Name a file relative to where the editor is, where that is shorter."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
