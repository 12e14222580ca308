"""The command in a terminal of its own: when it first paints, and how soon it answers a key."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Sequence

#: Seconds without a byte after which a picture is taken to be whole.
QUIET = 0.12
#: Seconds for anything that is waited for.
PATIENCE = 30.0


class Terminal:
    """`warren`, or another module, with these arguments in a pseudo-terminal of so many columns and lines.

    End it with `close`.
    """

    def __init__(
        self, arguments: Sequence[str], columns: int = 120, lines: int = 40, *, module: str = "engine.cli"
    ) -> None:
        self.begun = time.perf_counter()
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.environ["TERM"] = "xterm-256color"
            os.execv(sys.executable, [sys.executable, "-m", module, *arguments])
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def until(self, text: str) -> float:
        """Milliseconds from the start of the command until it has written this."""
        seen = b""
        while text.encode() not in seen:
            if not self._more(PATIENCE):
                raise SystemExit(f"the monitor did not write {text!r}: {seen[-500:]!r}")
            seen += os.read(self._terminal, 65536)
        return (time.perf_counter() - self.begun) * 1000

    def settle(self) -> None:
        """Read until nothing more is written for a while."""
        while self._more(QUIET):
            os.read(self._terminal, 65536)

    def type(self, keys: str) -> None:
        """Press keys, whether or not they change anything."""
        os.write(self._terminal, keys.encode())
        time.sleep(QUIET)
        self.settle()

    def press(self, keys: str) -> float:
        """Milliseconds from these keys to the first of what they change on the screen."""
        self.settle()
        begun = time.perf_counter()
        os.write(self._terminal, keys.encode())
        if not self._more(PATIENCE):
            raise SystemExit(f"nothing changed when {keys!r} was pressed")
        return (time.perf_counter() - begun) * 1000

    def close(self) -> None:
        """Kill it."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._terminal)

    def _more(self, seconds: float) -> bool:
        return bool(select.select([self._terminal], [], [], seconds)[0])
