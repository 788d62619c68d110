"""Set an issue in its theme: from an issue file to the edition that every reader's copy is joined from."""

from __future__ import annotations

import hashlib
import html as html_text
import json
from collections.abc import Iterator, Mapping
from typing import Any

from newsletter import __version__
from newsletter.config import Newsletter, Project
from newsletter.edition import context, guard, inline, pieces, plaintext, themes, words
from newsletter.edition.model import Edition, Piece, SubjectKeys
from newsletter.errors import Fault, FaultsError, NewsletterError
from newsletter.issue.countries import Countries
from newsletter.issue.load import IssueFile
from newsletter.issue.passages import passages

# Settings that say who carries the mail, when, and where readers are kept: no copy looks different for them.
_NOT_PRINTED = frozenset({"provider", "database", "secret", "send", "bounces"})
_TOKEN_START = "__NL_"  # noqa: S105 - how reader's fields and marks start, not a secret


def make_edition(
    file: IssueFile, project: Project, countries: Countries, engine: inline.Engine = "premailer"
) -> Edition:
    """Set an issue in the project's theme: render, inline, guard, text, cut into pieces, digest.

    Raises NewsletterError for a fault in a template, for what the inliner would damage, and for a text that looks like
    one of the tokens that stand for a reader's fields.
    """
    settings = project.settings
    _refuse_tokens(file, project)
    language = file.issue.language or settings.language
    env = themes.environment(project.templates, settings.theme)
    env.filters.update(context.filters(settings, language))
    phrases = words.read((project.templates, themes.built_in()), language)
    shown = context.context(file, settings, countries, phrases)
    asked_by = f"{project.file}:{project.source.line(('theme',))}"
    html = _html(env, file.issue.kind, shown, asked_by, engine)
    text = _text(env, file.issue.kind, shown, asked_by)
    return Edition(
        slug=file.slug,
        subject=shown["subject"],
        preheader=shown["preheader"],
        language=language,
        html=html,
        text=text,
        subjects=tuple(SubjectKeys(subject.label, subject.keys) for subject in shown["subjects"]),
        digest=_digest(file, settings, {**themes.loader(env).used, **phrases.files}),
    )


def _html(
    env: themes.Environment, kind: str, shown: Mapping[str, Any], asked_by: str, engine: inline.Engine
) -> tuple[Piece, ...]:
    name = f"{kind}.html"
    page = inline.ready(themes.render(env, name, {**shown, **context.html_only(env)}, asked_by))
    template = themes.file(env, name)
    try:
        finished = inline.inline(page, engine)
    except NewsletterError as error:
        raise NewsletterError(f"{template}: {error}") from error
    guard.compare(page, finished, template)
    return pieces.cut(finished, "html", template)


def _text(env: themes.Environment, kind: str, shown: Mapping[str, Any], asked_by: str) -> tuple[Piece, ...]:
    name = f"{kind}.txt"
    text = themes.render(env, name, {**shown, **context.text_only()}, asked_by)
    return pieces.cut(plaintext.tidy(text), "text", themes.file(env, name))


def _refuse_tokens(file: IssueFile, project: Project) -> None:
    """Refuse an issue or settings in which somebody wrote what a reader's field or a mark looks like."""
    message = f"'{_TOKEN_START}' marks readers' own fields in a mail; write this text in another way"
    faults = [Fault(file.file, line, message) for line in _token_lines(file)]
    if _TOKEN_START in _settings(project.settings):
        faults.append(Fault(project.file, 1, message))
    if faults:
        raise FaultsError(faults)


def _token_lines(file: IssueFile) -> Iterator[int]:
    for number, line in enumerate(file.source.data.decode("utf-8", "replace").splitlines(), 1):
        if _TOKEN_START in line:
            yield number
    for passage in passages(file.issue):  # also behind an escape of YAML, Markdown or HTML
        for offset, line in enumerate(passage.text.split("\n")):
            if _TOKEN_START in html_text.unescape(line.replace("\\", "")):
                yield file.line(passage.location, offset)


def _settings(settings: Newsletter) -> str:
    return json.dumps(settings.model_dump(mode="json", exclude=set(_NOT_PRINTED)), sort_keys=True, ensure_ascii=False)


def _digest(file: IssueFile, settings: Newsletter, files: Mapping[str, bytes]) -> str:
    """Return the sha256 of all that went into an edition; each part's length stands before it, so none run together."""
    parts = [__version__.encode(), file.slug.encode(), file.source.data, _settings(settings).encode()]
    for name in sorted(files):
        parts += [name.encode(), files[name]]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()
