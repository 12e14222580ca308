"""On what kind of file system a path lies: SQLite's WAL does not work across a network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

#: Where several hosts can open one file, without the shared memory that a WAL needs.
NETWORK = frozenset(  # a list would be one name a line
    [
        "9p",
        "afpfs",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.glusterfs",
        "fuse.s3fs",
        "fuse.sshfs",
        "gfs2",
        "glusterfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "smb3",
        "smbfs",
        "webdav",
    ]
)


def kind_of(path: Path) -> str | None:
    """The type of the file system (`ext4`, `nfs4`), None where the system does not tell."""
    try:
        text = _mounts()
    except (OSError, subprocess.SubprocessError):
        return None
    return find(text, path.resolve(), macos=sys.platform == "darwin")


def find(mounts: str, path: Path, *, macos: bool) -> str | None:
    """The type of the longest mount point above `path` in a list of mounts."""
    best, kind = "", None
    for line in mounts.splitlines():
        found = _macos(line) if macos else _linux(line)
        if found is None:
            continue
        point, this = found
        inside = path == Path(point) or Path(point) in path.parents
        if inside and len(point) >= len(best):  # a later mount on the same point hides the earlier
            best, kind = point, this
    return kind


def _mounts() -> str:
    if sys.platform == "darwin":
        return subprocess.run(["/sbin/mount"], capture_output=True, text=True, timeout=5, check=True).stdout
    return Path("/proc/self/mounts").read_text(errors="surrogateescape")


def _linux(line: str) -> tuple[str, str] | None:
    fields = line.split(" ")
    if len(fields) < 3:
        return None
    return fields[1].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\"), fields[2]


def _macos(line: str) -> tuple[str, str] | None:
    _, on, rest = line.partition(" on ")
    point, parenthesis, options = rest.rpartition(" (")
    return (point, options.rstrip(")").split(",")[0]) if on and parenthesis else None
