"""`warren db prune` forgets what the workers' housekeeping would, of every queue."""

from __future__ import annotations

import pytest

from engine.errors import ReadOnly
from engine.model.record import Record, State
from engine.operations import housekeeping
from engine.operations.operator import Operator
from engine.storage import audit, failures, records
from engine.storage.database import Database
from engine.storage.failures import Status
from tests.support.failing import QUEUE, bury

ANNA = Operator("anna@web-1")


def record(queue: str, event_id: str, state: State, updated: float) -> Record:
    return Record(queue, event_id, state, 1, 1, 1, "w", b"", 0, False, updated, updated)


async def test_prune_walks_all_queues_and_spares_what_can_be_redriven(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "SLICE", 7)
    monkeypatch.setattr(housekeeping, "GROUP", 3)
    old = [record(queue, f"{number:02}", State.DONE, 100.0) for queue in ("a", "nobody's") for number in range(10)]
    kept = [record("a", "new", State.DONE, 2000.0), record("a", "waits", State.WAITING, 100.0)]
    await database.write(lambda connection: records.put(connection, [*old, *kept]))
    await bury(database, "open", arrived=100.0)
    archived = await bury(database, "archived", arrived=100.0)
    await database.write(lambda connection: failures.set_status(connection, [archived], Status.ARCHIVED, now=200.0))

    assert await housekeeping.prunable(database, 1000.0) == len(old) + 1
    with pytest.raises(ReadOnly):
        await housekeeping.prune(database, 1000.0, operator=Operator("anna@web-1", read_only=True))
    seen: list[int] = []
    assert await housekeeping.prune(database, 1000.0, operator=ANNA, advance=seen.append) == len(old) + 1
    assert (sum(seen), max(seen)) == (len(old) + 1, 3)
    assert await housekeeping.prunable(database, 1000.0) == 0
    keys = [("a", "new"), ("a", "waits"), (QUEUE, "open"), (QUEUE, "archived")]
    assert set(await database.read(lambda connection: records.fetch(connection, keys))) == set(keys[:3])
    [entry] = await database.read(lambda connection: audit.list_entries(connection, action="prune"))
    assert (entry.who, entry.outcome) == ("anna@web-1", {"pruned": len(old) + 1})
