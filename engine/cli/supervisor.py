"""`warren worker --processes N`: starts worker processes, and starts again one that crashed.

Each is an interpreter of its own with a worker of its own: nothing is shared but broker and
database. The first starts alone, so that what keeps all of them from starting is said once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import socket
import time
from collections.abc import Mapping, Sequence

from engine.cli.leash import FAILED, GRACE, READY, VARIABLE

logger = logging.getLogger("warren.supervisor")

#: Seconds until a crashed process is started again, at first and at most; they double.
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
#: Seconds of work after which a crash counts as the first one.
STEADY = 60.0
INTERRUPTED = 130


class Child:
    """One worker process, and our end of its leash."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.process = process
        self.begun = time.monotonic()
        self.word = b""
        self._reader = reader
        self._writer = writer

    @classmethod
    async def start(cls, command: Sequence[str], environ: Mapping[str, str], group: str) -> Child:
        """Start a process. A process group of its own keeps the terminal's ctrl+c away from it: we pass it on."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *command,
                env={**environ, VARIABLE: f"{theirs.fileno()}:{group}"},
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                process_group=0,
            )
        reader, writer = await asyncio.open_connection(sock=ours)
        return cls(process, reader, writer)

    async def started(self) -> bytes:
        """How its start went: READY, FAILED, or nothing when it died."""
        try:
            self.word = await self._reader.read(1)
        except OSError:
            self.word = b""
        return self.word

    async def ended(self) -> int:
        """Its exit code, negative for a signal."""
        code = await self.process.wait()
        self._writer.close()
        return code

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.process.returncode is None:
            self.process.send_signal(number)


class Supervisor:
    """Keeps `count` processes of `command` running until `stop`. `drain` is how many seconds they may take to end."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], count: int, *, drain: float) -> None:
        self._command = command
        self._environ = environ
        self._count = count
        self._drain = drain
        self._group = f"{socket.gethostname()}:{os.getpid()}"
        self._children: set[Child] = set()
        self._codes: list[int] = []
        self._ever_ready = False
        self._stops = 0
        self._stopping = asyncio.Event()
        self._first = asyncio.Event()

    async def run(self) -> int:
        """Work until stopped; the exit code: that of a worker that cannot start, 1 if a drain failed, else 0."""
        logger.info("supervisor %s starts %d worker processes", self._group, self._count)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep(1))
            await self._first.wait()
            for number in range(2, self._count + 1):
                tasks.create_task(self._keep(number))
        if self._stops > 1:
            return INTERRUPTED
        return next((code if code > 0 else 1 for code in self._codes if code), 0)

    def stop(self) -> None:
        """Pass one drain on to all; a second call ends them at once."""
        self._stops += 1
        self._stopping.set()
        self._first.set()
        for child in self._children:
            child.signal(signal.SIGTERM)
        if self._stops == 1:
            asyncio.get_running_loop().call_later(self._drain + GRACE, self._kill)

    def _kill(self) -> None:
        for child in self._children:
            logger.error("worker process %d does not end, it is killed", child.process.pid)
            child.signal(signal.SIGKILL)

    async def _keep(self, number: int) -> None:
        """Keep one process running."""
        crashes = 0
        while not self._stopping.is_set():
            child = await Child.start(self._command, self._environ, self._group)
            self._children.add(child)
            if self._stopping.is_set():
                child.signal(signal.SIGTERM)
            try:
                code = await self._see_through(child)
            finally:
                self._children.discard(child)
            if self._stopping.is_set():
                # One that had not begun has nothing to drain: the signal just ends it.
                self._codes.append(0 if code == -signal.SIGTERM and child.word != READY else code)
                return
            if child.word == FAILED and not self._ever_ready:
                self._codes.append(code or 1)
                self.stop()
                return
            crashes = 1 if time.monotonic() - child.begun > STEADY else crashes + 1
            await self._pause(number, child, code, crashes)

    async def _see_through(self, child: Child) -> int:
        word = await child.started()
        self._ever_ready |= word == READY
        if word != FAILED:
            self._first.set()
        return await child.ended()

    async def _pause(self, number: int, child: Child, code: int, crashes: int) -> None:
        wait = min(FIRST_WAIT * 2 ** min(crashes - 1, 16), LONGEST_WAIT) * random.uniform(0.8, 1.0)
        logger.warning(
            "worker process %d of %d (pid %d) %s after %.1f s, it is started again in %.1f s",
            number,
            self._count,
            child.process.pid,
            _how(code),
            time.monotonic() - child.begun,
            wait,
        )
        try:
            await asyncio.wait_for(self._stopping.wait(), wait)
        except TimeoutError:
            pass


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
