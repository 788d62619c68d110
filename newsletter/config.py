"""The project folder and its settings file, newsletter.yaml."""

from __future__ import annotations

import datetime as dt
import os
import re
import shlex
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from newsletter import source
from newsletter.errors import NewsletterError
from newsletter.languages import Language
from newsletter.source import Line, as_text, refused

SETTINGS_FILE = "newsletter.yaml"

TITLE_FIELDS = ("name", "number", "period")

_ADDRESS = re.compile(r"[^@\s<>\",;:\\]+@[^@\s<>\",;:\\]+\.[^@\s<>\",;:\\]+")
# It stands in mail headers between < and >, and in every mail.
_WEB_ADDRESS = re.compile(r"https?://(?P<host>[^\s/?#:@<>\"',\\\[\]]+)(:\d{1,5})?(/[^\s?#<>\"',@\\]*)?", re.ASCII)

_UNITS = {"m": dt.timedelta(minutes=1), "h": dt.timedelta(hours=1), "d": dt.timedelta(days=1)}


def _address(value: str) -> str:
    if not _ADDRESS.fullmatch(value) or not value.isascii():
        raise refused(f"'{value}' is not an e-mail address; write it like editors@example.org")
    return value


def _web_address(value: str) -> str:
    found = _WEB_ADDRESS.fullmatch(value)
    if not found or not _is_host(found["host"]):
        raise refused("this is not a web address; write it like https://news.example.org, without a name or password")
    return value.rstrip("/")


def _is_host(name: str) -> bool:
    if name.isascii():
        return all(re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?", label) for label in name.split("."))
    import idna  # noqa: PLC0415 - few hosts need it

    try:
        idna.encode(name, uts46=True)
    except idna.IDNAError:
        return False
    return True


def _reference(value: str) -> str:
    if not re.fullmatch(r"env:[A-Za-z_][A-Za-z0-9_]*|file:.+", value):  # not repeated: it may be the secret itself
        raise refused("a secret is named, not written: 'env:NAME' or 'file:PATH' (a file only you can read)")
    return value


def _database(value: str) -> str:
    if re.match(r"(env|file):", value):
        return _reference(value)
    if re.search(r"://[^/?#]*:[^/?#]+@|[?&]password=", value):  # not repeated, nor is the rest
        raise refused(
            "a password is named, not written: leave it to ~/.pgpass, or name the whole address by 'env:NAME' or"
            " 'file:PATH' (a file only you can read)"
        )
    return value


def _list_name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,40}", value):
        raise refused(
            f"'{value}' cannot name a list; use a-z, 0-9 and hyphens, and put the words readers see in 'title'"
        )
    return value


def _theme(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,40}", value):
        raise refused(f"'{value}' cannot name a theme; write the name of a folder in templates, such as weekly")
    return value


def _pattern(value: str) -> str:
    try:
        parts = [(name, spec, conversion) for _, name, spec, conversion in Formatter().parse(value) if name is not None]
    except ValueError:
        raise refused("a brace is never closed or never opened; write {name}, {number} or {period}") from None
    for name, spec, conversion in parts:
        if name not in TITLE_FIELDS or spec or conversion:
            raise refused(
                f"a title has no {{{name}}}; it may have {', '.join(f'{{{field}}}' for field in TITLE_FIELDS)}"
            )
    return value


def _interval(value: object) -> dt.timedelta:
    found = re.fullmatch(r"([1-9]\d{0,3})\s*([mhd])", value) if isinstance(value, str) else None
    if not found:
        raise refused("write how long as 90m, 24h or 3d: minutes, hours or days")
    return int(found[1]) * _UNITS[found[2]]


