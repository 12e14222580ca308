"""A server process of the test bed that never outlives the test run."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

#: Ends the process group $2 as soon as the process $1 is gone, however it went.
_GUARD = 'while kill -s 0 "$1" && kill -s 0 -- "-$2"; do sleep 1; done; kill -s KILL -- "-$2"'


class ServerProcess:
    """A program in a process group of its own, with its output in a log file.

    `owner` is the process whose end also ends the server, even if that is a kill -9.
    """

    def __init__(self, argv: Sequence[str], *, environ: Mapping[str, str], log: Path, owner: int | None = None) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                argv,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._process.pid
        self._guard = subprocess.Popen(
            ["sh", "-c", _GUARD, "guard", str(owner or os.getpid()), str(self.pid)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """Send SIGKILL to the whole group."""
        self._end(signal.SIGKILL, seconds=10)

    def stop(self, sign: signal.Signals = signal.SIGTERM, seconds: float = 15) -> None:
        """Ask the program to end; kill it where that takes longer than `seconds`."""
        self._end(sign, seconds)

    def _end(self, sign: signal.Signals, seconds: float) -> None:
        if self.running():
            _send(self.pid, sign)
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
        end_group(self.pid)
        self._process.wait()
        self._guard.kill()
        self._guard.wait()

    def output(self, lines: int = 20) -> str:
        """The last lines that the program wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def end_group(pid: int) -> None:
    """Kill what is left of the process group `pid`."""
    _send(pid, signal.SIGKILL)


def _send(group: int, sign: signal.Signals) -> None:
    try:
        os.killpg(group, sign)
    except (ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        pass


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at this moment.

    From below the range that systems give to outgoing connections, so that no client takes it
    while its server is down between a kill and a restart.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
