"""A throw-away PostgreSQL server: real, durable, and easy to kill."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
from psycopg import sql

ROLE = "keeper"  # the superuser of the cluster; roles with fewer rights are for the tests to make
PATIENCE = 60.0  # seconds for what takes one or two

# Only what keeps it small is turned down; fsync and the like stay as they are, for durability is tested.
SETTINGS = {"max_connections": "60", "shared_buffers": "32MB", "max_wal_senders": "0", "wal_level": "minimal"}


THROW_OUT = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
EMPTY = """
DO $$
DECLARE name text;
BEGIN
    SET LOCAL session_replication_role = replica;  -- no trigger, no foreign key
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
        EXECUTE format('DELETE FROM %I', name);
    END LOOP;
    PERFORM setval(format('%I', sequencename), 1, false) FROM pg_sequences WHERE schemaname = 'public';
END $$
"""


class Cluster:
    """A server with a folder of its own, on a Unix socket in it and a port of 127.0.0.1; it dies with its maker.

    `lent` is a database without readers, made once and emptied after each test; `url` makes one that is really new,
    which takes a fifth of a second. PostgreSQL refuses to run as root, so root starts it as `postgres`.
    """

    def __init__(self, program: str) -> None:
        self._program = program
        self._numbers = itertools.count(1)
        self._free: list[str] = []
        self.folder = Path(tempfile.mkdtemp(prefix="newsletter-pg-"))
        self.port = _free_port()
        self._as_user: Sequence[str] = ()
        if os.geteuid() == 0:
            user = next(name for name in ("postgres", "nobody") if _is_known(name))
            shutil.chown(self.folder, user, pwd.getpwnam(user).pw_gid)
            self._as_user = (f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups")
        initdb = str(Path(program).with_name("initdb"))
        told = ("-U", ROLE, "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")
        self._run(initdb, "-D", str(self.data), *told)
        # Whoever is called "locked" needs a password, so that tests can see what happens without.
        entries = (self.data / "pg_hba.conf").read_text()
        (self.data / "pg_hba.conf").write_text(
            f"local all locked scram-sha-256\nhost all locked 127.0.0.1/32 scram-sha-256\n{entries}"
        )
        self._server: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def url(self, template: str = "template1", role: str = ROLE) -> str:
        """Make a database, empty or a copy of another one, and return its address."""
        name = f"news{next(self._numbers)}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self.do(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return self.address(name, role)

    @contextlib.contextmanager
    def lent(self) -> Iterator[str]:
        """Lend a database of ours. It must not come back with other tables or triggers than it went."""
        url = self._free.pop() if self._free else self.url()
        yield url
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(THROW_OUT)
            connection.execute(EMPTY)
        self._free.append(url)

    def address(self, name: str, role: str = ROLE) -> str:
        """Return the address of a database by way of the socket."""
        return f"postgresql://{role}@:{self.port}/{name}?host={self.folder}"

    def by_port(self, name: str, role: str = ROLE) -> str:
        """Return the address of a database by way of the port."""
        return f"postgresql://{role}@127.0.0.1:{self.port}/{name}"

    def drop(self, url: str) -> None:
        """Delete a database, with whoever is still in it."""
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        self.do(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(str(name))))

    def do(self, statement: str | sql.Composable) -> None:
        """Run one statement as the superuser, outside of any transaction."""
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[arg-type]

    def start(self) -> None:
        """Start the server, also after a kill, and wait until it answers."""
        give_up = time.monotonic() + PATIENCE
        while True:
            options = {**SETTINGS, "listen_addresses": "127.0.0.1", "unix_socket_directories": str(self.folder)}
            told = [f"--{name}={value}" for name, value in options.items()]
            # The kernel ends it when this process dies, however that happens.
            command = ("setpriv", "--pdeathsig=INT", *self._as_user, self._program, "-D", str(self.data))
            with (self.folder / "log").open("ab") as log:
                self._server = subprocess.Popen(
                    [*command, "-p", str(self.port), *told], stdout=log, stderr=log, stdin=subprocess.DEVNULL
                )
            if self._answers(give_up):
                return
            if time.monotonic() > give_up:
                raise RuntimeError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.1)  # processes of a killed server may still be ending

    def _answers(self, give_up: float) -> bool:
        """Wait until the server answers (True) or has ended."""
        while self._server and self._server.poll() is None and time.monotonic() < give_up:
            try:
                psycopg.connect(self.address("postgres")).close()
            except psycopg.OperationalError:
                time.sleep(0.02)
            else:
                return True
        return False

    def stop(self, by: signal.Signals = signal.SIGINT) -> None:
        """End the server: everybody is thrown out, what was committed is kept. SIGKILL leaves it no time for either."""
        if self._server:
            self._server.send_signal(by)
            self._server.wait(PATIENCE)
            self._server = None

    def kill(self) -> None:
        """End it as a power cut would, but for what the machine keeps in memory."""
        self.stop(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start, as an upgrade does."""
        self.stop()
        self.start()

    def remove(self) -> None:
        """Stop it and delete its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            ["setpriv", "--pdeathsig=INT", *self._as_user, *command], capture_output=True, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr.decode())


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


def _is_known(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
