"""A private PostgreSQL server, and a database of its own for each test."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGCONT, SIGINT, SIGSTOP

import psycopg

from tests.support.process import ServerProcess, free_port

#: Seconds; a server starts in under one.
START_TIMEOUT = 30.0


class PostgresServer:
    """A PostgreSQL server on 127.0.0.1 that trusts everybody, its data in `folder`/data.

    It does not wait for the disk: that costs time and only a power cut would show the difference,
    a kill -9 does not. PostgreSQL refuses to run as root, so root runs it as another user, who
    must be able to pass through `folder` and those above it.
    """

    def __init__(self, folder: Path, *, owner: int | None = None) -> None:
        programs = find_programs()
        if programs is None:
            raise FileNotFoundError("no PostgreSQL server on this machine")
        self._programs = programs
        self._folder = folder
        self._data = folder / "data"
        self._owner = owner
        self._as_user = _other_user()
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self._server: ServerProcess | None = None

    @property
    def pids(self) -> list[int]:
        """The server's process group, while it runs."""
        return [] if self._server is None else [self._server.pid]

    def start(self) -> float:
        """Start the server, making its data first where there are none; the seconds that took."""
        began = time.monotonic()
        if not self._data.exists():
            self._initialize()
        options = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": "200",
        }
        argv = [str(self._programs / "postgres"), "-D", str(self._data)]
        argv += [f"--{name}={value}" for name, value in options.items()]
        self._server = ServerProcess(
            [*self._as_user, *argv], environ=_environ(), log=self._folder / "server.log", owner=self._owner
        )
        while not self._answers():
            if not self._server.running():
                raise RuntimeError(f"PostgreSQL did not start:\n{self._server.output()}")
            if time.monotonic() - began > START_TIMEOUT:
                self.kill()
                raise RuntimeError(f"PostgreSQL did not answer within {START_TIMEOUT:.0f} s:\n{self._server.output()}")
            time.sleep(0.05)
        return time.monotonic() - began

    def kill(self) -> None:
        """End the server with SIGKILL; its data stay."""
        if self._server is not None:
            self._server.kill()

    def stop(self) -> None:
        """End the server in good order; its data stay."""
        if self._server is not None:
            self._server.stop(SIGINT)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop all its processes where they are: connections stay open, and nobody answers."""
        (postmaster,) = self.pids
        os.kill(postmaster, SIGSTOP)  # first, so that it starts no more
        found = subprocess.run(["pgrep", "-P", str(postmaster)], capture_output=True, text=True, check=True)
        stopped = [*map(int, found.stdout.split()), postmaster]
        for pid in stopped:
            os.kill(pid, SIGSTOP)
        try:
            yield
        finally:
            for pid in stopped:
                with suppress(ProcessLookupError):
                    os.kill(pid, SIGCONT)

    def _initialize(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._data.mkdir(mode=0o700)
        if self._as_user:
            user = pwd.getpwnam(_server_user())
            os.chown(self._data, user.pw_uid, user.pw_gid)
        argv = [str(self._programs / "initdb"), "-D", str(self._data), "-U", "postgres"]
        argv += ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        done = subprocess.run(
            [*self._as_user, *argv], env=_environ(), cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """The URL of a new, empty database on the server at `server_url`, dropped at the end."""
    name = f"warren_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    try:
        yield _with_database(server_url, name)
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())


def find_programs() -> Path | None:
    """The folder that holds `initdb` and `postgres`, or None; the newest where there are several."""
    folders: list[Path] = []
    pg_config = shutil.which("pg_config")
    if pg_config is not None:
        answer = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)
        folders.append(Path(answer.stdout.strip() or "."))
    initdb = shutil.which("initdb")
    if initdb is not None:
        folders.append(Path(initdb).parent)
    for root in ("/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"):
        folders += sorted(Path(root).glob("*/bin"), key=_version, reverse=True)
    return next(
        (folder for folder in folders if (folder / "initdb").is_file() and (folder / "postgres").is_file()), None
    )


def _version(programs: Path) -> int:
    digits = "".join(sign for sign in programs.parent.name if sign.isdigit())
    return int(digits or 0)


def _other_user() -> list[str]:
    """What to put before a command so that root does not run it."""
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam(_server_user())
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]


def _server_user() -> str:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise RuntimeError("PostgreSQL does not run as root, and there is no user postgres or nobody")


def _environ() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _with_database(server_url: str, name: str) -> str:
    base, question, options = server_url.partition("?")
    scheme, _, rest = base.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}/{name}{question}{options}"
