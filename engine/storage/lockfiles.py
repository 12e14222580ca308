"""Proof of life on one machine: a locked file for each worker, beside the database."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from time import monotonic
from urllib.parse import quote

from engine.errors import DatabaseUnavailable
from engine.storage.filelock import FileLock

#: How long an answer "alive" is believed, in seconds. "Dead" is for ever: no worker id comes twice.
TRUST = 1.0


class LockFiles:
    """The lock files in a folder, this worker's own among them."""

    def __init__(self, folder: Path, worker: str | None) -> None:
        self._folder = folder
        self._own = FileLock(self._path(worker)) if worker is not None else None
        self._own_path = self._path(worker) if worker is not None else None
        self._seen: dict[str, float] = {}
        self._dead: set[str] = set()

    def open(self) -> None:
        """Make and lock this worker's own file."""
        if self._own is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._own.acquire()
            while not self._own.same_file():  # someone took it for a dead worker's before it was locked
                self._own.close()
                self._own.acquire()
        except OSError as error:
            raise DatabaseUnavailable(
                f"the lock files of the workers cannot be made in {self._folder}: {error.strerror}",
                hint="Give this user the right to write there.",
            ) from error

    def alive(self, worker: str) -> bool:
        """Whether the worker still holds its lock."""
        if worker in self._dead:
            return False
        now = monotonic()
        seen = self._seen.get(worker)
        if seen is not None and now - seen < TRUST:
            return True
        if _locked(self._path(worker)):
            self._seen[worker] = now
            return True
        self._seen.pop(worker, None)
        self._dead.add(worker)
        return False

    def close(self) -> None:
        """Remove this worker's own file, and release it."""
        if self._own is not None and self._own_path is not None:
            self._own_path.unlink(missing_ok=True)
            self._own.close()

    def _path(self, worker: str) -> Path:
        return self._folder / f"{quote(worker, safe='')}.lock"


def _locked(path: Path) -> bool:
    """Whether a living process holds the file; one that nobody holds is removed."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # no proof of death
    try:
        # Shared, so that two who look at the same time do not take each other for the holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
        except OSError:
            pass  # another looker has it too; one of them will remove it
        return False
    finally:
        os.close(descriptor)
