"""The newest version of each key that a copy of a projection has seen: what is not newer is stale.

A key that was deleted keeps its row, so that an event that comes late does not bring it back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, Select, select

from engine.storage import projection_tables
from engine.storage.statements import upsert

_versions = projection_tables.versions


def known(name: str, suffix: str, keys: Collection[str]) -> Select[Any]:
    """A statement for the keys that were seen, with their versions."""
    mine = (_versions.c.projection == name) & (_versions.c.suffix == suffix)
    return select(_versions.c.key, _versions.c.version).where(mine, _versions.c.key.in_(sorted(keys)))


def note(connection: Connection, name: str, suffix: str, newest: Mapping[str, int]) -> None:
    """Write down the newest version of each key."""
    rows = [{"projection": name, "suffix": suffix, "key": key, "version": version} for key, version in newest.items()]
    upsert(connection, _versions, rows, key=["projection", "suffix", "key"], change=["version"])
