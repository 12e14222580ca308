"""Queues that are not consumed: those that an operator paused, and those whose circuit is open.

A row says so for the whole fleet, and outlives every worker. Of an open circuit one worker,
the row's, makes the probes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, select, update

from engine.model.circuit import Cause, Circuit, Switch
from engine.storage import tables
from engine.storage.statements import conflict_insert, upsert
from engine.storage.stored import plain

_pauses = tables.pauses
_circuits = tables.circuits


class Pause(NamedTuple):
    """A paused queue: since when (seconds since the epoch), by whom, and why."""

    queue: str
    since: float
    who: str
    why: str


class OpenCircuit(NamedTuple):
    """An open circuit, and the worker that probes it."""

    queue: str
    worker: str
    circuit: Circuit


def pause(connection: Connection, queue: str, *, who: str, why: str, now: float) -> bool:
    """Pause a queue; False when it was paused before: then that stays as it is."""
    row = {"queue": queue, "since": now, "who": plain(who), "why": plain(why)}
    statement = conflict_insert(connection, _pauses).values(row).on_conflict_do_nothing(index_elements=["queue"])
    return connection.execute(statement.returning(_pauses.c.queue)).first() is not None


def resume(connection: Connection, queue: str) -> bool:
    """Resume a queue; False when it was not paused."""
    return connection.execute(delete(_pauses).where(_pauses.c.queue == queue)).rowcount > 0


def list_pauses(connection: Connection) -> dict[str, Pause]:
    """The paused queues by name."""
    rows = connection.execute(select(_pauses).order_by(_pauses.c.queue))
    return {row.queue: Pause(row.queue, row.since, row.who, row.why) for row in rows}


def open_circuit(connection: Connection, queue: str, worker: str, circuit: Circuit) -> OpenCircuit:
    """Report an open circuit; who was first has it, and that is answered."""
    row = {"queue": queue, "worker": worker, **_columns(circuit)}
    upsert(connection, _circuits, [row], key=["queue"], change=[])
    return _open(connection.execute(select(_circuits).where(_circuits.c.queue == queue)).one())


def renew_circuit(connection: Connection, queue: str, worker: str, circuit: Circuit) -> bool:
    """Write what became of a probe; False when the row is gone or another worker's."""
    mine = (_circuits.c.queue == queue) & (_circuits.c.worker == worker)
    return connection.execute(update(_circuits).where(mine).values(_columns(circuit))).rowcount > 0


def take_over_circuit(connection: Connection, queue: str, dead: str, worker: str) -> bool:
    """Probe it in place of a worker that is dead; False when another was quicker."""
    theirs = (_circuits.c.queue == queue) & (_circuits.c.worker == dead)
    return connection.execute(update(_circuits).where(theirs).values(worker=worker)).rowcount > 0


def close_circuit(connection: Connection, queue: str) -> bool:
    """Report that a message was handled; False when the circuit was closed before."""
    return connection.execute(delete(_circuits).where(_circuits.c.queue == queue)).rowcount > 0


def list_circuits(connection: Connection) -> dict[str, OpenCircuit]:
    """The open circuits by queue."""
    return {row.queue: _open(row) for row in connection.execute(select(_circuits).order_by(_circuits.c.queue))}


def _columns(circuit: Circuit) -> dict[str, object]:
    return {
        "fingerprint": circuit.cause.fingerprint,
        "exception": plain(circuit.cause.exception),
        "failures": circuit.failures,
        "since": circuit.since,
        "probes": circuit.probes,
        "next_probe": circuit.next_probe,
    }


def _open(row: Any) -> OpenCircuit:
    cause = Cause(row.fingerprint, row.exception)
    return OpenCircuit(
        row.queue, row.worker, Circuit(Switch.OPEN, cause, row.failures, row.since, row.probes, row.next_probe)
    )