Address = Annotated[str, AfterValidator(_address)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
SecretReference = Annotated[str, AfterValidator(_reference)]
ListName = Annotated[str, AfterValidator(_list_name)]


class Settings(BaseModel):
    """The base of settings: frozen, and no key that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Sender(Settings):
    """The From of every mail."""

    name: Line
    address: Address


class MailingList(Settings):
    """A list that readers subscribe to."""

    title: Line
    description: Line | None = None


class HeadingSettings(Settings):
    """How a country or a declared subject is printed in this house."""

    heading: Line | None = None
    label: Line | None = None
    sort: Line | None = None


class Sending(Settings):
    """What stands between an issue and its readers: how old a mailing may grow by itself, how many say yes to it."""

    max_age: Annotated[dt.timedelta, BeforeValidator(_interval)] = dt.timedelta(hours=24)
    require_approval: Annotated[int, Field(ge=0, le=9)] = 0


class Bounces(Settings):
    """Where the messages to the bounce address are delivered; `keep` leaves those there that have been read."""

    maildir: Line
    keep: bool = False


class Newsletter(Settings):
    """Everything newsletter.yaml may say."""

    name: Line
    title: Annotated[Line, AfterValidator(_pattern)] = "{name}: {period}"
    sender: Sender
    reply_to: Address | None = None
    bounce: Address | None = None
    address: tuple[Line, ...] = Field(min_length=1)
    reason: Line
    url: WebAddress
    language: Language = "en"
    theme: Annotated[str, AfterValidator(_theme)] = "weekly"
    database: Annotated[Line, AfterValidator(_database)] = "sqlite:///subscribers/newsletter.db"
    secret: SecretReference = "file:secret.key"  # noqa: S105 - names the file, is not the secret
    lists: dict[ListName, MailingList] = Field(min_length=1)
    subjects: dict[Line, HeadingSettings] = Field(default_factory=dict)
    countries: dict[Line, HeadingSettings] = Field(default_factory=dict)
    provider: dict[str, Any] = Field(default_factory=lambda: {"name": "outbox", "folder": "outbox"})
    send: Sending = Field(default_factory=Sending)
    bounces: Bounces | None = None
    credits: Annotated[str, AfterValidator(as_text)] | None = None
    disclaimer: Annotated[str, AfterValidator(as_text)] | None = None

    def online_url(self, slug: str) -> str:
        """Say where an issue stands in the public archive; the same for every reader, so it carries no token."""
        return f"{self.url}/archive/issues/{slug}.html"

    @property
    def archive_url(self) -> str:
        """Say where the archive's first page stands."""
        return f"{self.url}/archive/index.html"

    def leave_url(self, token: str) -> str:
        """Say where a reader leaves; a POST there is the one-click unsubscribe of RFC 8058."""
        return f"{self.url}/leave/{token}"

    def preferences_url(self, token: str) -> str:
        """Say where a reader changes what they follow."""
        return f"{self.url}/preferences/{token}"

    @property
    def domain(self) -> str:
        """The domain mails are sent from."""
        return self.sender.address.rpartition("@")[2]


@dataclass(frozen=True)
class Project:
    """A project folder and its settings."""

    root: Path
    settings: Newsletter
    source: source.Source

    @property
    def issues(self) -> Path:
        """The folder editors write in."""
        return self.root / "issues"

    @property
    def templates(self) -> Path:
        """The folder whose templates stand before the built-in ones."""
        return self.root / "templates"

    @property
    def file(self) -> str:
        """What messages call the settings file."""
        return self.source.file

    def database(self) -> str:
        """Return the address of the database. Raises NewsletterError when it is named as a secret and missing."""
        named = self.settings.database
        return resolve_secret(named, self.root) if re.match(r"(env|file):", named) else named

    def secret(self) -> bytes:
        """Return what signs readers' links. Raises NewsletterError when it is missing or open to others."""
        return resolve_secret(self.settings.secret, self.root).encode()


def find(start: Path) -> Path:
    """Return the nearest folder, from `start` upwards, that holds newsletter.yaml. Raises NewsletterError."""
    here = start.resolve()
    for folder in (here, *here.parents):
        if (folder / SETTINGS_FILE).is_file():
            return folder
    raise NewsletterError(f"{source.display(start)}: no {SETTINGS_FILE} here or above; 'newsletter init DIR' makes one")


def load(root: Path) -> Project:
    """Load the settings of the project in a folder. Raises FaultsError and NewsletterError."""
    read = source.read(root / SETTINGS_FILE, keep_faults=True)
    return Project(root.resolve(), source.validate(Newsletter, read), read)


def resolve_secret(reference: str, root: Path, environment: Mapping[str, str] | None = None) -> str:
    """Return the secret that `env:NAME` or `file:PATH` names; a relative path starts at `root`.

    Raises NewsletterError when it is not there, empty, or in a file that others can read.
    """
    kind, _, name = reference.partition(":")
    if kind == "env":
        value = (os.environ if environment is None else environment).get(name, "")
        if not value.strip():
            raise NewsletterError(f"the environment variable {name}, which {SETTINGS_FILE} names, is not set")
        return value.strip()
    return _secret_in_file(root / name)


def _secret_in_file(path: Path) -> str:
    shown = source.display(path)
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        value = path.read_text("utf-8").strip()
    except OSError as error:
        raise NewsletterError(f"{shown}: the secret cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise NewsletterError(f"{shown}: the secret is not UTF-8 text") from None
    if mode & 0o077:
        raise NewsletterError(f"{shown}: others can read this secret; run: chmod 600 {shlex.quote(shown)}")
    if not value:
        raise NewsletterError(f"{shown}: the secret is empty")
    return value
