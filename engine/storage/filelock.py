"""A lock on a file that the operating system gives back when its holder dies, however it dies.

`flock` belongs to the open file, so two of these exclude each other also within one
process. A child made by `fork` closes its copy: it must not keep the lock of a dead parent.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class FileLock:
    """An exclusive lock on a file, which is made when it is missing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Wait until the lock is ours; the operating system lets waiters in by turns."""
        fcntl.flock(self._open(), fcntl.LOCK_EX)

    def try_acquire(self) -> bool:
        """Take the lock if it is free at once."""
        try:
            fcntl.flock(self._open(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Let the next one in; the file stays."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def same_file(self) -> bool:
        """Whether the path still names the file that is locked here."""
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(self._open()))

    def close(self) -> None:
        """Release the lock and the file."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            _open_locks.discard(self)
            os.close(descriptor)

    def _open(self) -> int:
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            _open_locks.add(self)
        return self._descriptor


_open_locks: set[FileLock] = set()


def _close_in_child() -> None:
    for lock in list(_open_locks):
        lock.close()


os.register_at_fork(after_in_child=_close_in_child)
