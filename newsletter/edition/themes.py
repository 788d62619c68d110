"""Find, load and render the templates of a theme: the project's own first, then the built-in ones.

Also the template environment of the archive and the studio, whose pages are themes like any other.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from jinja2 import (
    BaseLoader,
    Environment,
    FileSystemBytecodeCache,
    StrictUndefined,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
    UndefinedError,
)
from jinja2.bccache import Bucket
from jinja2.loaders import split_template_path
from jinja2.utils import missing
from markupsafe import Markup

from newsletter.edition.words import Words
from newsletter.errors import NewsletterError
from newsletter.source import display

__all__ = [
    "Environment",
    "ThemeLoader",
    "built_in",
    "cache_folder",
    "environment",
    "file",
    "loader",
    "render",
    "safe",
    "style",
]

# What a template extends or includes to reach the built-in file that the project's own file of the same name hides.
BUILT_IN = "built-in/"

_PACKAGE = Path(__file__).resolve().parent.parent
_CSS_COMMENT = re.compile(r"""("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|/\*.*?\*/""", re.DOTALL)
_IMPORT = re.compile(r"@import\b", re.IGNORECASE)
_STYLESHEET_LINK = re.compile(r"<link\b[^>]*\brel\s*=\s*[\"']?[^\"'>]*\bstylesheet\b", re.IGNORECASE)


def built_in() -> Path:
    """Return the folder of the built-in themes: inside the package when installed, beside it in the repository.

    `importlib.resources` does not find it in an editable install (setuptools issue 4943).
    """
    inside = _PACKAGE / "templates"
    return inside if inside.is_dir() else _PACKAGE.parent / "templates"


class ThemeLoader(BaseLoader):
    """Looks a file up in the project's theme folder, then in the built-in one, and notes what it handed out.

    `used` maps "theme/file" to the bytes that were read: what an edition's digest is made from.
    """

    def __init__(self, project_templates: Path | None, theme: str, *, mail: bool = True) -> None:
        self.theme = theme
        self.mail = mail
        self.project_templates = project_templates
        self.used: dict[str, bytes] = {}

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders looked in, in this order."""
        roots = (self.project_templates, built_in())
        return tuple(root / self.theme for root in roots if root is not None)

    def path(self, name: str) -> Path:
        """Return where a file of the theme stands. Raises TemplateNotFound."""
        folders = self.folders
        wanted = name
        if name.startswith(BUILT_IN):
            folders, wanted = (built_in(),), name.removeprefix(BUILT_IN)
        parts = split_template_path(wanted)
        for folder in folders:
            path = folder.joinpath(*parts)
            if path.is_file():
                return path
        raise TemplateNotFound(name)

    def read(self, name: str) -> str:
        """Return the text of a file of the theme. Raises TemplateNotFound, and NewsletterError when unreadable."""
        path = self.path(name)
        try:
            data = path.read_bytes()
            text = data.decode("utf-8")
        except OSError as error:
            raise NewsletterError(f"{display(path)}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            raise NewsletterError(f"{display(path)}:{line}: this is not UTF-8 text; save the file as UTF-8") from None
        self.used[f"{self.theme}/{name}"] = data
        return text.replace("\r\n", "\n")

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:  # noqa: ARG002 - the signature is jinja2's
        """Do what jinja2 asks of a loader: the text, the file, and whether that is still what the file holds."""
        text = self.read(template)
        path = self.path(template)
        if self.mail:
            _refuse(path, text, _STYLESHEET_LINK, "a stylesheet link is never fetched; put the rules into style.css")
        stamp = _stamp(path)
        return text, str(path), lambda: stamp is not None and _stamp(path) == stamp and self.path(template) == path


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _refuse(path: Path, text: str, pattern: re.Pattern[str], message: str) -> None:
    found = pattern.search(text)
    if found:
        raise NewsletterError(f"{display(path)}:{_line_at(text, found.start())}: {message}")


def _line_at(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


class _Missing(StrictUndefined):
    """An undefined name, whose error says in which words file a phrase is missing."""

    @property
    def _undefined_message(self) -> str:
        if isinstance(self._undefined_obj, Words):
            return self._undefined_obj.missing(str(self._undefined_name))
        if self._undefined_hint is None and isinstance(self._undefined_name, str):
            of = "" if self._undefined_obj is missing else f" of {type(self._undefined_obj).__name__}"
            return f"nothing is called '{self._undefined_name}'{of} here"
        return str(super()._undefined_message)


class _Cache(FileSystemBytecodeCache):
    """A store of compiled templates that may fail without anybody noticing: it saves time and nothing else."""

    def load_bytecode(self, bucket: Bucket) -> None:
        try:
            super().load_bytecode(bucket)
        except OSError:
            bucket.reset()

    def dump_bytecode(self, bucket: Bucket) -> None:
        try:
            super().dump_bytecode(bucket)
        except OSError:
            return


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return a folder only this user can write in, for compiled templates; None where there is no such place.

    Compiled templates are code, so a folder that belongs to somebody else, or is open to others, is not used.
    """
    home = environ.get("XDG_CACHE_HOME") or (f"{environ['HOME']}/.cache" if environ.get("HOME") else "")
    places = [Path(tempfile.gettempdir(), f"country-newsletter-{os.getuid()}")]
    if home.startswith("/"):
        places.insert(0, Path(home, "country-newsletter"))
    for place in places:
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = place.lstat()
        except OSError:
            continue
        private = status.st_uid == os.getuid() and not status.st_mode & 0o077 and not place.is_symlink()
        if private and os.access(place, os.W_OK | os.X_OK):
            return place
    return None


