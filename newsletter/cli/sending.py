"""Commands that send: test, send, status."""

from __future__ import annotations

import click

COMMANDS: tuple[click.Command, ...] = ()
