"""Work that one worker does for all: which of it is this worker's."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING

from engine.runtime import clock
from engine.storage import leases
from engine.storage.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Leases:
    """The leases of one worker. Whatever must not happen twice is guarded by more than a lease."""

    def __init__(self, database: Database, worker: str, alive: Callable[[str], bool]) -> None:
        self._database = database
        self._worker = worker
        self._alive = alive

    async def take(self, names: Collection[str]) -> set[str]:
        """Take those of these leases that no other living worker has; which of them are mine now.

        Looks first and writes only where there is something to take. Raises `DatabaseError` when
        the database cannot be read.
        """
        holders = await self._database.read(leases.holders)
        mine = {name for name in names if holders.get(name) == self._worker}
        free = [name for name in names if name not in mine and self._free(holders.get(name))]
        if free:
            mine |= await self._database.write(lambda connection: self._write(connection, free))
        return mine

    async def token(self, name: str) -> int | None:
        """Take one lease, or keep it: its token, or None while another living worker has it."""
        holder = (await self._database.read(leases.holders)).get(name)
        if holder != self._worker and not self._free(holder):
            return None
        take = partial(leases.take, name=name, owner=self._worker, alive=self._alive, now=clock.now())
        return await self._database.write(take)

    async def give_back(self, name: str) -> None:
        """Give back one lease, if this worker has it."""
        await self._database.write(lambda connection: leases.release(connection, self._worker, name))

    def _free(self, owner: str | None) -> bool:
        return owner is None or not self._alive(owner)

    def _write(self, connection: Connection, names: Collection[str]) -> set[str]:
        now = clock.now()
        return {
            name
            for name in sorted(names)
            if leases.take(connection, name, self._worker, self._alive, now=now) is not None
        }

    async def release(self) -> None:
        """Give back all that this worker has."""
        await self._database.write(lambda connection: leases.release(connection, self._worker))
