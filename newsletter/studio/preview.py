"""The preview: one local page that shows an issue as readers will see it, and follows every save.

The page is for the editor's own machine: it listens on loopback only and answers no request that came under another
host name, so that a web site open in the same browser cannot read the draft (DNS rebinding).
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from newsletter.checks.finding import Finding
from newsletter.config import Project
from newsletter.desk import issue as desk_issue
from newsletter.desk.project import Desk, open_desk, watched_files
from newsletter.edition import themes
from newsletter.errors import NewsletterError
from newsletter.issue import folder
from newsletter.mailing.message import Sample

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from flask import Flask
    from flask.typing import ResponseReturnValue

_DARK_QUERY = re.compile(r"@media\s*\(\s*prefers-color-scheme\s*:\s*dark\s*\)")
_LAST_PORT = 65535
_LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?")


@dataclass(frozen=True)
class Draft:
    """What the page shows: a sample reader's copy with findings, or the faults that keep it from being made."""

    subject: str = ""
    preheader: str = ""
    copy: Sample | None = None
    findings: tuple[Finding, ...] = ()
    faults: tuple[str, ...] = ()


def in_light(html: str, *, dark: bool) -> str:
    """Return the html as a reader with a light or dark screen sees it, whatever the editor's own screen is set to."""
    return _DARK_QUERY.sub("@media all" if dark else "@media not all", html)


def fingerprint(files: Iterable[Path]) -> str:
    """Return a text that changes whenever one of the files is saved, appears or goes away."""
    state = hashlib.sha256()
    for path in sorted(files):
        try:
            stat = path.stat()
        except OSError:
            continue
        state.update(f"{path}\0{stat.st_mtime_ns}\0{stat.st_size}\n".encode())
    return state.hexdigest()[:16]


def open_preview(desk: Desk, reference: str | None) -> Flask:
    """Make the page for one issue of a project. Raises NewsletterError when there is no such issue."""
    path = folder.find(desk.project, reference)
    project = desk.project

    def draft() -> Draft:
        desk = open_desk(project.root)  # settings are read again: they may be the change
        checked = desk_issue.check(desk, str(path))
        edition = checked.edition
        return Draft(edition.subject, edition.preheader, desk_issue.sample(desk, edition), checked.findings)

    return make_app(Stage(draft, lambda: watched_files(project)), project)


class Stage:
    """What is shown at the moment; made anew only when one of the watched files changed."""

    def __init__(self, draft: Callable[[], Draft], watched: Callable[[], Iterable[Path]]) -> None:
        self._draft = draft
        self._watched = watched
        self._kept: tuple[str, Draft] | None = None

    def version(self) -> str:
        """Return what changes with every save."""
        return fingerprint(self._watched())

    def current(self) -> tuple[str, Draft]:
        """Return the version and what it looks like."""
        version = self.version()
        if self._kept is None or self._kept[0] != version:
            self._kept = (version, _guarded(self._draft))
        return self._kept


def make_app(stage: Stage, project: Project) -> Flask:
    """Make the page's WSGI application."""
    from flask import Flask, abort, request  # noqa: PLC0415 - only the preview needs a web server

    app = Flask(__name__)

    @app.before_request
    def refuse_other_hosts() -> None:
        if not _LOOPBACK.fullmatch(request.host):
            abort(403)

    _add_page(app, stage, project)
    _add_mail(app, stage, project)
    return app


def _add_page(app: Flask, stage: Stage, project: Project) -> None:
    page = themes.environment(project.templates, "studio").get_template("preview.html")

    @app.get("/")
    def show_page() -> ResponseReturnValue:
        version, shown = stage.current()
        return page.render(version=version, draft=shown)

    @app.get("/version")
    def show_version() -> ResponseReturnValue:
        return stage.version(), {"Cache-Control": "no-store"}


def _add_mail(app: Flask, stage: Stage, project: Project) -> None:
    from flask import abort, send_from_directory  # noqa: PLC0415 - only the preview needs a web server

    published = re.compile(rf'(<img\b[^>]*\bsrc="){re.escape(project.settings.url)}/archive/')

    @app.get("/email/<any(light,dark):light>")
    def show_email(light: str) -> ResponseReturnValue:
        copy = stage.current()[1].copy
        if copy is None:
            abort(404)
        html = published.sub(r"\1/pictures/", copy.html)  # not in the archive yet
        policy = {"Content-Security-Policy": "script-src 'none'; form-action 'none'"}
        return in_light(html, dark=light == "dark"), policy

    @app.get("/pictures/<path:name>")
    def show_picture(name: str) -> ResponseReturnValue:
        return send_from_directory(project.issues, name)


def _guarded(draft: Callable[[], Draft]) -> Draft:
    """Turn what keeps an issue from being made into lines on the page: the editor is in the middle of typing."""
    try:
        return draft()
    except NewsletterError as error:
        return Draft(faults=tuple(str(error).splitlines()))


def serve(app: WSGIApplication, port: int, ready: Callable[[str], None]) -> None:
    """Serve the page on loopback until Ctrl-C; `ready` is told the address. Port 0 takes any free one.

    Raises NewsletterError when the port is taken, or no port at all.
    """
    from waitress.server import create_server  # noqa: PLC0415 - only the preview needs a web server

    if not 0 <= port <= _LAST_PORT:
        raise NewsletterError(f"there is no port {port}; write one up to {_LAST_PORT}, or 0 for any free one")
    try:
        listener = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise NewsletterError(f"port {port} cannot be used: {reason}; choose another with --port") from None
    with listener:
        server = create_server(app, sockets=[listener], threads=4)
        ready(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        server.run()
