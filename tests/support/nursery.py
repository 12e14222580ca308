"""`warren` processes for tests: each forked from one that has imported the program already.

To import it takes an interpreter more than a second; a fork has it at once. In all else it is the
process that `python -m engine.cli` would have been: its own folder, environment and output. Where the
system or the environment asked for does not allow that, and with WARREN_TEST_COLD set, an interpreter
is started anew.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).parents[2]
#: Variables that an interpreter reads when it starts, by how their names begin.
_AT_START = ("PYTHON", "LC_", "LANG", "TYPER_", "LD_")


class Process(Protocol):
    """A process that was started; `subprocess.Popen` is one."""

    pid: int

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; raises `subprocess.TimeoutExpired`."""

    def send_signal(self, number: int, /) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


def start_warren(
    arguments: Sequence[str], *, folder: Path, environ: Mapping[str, str], stdin: int, stdout: int, stderr: int
) -> Process:
    """Start `warren` with these arguments in a folder; the last three are file descriptors."""
    if sys.platform == "linux" and not os.environ.get("WARREN_TEST_COLD"):
        nursery = Nursery.shared()
        if nursery.fits(environ):
            return nursery.start(arguments, folder, environ, (stdin, stdout, stderr))
    command = [sys.executable, "-m", "engine.cli", *arguments]
    return subprocess.Popen(command, cwd=folder, env=dict(environ), stdin=stdin, stdout=stdout, stderr=stderr)


class Nursery:
    """The process that forks, and our end of the line to it. It ends with us, and its children with it."""

    _shared: Nursery | None = None
    _lock = threading.Lock()

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._environ = {name: value for name, value in os.environ.items() if not name.startswith("WARREN_")}
        self._environ |= {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.nursery_main", str(theirs.fileno())],
                cwd=ROOT,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )
        self._line = ours
        atexit.register(self.close)

    def close(self) -> None:
        """End it, and what it forked."""
        self._line.close()
        self._process.wait(10)

    @classmethod
    def shared(cls) -> Nursery:
        """The one of this process."""
        with cls._lock:
            if cls._shared is None or cls._shared._owner != os.getpid() or cls._shared._process.poll() is not None:
                cls._shared = cls()
            return cls._shared

    def fits(self, environ: Mapping[str, str]) -> bool:
        """Whether an interpreter with this environment would have started as this one did."""

        def at_start(variables: Mapping[str, str]) -> dict[str, str]:
            return {name: value for name, value in variables.items() if name.startswith(_AT_START)}

        return at_start(environ) == at_start(self._environ)

    def start(
        self, arguments: Sequence[str], folder: Path, environ: Mapping[str, str], standard: Sequence[int]
    ) -> Fork:
        """Fork one with these as stdin, stdout and stderr."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, contextlib.ExitStack() as opened:
            numbers = [*(_number(each, opened) for each in standard), theirs.fileno()]
            wish = json.dumps({"arguments": list(arguments), "folder": str(folder), "environ": dict(environ)})
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", numbers))]
            self._line.sendmsg([wish.encode()], rights)
        return Fork(ours)


def _number(standard: int, opened: contextlib.ExitStack) -> int:
    if standard == subprocess.DEVNULL:
        return opened.enter_context(Path(os.devnull).open("r+b")).fileno()
    return standard


class Fork:
    """A process that the nursery forked. Its end is told on a socket: first the pid, then the exit code."""

    def __init__(self, told: socket.socket) -> None:
        self._told = told
        weakref.finalize(self, told.close)
        self.pid = int(told.recv(32))

    def poll(self) -> int | None:
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"warren ({self.pid})", timeout or 0)
        return code

    def send_signal(self, number: int, /) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout: float | None) -> int | None:
        """The exit code, left where it is: any thread may look again."""
        readable, _, _ = select.select([self._told], [], [], timeout)
        return int(self._told.recv(32, socket.MSG_PEEK)) if readable else None
