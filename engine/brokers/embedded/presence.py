"""Who is alive: each connection holds a lock on a file of its own, which the system releases at its death.

`flock` belongs to the open file, not to the process: a connection can be probed by another
one in the same process. A forked child would inherit the lock, so it closes its copy.
"""

from __future__ import annotations

import fcntl
import os
import uuid
import weakref
from pathlib import Path

_held: weakref.WeakSet[Presence] = weakref.WeakSet()


class Presence:
    """A lock file held for the life of a connection."""

    def __init__(self, folder: Path) -> None:
        """Make the file and lock it; raises `OSError`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.name = uuid.uuid4().hex
        self._path = folder / self.name
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        _held.add(self)

    def release(self) -> None:
        """Say goodbye."""
        if self._file >= 0:
            self._path.unlink(missing_ok=True)
            self.forget()

    def forget(self) -> None:
        """Close the file without a word; the lock lasts while another process has it open."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def is_gone(folder: Path, name: str) -> bool:
    """Whether the connection of this name has ended, by whatever death."""
    try:
        file = os.open(folder / name, os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(file)


def clear(folder: Path, name: str) -> None:
    """Remove what a dead connection left."""
    (folder / name).unlink(missing_ok=True)


def _after_fork() -> None:
    for presence in list(_held):
        presence.forget()


os.register_at_fork(after_in_child=_after_fork)
