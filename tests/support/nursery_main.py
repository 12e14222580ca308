"""The process that forks `warren` processes: see `tests.support.nursery`."""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: What is imported late by the program, or by a library beneath it.
LATE = (
    "alembic.command",
    "alembic.runtime.migration",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.aiosqlite",
)
#: Packages of ours that a worker or an operator's call does without.
LEFT_OUT = ("engine.testing", "engine.cli.demo", "engine.storage.migrations", "engine.cli.__main__")


def load() -> None:
    """Import all that a `warren` process may need."""
    import engine

    found = [each.name for each in pkgutil.walk_packages(engine.__path__, "engine.") if _wanted(each.name)]
    for name in (*found, *LATE):
        with contextlib.suppress(Exception):  # who needs it will hear what is wrong with it
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # collections in the children touch none of it


def _wanted(name: str) -> bool:
    return not any(name == each or name.startswith(f"{each}.") for each in LEFT_OUT)


class Parent:
    """Forks as it is told on `line`, and tells of each child how it ended, until the line ends."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._watched = selectors.DefaultSelector()
        self._watched.register(line, selectors.EVENT_READ, self._hear)
        self._children: dict[int, tuple[int, socket.socket]] = {}

    def serve(self) -> Callable[[], object] | None:
        """What a child has to do, in that child; None in the parent, when it is over."""
        while True:
            for key, _ in self._watched.select():
                work: Callable[[], Any] = key.data
                answer = work()
                if answer is not None:
                    return None if answer is STOP else answer

    def _hear(self) -> Any:
        wish, rights, _, _ = socket.recv_fds(self._line, 1 << 20, 4)
        if not wish:
            for pid, _ in self._children.values():
                os.kill(pid, signal.SIGKILL)
            return STOP
        *standard, number = rights
        told = socket.socket(fileno=number)
        pid = os.fork()
        if pid == 0:
            self._forget()
            told.close()
            return become(standard, **json.loads(wish))
        for each in standard:
            os.close(each)
        told.send(str(pid).encode())
        handle = os.pidfd_open(pid)
        self._children[handle] = (pid, told)
        self._watched.register(handle, selectors.EVENT_READ, lambda: self._bury(handle))
        return None

    def _bury(self, handle: int) -> None:
        pid, told = self._children.pop(handle)
        self._watched.unregister(handle)
        os.close(handle)
        _, status = os.waitpid(pid, 0)
        with told, contextlib.suppress(OSError):  # nobody may want to know any more
            told.send(str(os.waitstatus_to_exitcode(status)).encode())

    def _forget(self) -> None:
        self._watched.close()
        self._line.close()
        for handle, (_, told) in self._children.items():
            os.close(handle)
            told.close()


STOP = object()


def become(standard: list[int], arguments: list[str], folder: str, environ: dict[str, str]) -> Callable[[], object]:
    """Make this process what `python -m engine.cli` would be; what is left is to run it."""
    for number, each in enumerate(standard):
        os.dup2(each, number)
        os.close(each)
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)
    sys.path[0] = folder
    importlib.invalidate_caches()
    sys.argv[1:] = arguments
    return lambda: runpy.run_module("engine.cli", run_name="__main__", alter_sys=True)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's ctrl+c is for the tests
    load()
    work = Parent(socket.socket(fileno=int(sys.argv[1]))).serve()
    if work is not None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        work()


if __name__ == "__main__":
    sys.path[0] = str(Path.cwd())
    main()
