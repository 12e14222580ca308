"""Pauses and open circuits, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from engine.model.circuit import Cause, Circuit, Switch
from engine.storage import pauses
from engine.storage.database import Database
from engine.storage.pauses import OpenCircuit, Pause

if TYPE_CHECKING:
    from sqlalchemy import Connection

OPEN = Circuit(Switch.OPEN, Cause("f-1", "ConnectionError"), 20, 100.0, 0, 105.0)


async def test_the_first_pause_stays_until_it_is_resumed(database: Database) -> None:
    def pause(who: str) -> Callable[[Connection], bool]:
        return partial(pauses.pause, queue="a", who=who, why="\x00why", now=1.0)

    assert await database.write(pause("anna"))
    assert not await database.write(pause("bert"))
    assert await database.read(pauses.list_pauses) == {"a": Pause("a", 1.0, "anna", "\N{REPLACEMENT CHARACTER}why")}
    assert await database.write(lambda connection: pauses.resume(connection, "a"))
    assert not await database.write(lambda connection: pauses.resume(connection, "a"))
    assert await database.read(pauses.list_pauses) == {}


async def test_a_circuit_belongs_to_who_reported_it_first_until_he_is_dead(database: Database) -> None:
    first = await database.write(lambda connection: pauses.open_circuit(connection, "a", "w-1", OPEN))
    other = OPEN._replace(failures=33)
    second = await database.write(lambda connection: pauses.open_circuit(connection, "a", "w-2", other))
    assert first == second == OpenCircuit("a", "w-1", OPEN)
    later = OPEN._replace(probes=1, next_probe=120.0)
    assert not await database.write(lambda connection: pauses.renew_circuit(connection, "a", "w-2", later))
    assert await database.write(lambda connection: pauses.renew_circuit(connection, "a", "w-1", later))
    assert await database.write(lambda connection: pauses.take_over_circuit(connection, "a", "w-1", "w-2"))
    assert not await database.write(lambda connection: pauses.take_over_circuit(connection, "a", "w-1", "w-3"))
    assert await database.read(pauses.list_circuits) == {"a": OpenCircuit("a", "w-2", later)}
    assert await database.write(lambda connection: pauses.close_circuit(connection, "a"))
    assert not await database.write(lambda connection: pauses.close_circuit(connection, "a"))
