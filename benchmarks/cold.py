"""Commands from a cold start, beside what importing premailer and requests costs by itself."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import bench


def main() -> None:
    quick = bench.quick(__doc__ or "")
    command = str(Path(sys.executable).with_name("newsletter"))
    with bench.sample_project() as root:
        build = [command, "build", bench.ISSUE, "-o", str(root / "build")]
        commands = {
            '`python -c "import premailer, requests"`': [sys.executable, "-c", "import premailer, requests"],
            "`newsletter --help`": [command, "--help"],
            "`newsletter check`": [command, "check", bench.ISSUE],
            "`newsletter build`": build,
            "`newsletter build`, templates not compiled yet": [
                command,
                "build",
                bench.ISSUE,
                "-o",
                str(root / "build"),
            ],
            "`python -c pass`": [sys.executable, "-c", "pass"],
        }
        jobs = [run(line, root, warm="not compiled" not in name) for name, line in commands.items()]
        for job in jobs:
            job()
        seconds = bench.by_turns(3 if quick else 15, *jobs)
    rows = [
        (name, f"{statistics.median(side) * 1000:.0f} ms", bench.ratio(side, seconds[0]))
        for name, side in zip(commands, seconds, strict=True)
    ]
    bench.table(("command", "median", "times the two imports"), rows)


def run(line: list[str], root: Path, *, warm: bool) -> Callable[[], None]:
    """Make a run of a command in the project, with a folder of its own for what the templates compile to."""
    cache = root / ("cache" if warm else "empty-cache")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(root), "XDG_CACHE_HOME": str(cache), "LC_ALL": "C.UTF-8"}

    def job() -> None:
        if not warm:
            shutil.rmtree(cache, ignore_errors=True)
        subprocess.run(line, cwd=root, env=environment, check=True, capture_output=True)

    return job


if __name__ == "__main__":
    main()