def _autoescape(name: str | None) -> bool:
    """Escape in every template; only the plain text part, where `&amp;` would be printed as such, is not HTML."""
    return not (name or "").endswith(".txt")


def environment(project_templates: Path | None, theme: str, *, mail: bool = True) -> Environment:
    """Make the environment a theme's templates are rendered in; with `mail=False` they may link style sheets.

    `project_templates` is the project's templates folder, which stands before the built-in one file by file. A
    template that hides a built-in one reaches it as "built-in/<theme>/<file>".
    """
    folder = cache_folder()
    return Environment(
        loader=ThemeLoader(project_templates, theme, mail=mail),
        autoescape=_autoescape,  # noqa: S701 - on for everything that is HTML
        undefined=_Missing,
        bytecode_cache=_Cache(str(folder)) if folder else None,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def loader(env: Environment) -> ThemeLoader:
    """Return the loader of an environment made here, which knows the files that were used."""
    if not isinstance(env.loader, ThemeLoader):
        raise TypeError("this environment was not made by environment()")
    return env.loader


def file(env: Environment, name: str) -> str:
    """Say what messages call a template of the theme. Raises TemplateNotFound."""
    return display(loader(env).path(name))


def safe(text: str) -> Markup:
    """Mark text as HTML that needs no escaping any more."""
    return Markup(text)  # noqa: S704 - callers hand in what nh3 cleaned, a mark of ours, or a theme's style sheet


def style(env: Environment, name: str) -> Markup:
    """Return a style sheet of the theme, without its comments and indentation, ready for a `<style>` block.

    Raises NewsletterError for a missing file, for @import (which mail clients ignore or fetch), and for `</`.
    """
    theme = loader(env)
    try:
        text = theme.read(name)
    except TemplateNotFound:
        raise NewsletterError(f"{display(theme.folders[0] / name)}: there is no such style sheet") from None
    path = theme.path(name)
    _refuse(path, text, _IMPORT, "@import is never fetched; put the rules into this file")
    _refuse(path, text, re.compile("</"), "'</' would end the style block; write it as '<\\/'")
    bare = _CSS_COMMENT.sub(lambda found: found[1] or "", text)
    return safe("\n".join(line.strip() for line in bare.splitlines() if line.strip()))


def render(env: Environment, name: str, context: Mapping[str, Any], asked_by: str = "") -> str:
    """Render a template of the theme.

    Raises NewsletterError with the template's file and line for a missing template, a syntax error, an undefined
    name and an expression that fails. `asked_by` names what asked for the template, should it not be there.
    """
    try:
        return env.get_template(name).render(context)
    except TemplateNotFound as error:
        place = _place(error.__traceback__)
        absent = error.name or name
        where = f"templates/{loader(env).theme}/"
        prefix = f"{place}: " if place else f"{asked_by}: " if asked_by else ""
        raise NewsletterError(f"{prefix}there is no template '{absent}'; put it into {where}") from None
    except TemplateSyntaxError as error:
        file = display(Path(error.filename)) if error.filename else str(error.name)
        raise NewsletterError(f"{file}:{error.lineno}: {error.message}") from None
    except (UndefinedError, TemplateError) as error:
        raise NewsletterError(f"{_place(error.__traceback__) or name}: {error.message}") from None
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        place = _place(error.__traceback__, innermost=True)
        if place is None:  # raised by our own code, which is a bug and must look like one
            raise
        raise NewsletterError(f"{place}: {error}") from None


@dataclass(frozen=True)
class _Frame:
    file: str
    line: int
    template: bool


def _place(traceback: TracebackType | None, *, innermost: bool = False) -> str | None:
    """Return "file:line" of the last template a traceback passed through; jinja2 writes template lines into it.

    `innermost`: only when the error was raised by the template's own expression.
    """
    frames = []
    while traceback:
        in_template = "__jinja_exception__" in traceback.tb_frame.f_globals
        frames.append(_Frame(traceback.tb_frame.f_code.co_filename, traceback.tb_lineno, in_template))
        traceback = traceback.tb_next
    if innermost:
        frames = frames[-1:]
    for frame in reversed(frames):
        if frame.template:
            return f"{display(Path(frame.file))}:{frame.line}"
    return None
