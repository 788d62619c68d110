"""Write an issue to its file so that the strict loader reads the same, and what did not change stays as it stands."""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from newsletter import source
from newsletter.errors import FaultsError, NewsletterError
from newsletter.issue import splice
from newsletter.issue.load import model_of
from newsletter.issue.model import Issue
from newsletter.issue.trees import tree

if TYPE_CHECKING:
    from ruamel.yaml import YAML

_ON_ONE_LINE = frozenset({"period", "source"})  # short mappings, as the format page writes them
_PLAIN_NUMBER = re.compile(r"[1-9][0-9]*|[0-9]{4}-[0-9]{2}-[0-9]{2}")


def save(path: Path, issue: Issue) -> None:
    """Write an issue to a file: all of it or nothing. Comments and order of a file that is there are kept.

    Raises FaultsError when the file that is there cannot be read, for its text would be lost, and NewsletterError
    when it cannot be written.
    """
    text = _updated(source.read(path), issue) if path.exists() else dump(issue)
    write(path, text.encode())


def dump(issue: Issue) -> str:
    """Return an issue as YAML text."""
    wanted = tree(issue)
    text = _written(_node(wanted))
    return text if _says(text, issue) else _written(_node(wanted, safest=True))


def write(path: Path, data: bytes) -> None:
    """Put a file in place in one step, safe on the disk. Raises NewsletterError; the old file is then untouched."""
    path = path.resolve()  # a link stays a link
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    name = ""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(name).replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise NewsletterError(f"{source.display(path)}: cannot be written: {error.strerror}") from None


def _updated(old: source.Source, issue: Issue) -> str:
    """Return the text of a file changed to say an issue: the first of several ways that reads back the same."""
    before = old.data.decode().removeprefix("\ufeff").replace("\r\n", "\n")
    for text in _ways(before, old, issue):
        if text is not None and _says(text, issue):
            return text.replace("\n", "\r\n") if b"\r\n" in old.data else text
    return dump(issue)


def _ways(before: str, old: source.Source, issue: Issue) -> Iterator[str | None]:
    """Yield texts from the one that changes least; None for a way that is not open."""
    wanted, was = tree(issue), tree(source.validate(model_of(old), old))
    if old.tree is None:  # nothing but comments
        yield before.lstrip() + dump(issue)
        return
    if "kind" not in old.tree and wanted["kind"] == was["kind"]:
        del was["kind"], wanted["kind"]  # what went without saying still does
    merged = _written(_merge(_yaml().load(before), was, wanted))
    # The fewer levels are kept apart, the less it matters that the file may be indented in another way than ours.
    for depth in (splice.DEEPEST, 3, 2, 1):
        yield splice.keep(before, merged, was, wanted, depth)
    yield merged


def _says(text: str, issue: Issue) -> bool:
    try:
        return source.validate(type(issue), source.parse("", text.encode())) == issue
    except FaultsError:
        return False


def _yaml() -> YAML:
    from ruamel.yaml import YAML  # noqa: PLC0415 - heavy, and only saving needs it
    from ruamel.yaml.resolver import VersionedResolver  # noqa: PLC0415 - as above

    null = ("tag:yaml.org,2002:null", re.compile(r"(?:~|null|Null|NULL|)$"))

    class TextResolver(VersionedResolver):
        """Takes everything for text, as the strict loader does, so that what is not changed is not respelt."""

        @property
        def versioned_resolver(self) -> dict[str, list[Any]]:
            return {first: [null] for first in ("", "~", "n", "N")}

    made = YAML()
    made.Resolver = TextResolver
    made.preserve_quotes = True
    made.width = 10**9
    made.indent(mapping=2, sequence=4, offset=2)
    return made


def _written(node: Any) -> str:
    buffer = io.StringIO()
    _yaml().dump(node, buffer)
    return buffer.getvalue()


def _node(value: Any, *, safest: bool = False, key: str = "") -> Any:
    """Dress a tree for writing; `safest` writes every text in double quotes."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq  # noqa: PLC0415 - as above
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString as Quoted  # noqa: PLC0415 - as above

    if isinstance(value, Mapping):
        made = CommentedMap((_scalar(name), _node(inner, safest=safest, key=name)) for name, inner in value.items())
        if key in _ON_ONE_LINE:
            made.fa.set_flow_style()
        return made
    if isinstance(value, list):
        return CommentedSeq([_node(inner, safest=safest) for inner in value])
    return Quoted(value) if safest else _scalar(value)


def _scalar(value: str) -> Any:
    """Dress one text: below a `|` when it has lines, in quotes where another reader would take it for no text."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString  # noqa: PLC0415 - as above

    if re.search(r"^ *\t|[ \t]$|\A\n", value, re.MULTILINE):
        return DoubleQuotedScalarString(value)
    if "\n" in value:
        return LiteralScalarString(value + "\n")
    if _is_special(value):
        return DoubleQuotedScalarString(value)
    return value


def _is_special(value: str) -> bool:
    """Say whether YAML 1.1, which most other programs read, takes a bare word for something else than text."""
    if _PLAIN_NUMBER.fullmatch(value):
        return False
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers.get(value[:1], [])
    return any(pattern.match(value) for _, pattern in resolvers)


def _merge(node: Any, was: Any, wanted: Any) -> Any:
    """Change a node that says `was` into one that says `wanted`, touching only what differs."""
    if was == wanted:
        return node
    if isinstance(node, Mapping):
        bare = next((name for name in ("text", "updates") if name in node), "")
        was, wanted = (side if isinstance(side, Mapping) else {bare: side} for side in (was, wanted))
        return _merge_keys(node, was, wanted)
    if isinstance(node, list) and isinstance(was, list) and isinstance(wanted, list):
        return _merge_list(node, was, wanted)
    made = _node(wanted)
    if isinstance(node, list) and isinstance(wanted, Mapping) and "updates" in wanted:
        made["updates"] = _merge(node, was, wanted["updates"])  # a subject that gained an option
    return made


def _merge_keys(node: Any, was: Mapping[str, Any], wanted: Mapping[str, Any]) -> Any:
    for name in [name for name in node if name not in wanted and name in was]:
        del node[name]
    place = 0
    for name, value in wanted.items():
        if name in node and name in was:
            node[name] = _merge(node[name], was[name], value)
        elif name in node:  # a null, or a default written out
            node[name] = _node(value, key=name)
        else:
            node.insert(place, _scalar(name), _node(value, key=name))
        place = list(node).index(name) + 1
    return node


def _merge_list(node: Any, was: Sequence[Any], wanted: Sequence[Any]) -> Any:
    match = difflib.SequenceMatcher(None, list(map(repr, was)), list(map(repr, wanted)), autojunk=False)
    for what, start, end, first, last in reversed(match.get_opcodes()):
        if what == "equal":
            continue
        common = min(end - start, last - first)
        for offset in range(common):
            node[start + offset] = _merge(node[start + offset], was[start + offset], wanted[first + offset])
        for index in reversed(range(start + common, end)):
            del node[index]
        for offset, value in enumerate(wanted[first + common : last]):
            node.insert(start + common + offset, _node(value))
    return node
