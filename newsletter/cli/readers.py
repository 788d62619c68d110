"""Commands for the readers' book: add, import, export, list, show, remove."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from newsletter.cli.base import Group, project_folder
from newsletter.cli.show import as_json, columns, counted

LIST = click.option(
    "--list", "list_name", metavar="NAME", help="The list; by default the first one in newsletter.yaml."
)
ANY_LIST = click.option("--list", "list_name", metavar="NAME", help="Only this list.")
STATUSES = ("pending", "active", "left", "bounced", "complained")
STATUS = click.option("--status", type=click.Choice(STATUSES), help="Only readers who have this status.")
FORMAT = click.option(
    "--format", "style", type=click.Choice(["text", "json"]), default="text", help="How the answer is written."
)
CONSENT = click.option(
    "--consent", required=True, metavar="TEXT", help="Where they agreed to get the newsletter, and when."
)
DRY_RUN = click.option("--dry-run", is_flag=True, help="Say what would happen and write nothing.")


@click.group(cls=Group)
def subscribers() -> None:
    """The readers: who is on which list, and what they follow."""


@subscribers.command()
@click.argument("address")
@LIST
@CONSENT
@click.option("--name", default="", help="The reader's name.")
@click.option("--language", default="", metavar="TAG", help="Their language, such as en or fr.")
@click.option("--timezone", default="", metavar="ZONE", help="Where they live, such as America/New_York.")
@click.option(
    "--follows", metavar="NAMES", help="Countries or regions they follow, separated by ';'. Left out: everything."
)
@DRY_RUN
@FORMAT
def add(  # noqa: PLR0913 - one argument for each thing that is known of a reader
    *,
    address: str,
    list_name: str | None,
    consent: str,
    name: str,
    language: str,
    timezone: str,
    follows: str | None,
    dry_run: bool,
    style: str,
) -> None:
    """Put one reader on a list.

    Somebody who left comes back this way, because you vouch for new consent; by import they never do.
    """
    from newsletter.desk import readers  # noqa: PLC0415 - --help must not pay for what a command needs

    person = {"name": name, "language": language, "timezone": timezone}
    with readers.open_readers(project_folder()) as room:
        added = room.add(address, list_name, consent, **person, follows=follows, dry_run=dry_run)
    if style == "json":
        click.echo(as_json(added.entry.summary()))
        return
    for hint in added.hints:
        click.echo(hint, err=True)
    would = "would be " if dry_run else ""
    click.echo(f"{added.entry.reader.address}: {would}{added.change}")


@subscribers.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@LIST
@CONSENT
@DRY_RUN
@FORMAT
def import_(file: Path, list_name: str | None, consent: str, dry_run: bool, style: str) -> None:
    """Take readers in from a CSV file.

    The first line names the columns: email, and optionally name, language, timezone and follows (names or codes,
    separated by ';'). Every line with something to say about it is reported. One line that cannot be right, and nothing
    of the file is written. Somebody who left never comes back by import.
    """
    from newsletter.desk import readers  # noqa: PLC0415

    with readers.open_readers(project_folder()) as room:
        report = room.import_file(file, list_name, consent, dry_run=dry_run)
    if style == "json":
        click.echo(as_json(readers.report_record(report)))
    else:
        for one in report.remarks:
            click.echo(f"{report.file}:{one.line}: {one.level}: {one.message}", err=one.level == "error")
        click.echo(readers.report_sentence(report, dry_run=dry_run))
    if report.faults:
        click.get_current_context().exit(2)


@subscribers.command()
@ANY_LIST
@STATUS
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where to; by default the terminal.",
)
def export(list_name: str | None, status: str | None, out: Path | None) -> None:
    """Write readers as CSV that is safe in a spreadsheet.

    Cells that a spreadsheet would take for a formula begin with an apostrophe; an import takes it away again.
    """
    from newsletter.desk import readers  # noqa: PLC0415

    with readers.open_readers(project_folder()) as room:
        count = room.export(list_name, status, out or sys.stdout)
    if out:
        click.echo(f"{counted(count, 'reader')} written to {out}; it holds addresses: delete it when it has served")


@subscribers.command("list")
@ANY_LIST
@STATUS
@FORMAT
def list_(list_name: str | None, status: str | None, style: str) -> None:
    """List the readers."""
    from newsletter.desk import readers  # noqa: PLC0415

    with readers.open_readers(project_folder()) as room:
        found = room.summaries(list_name, status)
    if style == "json":
        click.echo(as_json(found))
        return
    rows = (
        (
            one["id"],
            one["address"],
            one["name"],
            one["status"],
            " ".join(one["lists"]),
            " ".join(one["follows"]) or "everything",
        )
        for one in found
    )
    if found:
        click.echo(columns(rows, ("id", "address", "name", "status", "lists", "follows")))
    click.echo(counted(len(found), "reader"))


@subscribers.command()
@click.argument("who", metavar="ADDRESS|ID")
@FORMAT
def show(who: str, style: str) -> None:
    """Show everything the book knows of one reader."""
    from newsletter.desk import readers  # noqa: PLC0415

    with readers.open_readers(project_folder()) as room:
        entry = room.show(who)
        click.echo(as_json(entry.summary()) if style == "json" else room.describe(entry))


@subscribers.command()
@click.argument("who", metavar="ADDRESS|ID")
@ANY_LIST
@DRY_RUN
def remove(who: str, list_name: str | None, dry_run: bool) -> None:
    """Take a reader off a list, or out of the book for good.

    With --list they leave that list. Without, every trace of them is erased but a keyed hash, which keeps the address
    from being mailed again by an old import.
    """
    from newsletter.desk import readers  # noqa: PLC0415

    with readers.open_readers(project_folder()) as room:
        click.echo(room.remove(who, list_name, dry_run=dry_run))
