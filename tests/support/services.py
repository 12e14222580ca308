"""RabbitMQ and PostgreSQL for a whole test run: started once, by whoever needs them first.

The process that runs pytest (with pytest-xdist: the one that commands the others) owns a folder.
Whoever needs a server takes a lock there, starts it if nobody has, and leaves a note of its address
and its processes; the owner ends them when the run ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import postgres, rabbit
from tests.support.process import end_group

Server = rabbit.RabbitNode | postgres.PostgresServer


@dataclass(frozen=True)
class Service:
    """A server that tests need, and how a person gets it."""

    name: str
    #: Environment variable with the URL of a running one.
    variable: str
    #: What to install by hand.
    packages: str

    @property
    def given(self) -> str | None:
        """The URL of a running one, if the environment names it."""
        return os.environ.get(self.variable) or None

    @property
    def here(self) -> bool:
        """Whether the test bed can start one of its own."""
        if self is RABBITMQ:
            return rabbit.find_server() is not None
        return postgres.find_programs() is not None

    @property
    def reason(self) -> str:
        """How a test that is left out says why; the summary counts by it."""
        return f"{self.name} is not here"

    def require(self, *, private: bool = False) -> None:
        """Skip the test where this service can't be had; with CI set, fail it.

        With `private` a running one is no help: the test wants to kill it.
        """
        if self.here or (self.given and not private):
            return
        if os.environ.get("CI") in {"true", "1"}:
            pytest.fail(f"{self.reason}, and a build must not pass without it. {self.advice}", pytrace=False)
        pytest.skip(self.reason)

    @property
    def advice(self) -> str:
        return (
            f"To run them: WARREN_INSTALL=1 make test (as root on Debian or Ubuntu), "
            f"or install it ({self.packages}), or set {self.variable}."
        )


RABBITMQ = Service("RabbitMQ", "WARREN_TEST_AMQP_URL", "apt install rabbitmq-server, brew install rabbitmq")
POSTGRES = Service("PostgreSQL", "WARREN_TEST_POSTGRES_URL", "apt install postgresql, brew install postgresql")
SERVICES = (RABBITMQ, POSTGRES)


#: Before the number of the process that owns the folder.
_PREFIX = "warren-test-"


class SharedServers:
    """The servers of one test run, found through a folder that all its processes know."""

    def __init__(self, folder: Path, owner: int) -> None:
        self.folder = folder
        self.owner = owner
        self._started: list[Server] = []

    @classmethod
    def create(cls) -> SharedServers:
        """A new folder, owned by this process; those of runs that were killed are removed."""
        _sweep(Path(tempfile.gettempdir()))
        folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        folder.chmod(0o711)  # the user that PostgreSQL runs as passes through
        return cls(folder, os.getpid())

    def url(self, service: Service) -> str:
        """The URL of the run's server of this kind, which is started if need be."""
        if service.given:
            return service.given
        with self._lock(service.name):
            note = self.folder / f"{service.name}.json"
            if not note.exists():
                server = self._server(service)
                server.start()
                self._started.append(server)
                note.write_text(json.dumps({"url": server.url, "pids": server.pids}))
            url: str = json.loads(note.read_text())["url"]
            return url

    def close(self) -> None:
        """End the servers and remove their data, which are of no more use: nobody waits for a clean end."""
        for server in self._started:
            server.kill()
        for note in self.folder.glob("*.json"):
            pids: list[int] = json.loads(note.read_text())["pids"]
            for pid in pids:
                end_group(pid)
        for _ in range(50):  # a dying server may still write
            shutil.rmtree(self.folder, ignore_errors=True)
            if not self.folder.exists():
                break
            time.sleep(0.05)

    def _server(self, service: Service) -> Server:
        folder = self.folder / service.name.lower()
        if service is RABBITMQ:
            return rabbit.RabbitNode(folder, owner=self.owner)
        return postgres.PostgresServer(folder, owner=self.owner)

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        with (self.folder / f"{name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _sweep(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*-*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        try:
            os.kill(int(owner), 0)  # 0: only asks whether it is there
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except (ValueError, PermissionError):
            continue
