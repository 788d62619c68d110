"""What all commands share: the option --project, their order, and how errors end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from newsletter.errors import NewsletterError


class Command(click.Command):
    """A command that takes --project, as the whole program does, on whichever side of its name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(
                ["--project"],
                type=click.Path(file_okay=False, path_type=Path),
                metavar="DIR",
                expose_value=False,
                callback=remember_project,
                help="The project's folder, when you are not inside it.",
            )
        )


class Group(click.Group):
    """A group whose commands are listed in the order of a week's work."""

    command_class = Command
    group_class = type

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands in the order they were written down."""
        del ctx
        return list(self.commands)


class Program(Group):
    """The whole program: every error raised on purpose ends as its one line and its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. Errors that are nobody's purpose keep their traceback, for the bug report."""
        try:
            return super().invoke(ctx)
        except NewsletterError as error:
            end(ctx, error)
        except OSError as error:
            end(ctx, _explain_system(error))


def end(ctx: click.Context, error: NewsletterError) -> None:
    """Say an error's lines on stderr and leave with its exit code."""
    click.echo(str(error), err=True)
    ctx.exit(error.exit_code)


def _explain_system(error: OSError) -> NewsletterError:
    if isinstance(error, BrokenPipeError):
        raise error
    place = f"{_named(error.filename)}: " if error.filename else ""
    return NewsletterError(f"{place}{error.strerror or error}; nothing more was written")


def _named(file: object) -> str:
    """Name what the system could not open, as the editor would; an open file may be named by a number."""
    from newsletter.source import display  # noqa: PLC0415 - --help must not pay for what an error needs

    try:
        return display(Path(file)) if isinstance(file, str) else str(file)
    except OSError:  # the folder we are in is gone
        return str(file)


def remember_project(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    """Keep what --project says, wherever on the line it stood."""
    del param
    if value is not None:
        ctx.find_root().obj = value


def project_folder() -> Path:
    """Return where to look for the project from: --project, or the folder we are in."""
    chosen = click.get_current_context().find_root().obj
    return chosen if isinstance(chosen, Path) else Path.cwd()


def complete_issue(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the names of the project's issues to the shell, newest first; nothing where there is no project."""
    del ctx, param
    from newsletter import config  # noqa: PLC0415 - only the shell's completion asks

    try:
        root = config.find(Path.cwd())
    except NewsletterError:
        return []
    names = sorted((path.stem for path in (root / "issues").glob("*.yaml")), reverse=True)
    return [name for name in names if name.startswith(incomplete) and "." not in name]


ISSUE = click.argument("issue", required=False, shell_complete=complete_issue)
