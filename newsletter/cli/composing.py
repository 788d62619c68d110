"""Commands for writing an issue and looking at it: init, new, check, build, preview, archive, countries, schema."""

from __future__ import annotations

import datetime as dt
import shlex
from pathlib import Path

import click

from newsletter.cli.base import ISSUE, Command, Group, project_folder
from newsletter.cli.show import as_json, columns, counted, display, say_findings, size
from newsletter.errors import FaultsError


@click.command(cls=Command)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
def init(folder: Path) -> None:
    """Make a new project folder with a first issue.

    Nothing that is already in DIR is overwritten.
    """
    from newsletter.desk import project  # noqa: PLC0415 - --help must not pay for what a command needs

    made = project.init(folder, project.today())
    for path in made:
        click.echo(f"made {path}")
    there = "" if folder.resolve() == Path.cwd() else f"  cd {shlex.quote(str(folder))}\n"
    click.echo(f"\nNext: edit {made[0]}, then\n{there}  newsletter check\n  newsletter preview")


@click.command(cls=Command)
@click.option(
    "--date",
    "day",
    metavar="DATE",
    help="Any day of the week it is about, as 2016-04-29; by default the week after the last issue's.",
)
def new(day: str | None) -> None:
    """Start the next issue from a skeleton with comments.

    The period and the number follow the issue before it.
    """
    from newsletter.desk import project  # noqa: PLC0415

    path = project.new_issue(project.open_desk(project_folder()), _day(day) if day else None)
    click.echo(f"made {display(path)}\nNext: edit it, then 'newsletter check' and 'newsletter preview'")


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"'{text}' is not a date; write it as 2016-04-29", param_hint="--date") from None


@click.command(cls=Command)
@ISSUE
@click.option(
    "--format", "style", type=click.Choice(["text", "json"]), default="text", help="How findings are written."
)
@click.option(
    "--accept", metavar="CODE", help="Accept the warnings of this code as they stand; recorded beside the issue."
)
@click.option("--by", metavar="NAME", help="Who accepts them.")
def check(issue: str | None, style: str, accept: str | None, by: str | None) -> None:
    """Look an issue over before it is sent.

    Findings have three levels: block (send refuses), warn (an editor decides), info. Exit code 1 when something blocks,
    2 when the issue cannot be read; as JSON its faults are findings of the code 'fault'.
    """
    from newsletter.desk import issue as desk  # noqa: PLC0415
    from newsletter.desk.project import open_desk  # noqa: PLC0415

    if bool(accept) != bool(by):
        raise click.UsageError("--accept CODE and --by NAME belong together: a name stands behind every acceptance")
    work = open_desk(project_folder())
    if accept and by:
        click.echo(f"recorded in {desk.accept(work, issue, accept, by)}", err=True)
    try:
        checked = desk.check(work, issue)
    except FaultsError as error:
        if style == "json":
            click.echo(as_json([desk.fault_record(fault) for fault in error.faults]))
        raise
    if style == "json":
        click.echo(as_json([desk.finding_record(finding) for finding in checked.findings]))
    else:
        say_findings(checked.file.file, checked.findings)
    if checked.blocks:
        click.get_current_context().exit(1)


@click.command(cls=Command)
@ISSUE
@click.option(
    "-o", "--out", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Where to; by default build/."
)
def build(issue: str | None, out: Path | None) -> None:
    """Make the mail: HTML, text and a sample reader's copy.

    They are written to DIR/<issue>/ as email.html, email.txt and message.eml, and a line says how large each is and how
    long it took.
    """
    from newsletter.desk import issue as desk  # noqa: PLC0415
    from newsletter.desk.project import open_desk  # noqa: PLC0415

    built = desk.build(open_desk(project_folder()), issue, out)
    for path in built.paths:
        click.echo(f"{display(path)}  {size(path.stat().st_size)}")
    click.echo(
        f"{counted(built.subjects, 'subject')}, {counted(built.updates, 'update')}; "
        f"read in {built.load_seconds * 1000:.0f} ms, set in {built.edition_seconds * 1000:.0f} ms"
    )


@click.command(cls=Command)
@ISSUE
@click.option("--port", default=8000, show_default=True, help="Port on this machine; 0 takes any free one.")
@click.option("--browser/--no-browser", default=False, help="Open the page in your browser.")
def preview(issue: str | None, port: int, browser: bool) -> None:
    """Show the issue as readers will see it, and follow every save.

    A page on this machine only: desktop and phone width, light and dark, and the text part. Ctrl-C ends it.
    """
    from newsletter.desk.project import open_desk  # noqa: PLC0415
    from newsletter.studio import preview as studio  # noqa: PLC0415

    def ready(address: str) -> None:
        click.echo(f"The preview is at {address} (Ctrl-C ends it)")
        if browser:
            click.launch(address)

    studio.serve(studio.open_preview(open_desk(project_folder()), issue), port, ready)


@click.group(cls=Group)
def archive() -> None:
    """The public archive of all issues."""


@archive.command("build")
@click.option(
    "-o",
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where to; by default public/archive/.",
)
def archive_build(out: Path | None) -> None:
    """Build the archive: an index by year, a page per issue and per country, an Atom feed.

    Plain files without JavaScript. Only pages whose sources changed are written again. Every issue in issues/ gets its
    page; one whose day is still to come is named, since it may be unfinished.
    """
    from newsletter.desk import keeping  # noqa: PLC0415
    from newsletter.desk.project import open_desk, today  # noqa: PLC0415

    desk = open_desk(project_folder())
    target = out or keeping.archive_folder(desk)
    report, to_come = keeping.build_archive(desk, target, today())
    click.echo(f"{display(target / 'index.html')}: {report}")
    for file in to_come:
        click.echo(f"{file.file}: its day, {file.published}, is still to come, but its page is made", err=True)


@click.command(cls=Command)
@click.argument("name", required=False, nargs=-1)
@click.option(
    "--format", "style", type=click.Choice(["text", "json"]), default="text", help="How the answer is written."
)
def countries(name: tuple[str, ...], style: str) -> None:
    """Say what a country's name means.

    Its heading and label, its region, what else it is called, and its names in six languages.
    Without a NAME, list every country, part of a country, declared subject and region. Exit code 1 for an unknown name.
    """
    from newsletter.desk import places  # noqa: PLC0415

    table = places.country_table(project_folder())
    asked = " ".join(name)
    found = places.named(table, asked)
    if not found:
        click.echo(table.fault(asked), err=True)
        click.get_current_context().exit(1)
    if style == "json":
        click.echo(as_json([places.record(place) for place in found]))
    elif asked:
        click.echo("\n\n".join(places.describe(table, place) for place in found))
    else:
        click.echo(columns(((p.key, p.kind, p.heading, p.label) for p in found), ("key", "kind", "heading", "label")))


@click.command(cls=Command)
def schema() -> None:
    """Print the JSON Schema of the issue file.

    An editor's YAML plug-in completes keys with it and underlines mistakes while you type; docs/issue-file.md says how.
    """
    from newsletter.issue.schema import json_schema  # noqa: PLC0415

    click.echo(as_json(json_schema()))


COMMANDS: tuple[click.Command, ...] = (init, new, check, build, preview)
REFERENCE: tuple[click.Command, ...] = (archive, countries, schema)
