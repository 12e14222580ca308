"""Pausing and resuming queues, for the whole fleet and for as long as it takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import UsageError
from engine.model.names import nearest
from engine.operations.operator import Operator
from engine.operations.writing import write
from engine.storage import audit, pauses
from engine.storage.database import Database
from engine.storage.pauses import OpenCircuit, Pause

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Shut(NamedTuple):
    """The queues that are not consumed, and why: paused by an operator, or left alone since a handler only fails."""

    paused: dict[str, Pause]
    circuits: dict[str, OpenCircuit]


async def shut(database: Database) -> Shut:
    """What is paused and which circuits are open."""
    return await database.read(
        lambda connection: Shut(pauses.list_pauses(connection), pauses.list_circuits(connection))
    )


def check_known(queues: Sequence[str], known: Sequence[str]) -> None:
    """Raise `UsageError` for a queue that nobody has declared."""
    for queue in queues:
        if queue not in known:
            raise UsageError(
                f"there is no queue {queue}", hint=nearest(queue, known) or "`warren queues` lists those there are."
            )


async def pause(database: Database, queues: Sequence[str], *, operator: Operator, why: str) -> list[str]:
    """Pause queues; those that were not paused before. Workers follow within about two seconds.

    What a worker runs then is finished; what it only holds goes back, and counts no attempt. Raises `ReadOnly`.
    """
    operator.allow("pause queues")
    who = operator.who

    def work(connection: Connection) -> list[str]:
        now = time.time()
        changed = [queue for queue in queues if pauses.pause(connection, queue, who=who, why=why, now=now)]
        if changed:
            audit.append(connection, audit.Entry(now, who, "pause", why, {"queues": changed}, {"paused": len(changed)}))
        return changed

    return await write(database, work)


async def resume(database: Database, queues: Sequence[str], *, operator: Operator, why: str) -> list[str]:
    """Resume queues, and close their circuits; those for which that changed something. Raises `ReadOnly`."""
    operator.allow("resume queues")
    who = operator.who

    def work(connection: Connection) -> list[str]:
        changed = []
        for queue in queues:
            paused, opened = pauses.resume(connection, queue), pauses.close_circuit(connection, queue)
            if paused or opened:
                changed.append(queue)
        if changed:
            entry = audit.Entry(time.time(), who, "resume", why, {"queues": changed}, {"resumed": len(changed)})
            audit.append(connection, entry)
        return changed

    return await write(database, work)


def state_of(queue: str, found: Shut) -> str:
    """In a word: `paused`, `circuit open`, or nothing."""
    if queue in found.paused:
        return "paused"
    return "circuit open" if queue in found.circuits else ""


def pause_dict(pause: Pause | None) -> dict[str, Any] | None:
    """A pause for programs; times in seconds since the epoch."""
    return None if pause is None else {"since": pause.since, "who": pause.who, "why": pause.why}


def circuit_dict(opened: OpenCircuit | None) -> dict[str, Any] | None:
    """An open circuit for programs; times in seconds since the epoch."""
    if opened is None:
        return None
    circuit = opened.circuit
    return {
        "since": circuit.since,
        "exception": circuit.cause.exception,
        "fingerprint": circuit.cause.fingerprint,
        "failures": circuit.failures,
        "probes": circuit.probes,
        "next_probe": circuit.next_probe,
        "worker": opened.worker,
    }
