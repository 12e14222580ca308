"""The tie between a supervisor and a worker process that it started: one socket.

The worker says on it how its start went. When the supervisor is gone, however it went, the
socket ends, and the worker drains and ends too; so nothing keeps working unwatched.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from threading import Thread
from typing import Self

#: Where a worker process finds the descriptor of its socket and the name of its group.
VARIABLE = "WARREN_LEASH"
#: What it says once: it works; or it cannot, and has said why on stderr.
READY, FAILED = b"R", b"F"
#: Seconds that it may take beyond its drain before it is ended by force.
GRACE = 15.0


class Leash:
    """The worker's end. `group` names the workers that one supervisor started."""

    def __init__(self, descriptor: int, group: str) -> None:
        self._descriptor = descriptor
        self.group = group

    @classmethod
    def found(cls) -> Self | None:
        """The tie of this process, if a supervisor started it. What this process starts does not inherit it."""
        said = os.environ.pop(VARIABLE, None)
        if said is None:
            return None
        descriptor, _, group = said.partition(":")
        os.set_inheritable(int(descriptor), False)
        return cls(int(descriptor), group)

    def say(self, word: bytes) -> None:
        """Say READY or FAILED."""
        try:
            os.write(self._descriptor, word)
        except OSError:
            pass  # the supervisor is gone; the watching thread knows

    def watch(self, gone: Callable[[], None], patience: float) -> None:
        """Call `gone` from a thread when the supervisor is gone, and end this process `patience` seconds later."""

        def wait() -> None:
            try:
                while os.read(self._descriptor, 1):
                    pass
            except OSError:
                pass
            gone()
            time.sleep(patience + GRACE)
            os._exit(1)  # the event loop is blocked, or the drain hangs

        Thread(target=wait, name="warren-leash", daemon=True).start()
