"""A program behind a real pseudo-terminal: what is typed, and every byte that it writes."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import struct
import termios
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

#: A control sequence that a terminal program draws with: colours, the cursor, modes.
CSI = re.compile("\x1b\\[[0-?]*[ -/]*[@-~]")


class Terminal:
    """The terminal's side of it."""

    def __init__(self, descriptor: int, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.written = b""
        self._descriptor = descriptor
        self._mark = 0

    @property
    def news(self) -> str:
        """The text that was written since the last key, without control sequences."""
        return CSI.sub("", self.written[self._mark :].decode(errors="replace"))

    def press(self, keys: str) -> None:
        """Type; escape is `\\x1b`."""
        self._mark = len(self.written)
        os.write(self._descriptor, keys.encode())

    async def see(self, text: str, patience: float = 30.0) -> None:
        """Wait until this text was written since the last key. Raises `AssertionError`."""
        try:
            async with asyncio.timeout(patience):
                while text not in self.news:
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"waited in vain for {text!r}; {self.news[-3000:]!r}") from None

    def read(self) -> None:
        """Take what the program wrote."""
        try:
            self.written += os.read(self._descriptor, 1 << 16)
        except OSError:  # it has ended
            asyncio.get_running_loop().remove_reader(self._descriptor)


@asynccontextmanager
async def terminal(
    command: Sequence[str], folder: Path, *, columns: int = 80, rows: int = 24
) -> AsyncIterator[Terminal]:
    """Run a command in a terminal of this size; it is killed in the end if it has not quit."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    process = await asyncio.create_subprocess_exec(
        *command, stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=environment, start_new_session=True
    )
    os.close(slave)
    seat = Terminal(master, process)
    loop = asyncio.get_running_loop()
    loop.add_reader(master, seat.read)
    try:
        yield seat
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        loop.remove_reader(master)
        os.close(master)
