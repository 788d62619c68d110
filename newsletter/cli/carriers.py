"""The command that compares carriers: providers."""

from __future__ import annotations

import click

from newsletter.cli.base import Command
from newsletter.cli.readers import FORMAT
from newsletter.cli.show import as_json, columns, size

HEADER = ("carrier", "readers/request", "size", "against a second copy", "asked later", "webhooks", "at once", "rate")


@click.command(cls=Command)
@FORMAT
def providers(style: str) -> None:
    """Show who can carry the mail, and what each one offers.

    How many readers and bytes fit into a request, what keeps a second copy from arriving when an answer was lost,
    whether the carrier can be asked who has it, how its reports of bounces are told from forged ones, and how many
    requests go out at once and in a second unless the settings say otherwise.
    """
    from newsletter.desk.carriers import carriers  # noqa: PLC0415 - --help must not pay for what a command needs

    found = carriers()
    if style == "json":
        click.echo(as_json(found))
        return
    rows = (
        (
            one["name"],
            f"{one['readers']:,}",
            size(one["bytes"]) if one["bytes"] else "-",
            one["guard"],
            "yes" if one["lookup"] else "no",
            one["webhooks"],
            one["connections"],
            f"{one['rate']:g}/s" if one["rate"] else "-",
        )
        for one in found
    )
    click.echo(columns(rows, HEADER))


COMMANDS: tuple[click.Command, ...] = (providers,)
