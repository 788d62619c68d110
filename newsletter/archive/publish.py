"""Bring pages into a folder: write what changed, remove what is gone, touch nothing that is not the archive's own.

A list in the folder says which files the archive made and what each was made from. It is written before the first
page and after the last one, so that a build that was cut off knows its files too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from newsletter.errors import NewsletterError
from newsletter.source import display

LIST = ".newsletter-archive.json"
_VERSION = 1


@dataclass(frozen=True)
class Page:
    """A file of the archive: its path in the folder, a digest of all it is made from, and how to make it."""

    path: str
    made_from: str
    make: Callable[[], bytes]


@dataclass(frozen=True)
class Report:
    """How many files a build wrote, left as they were, and removed; `str()` is the line an editor reads."""

    written: int
    unchanged: int
    removed: int

    def __str__(self) -> str:
        files = "file" if self.written == 1 else "files"
        return f"{self.written} {files} written, {self.unchanged} unchanged, {self.removed} removed"


@dataclass(frozen=True)
class _Made:
    """What the list says of a file: the digest of its sources and its size in bytes."""

    made_from: str
    size: int


def digest(*parts: bytes | str) -> str:
    """Return the sha256 of parts, in hexadecimal; ("a", "bc") and ("ab", "c") differ."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "big"))
        total.update(data)
    return total.hexdigest()


def publish(pages: Sequence[Page], out: Path) -> Report:
    """Bring the pages into the folder `out`, which is made when it is not there.

    A page whose sources did not change is not even made. Raises NewsletterError when a page would replace a file that
    the archive did not make, and when a file cannot be written.
    """
    before = _read_list(out)
    stale = [page for page in pages if not _is_current(out, page, before)]
    made = [(page, page.make()) for page in stale]
    changed = [(page, data) for page, data in made if not _holds(out / page.path, data)]
    _refuse_foreign(out, changed, before)
    after = {page.path: before[page.path] for page in pages if page.path in before}
    after |= {page.path: _Made(page.made_from, len(data)) for page, data in made}
    gone = sorted(set(before) - set(after))
    if changed or gone:
        _write_list(out, {**before, **{page.path: _Made("", -1) for page, _ in changed}})
    for page, data in changed:
        _write(out / page.path, data)
    removed = sum(_remove(out, path) for path in gone)
    if after != before:
        _write_list(out, after)
    return Report(len(changed), len(pages) - len(changed), removed)


def _is_current(out: Path, page: Page, before: Mapping[str, _Made]) -> bool:
    known = before.get(page.path)
    if known is None or known.made_from != page.made_from:
        return False
    try:
        return (out / page.path).stat().st_size == known.size
    except OSError:
        return False


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False


def _refuse_foreign(out: Path, changed: Iterable[tuple[Page, bytes]], before: Mapping[str, _Made]) -> None:
    for page, _ in changed:
        path = out / page.path
        if page.path not in before and os.path.lexists(path):
            raise NewsletterError(
                f"{display(path)}: the archive did not make this file and will not replace it; move it away, or build "
                "into another folder with --out"
            )


def _write(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    draft = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(data)
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise NewsletterError(f"{display(path)}: cannot be written: {error.strerror}") from None


def _remove(out: Path, path: str) -> bool:
    """Remove a file the archive made, and the folders that are empty without it."""
    target = out / path
    try:
        target.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise NewsletterError(f"{display(target)}: cannot be removed: {error.strerror}") from None
    for folder in target.parents:
        if folder == out:
            break
        with contextlib.suppress(OSError):
            folder.rmdir()
    return True


def _read_list(out: Path) -> dict[str, _Made]:
    path = out / LIST
    try:
        raw = json.loads(path.read_text("utf-8"))
        files = {str(name): _Made(str(entry[0]), int(entry[1])) for name, entry in raw["files"].items()}
        version = raw["version"]
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise NewsletterError(f"{display(path)}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise NewsletterError(
            f"{display(path)}: the archive's list of its own files is damaged; delete the folder and build again"
        ) from None
    if version != _VERSION:
        return dict.fromkeys(files, _Made("", -1))
    outside = [name for name in files if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts]
    if outside:
        raise NewsletterError(
            f"{display(path)}: '{outside[0]}' lies outside the archive; delete the folder, build again"
        )
    return files


def _write_list(out: Path, files: Mapping[str, _Made]) -> None:
    entries = {name: [entry.made_from, entry.size] for name, entry in sorted(files.items())}
    _write(out / LIST, (json.dumps({"version": _VERSION, "files": entries}, indent=0) + "\n").encode())
