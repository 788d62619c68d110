"""The command `newsletter`, put together from its rooms' commands."""

from __future__ import annotations

from pathlib import Path

import click

from newsletter import __version__
from newsletter.cli import carriers, composing, databases, doctoring, mailings, readers, scheduling, sending, working
from newsletter.cli.base import Program, remember_project


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="newsletter")
@click.option(
    "--project",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    expose_value=False,
    callback=remember_project,
    is_eager=True,
    help="The project's folder, when you are not inside it.",
)
def main() -> None:
    """Write, check, send and keep a newsletter of country updates.

    One YAML file in issues/ is one issue. ISSUE below is its name, such as 2016-04-22, or its path; left out, the
    newest issue is meant. Commands work from any folder of the project.

    A week's work: new, check, preview, test, send, archive build.
    """


_SENDING = (*sending.COMMANDS, *mailings.COMMANDS, *scheduling.COMMANDS, *working.COMMANDS)
_KEEPING = (readers.subscribers, databases.database, *carriers.COMMANDS, *doctoring.COMMANDS)

for _command in (*composing.COMMANDS, *_SENDING, *_KEEPING, *composing.REFERENCE):
    main.add_command(_command)
