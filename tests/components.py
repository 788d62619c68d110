"""Where the real components are that the tests talk to."""

from __future__ import annotations

import getpass
import os
import shutil
from pathlib import Path

import pytest

COMPONENTS = {
    "chromium": "/usr/bin/chromium",
    "opendkim": "/usr/sbin/opendkim",
    "openssl": "/usr/bin/openssl",
    "postgres": "/usr/lib/postgresql/*/bin/postgres",
    "smtp-sink": "/usr/sbin/smtp-sink",
    "strace": "/usr/bin/strace",
    "w3m": "/usr/bin/w3m",
}


def component(name: str) -> str:
    """Return the path of a real component, or skip with the command that installs it (fail with CI=true)."""
    found = shutil.which(name) or max(map(str, Path("/").glob(COMPONENTS[name][1:])), default="")
    if not found:
        message = f"{name} is not installed; 'sudo scripts/components' installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


def sink_user() -> tuple[str, ...]:
    """Return what smtp-sink must be told of its user: root must name one, and nobody else may."""
    return ("-u", getpass.getuser()) if os.geteuid() == 0 else ()
