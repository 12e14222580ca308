"""One worker forgets for all, in small groups, what ended long ago."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.model.record import Record, State
from engine.runtime import clock, housekeeper
from engine.runtime.housekeeper import DAY, Housekeeper
from engine.storage import records, workers
from engine.storage.database import Database
from engine.storage.workers import DeclaredQueue, Worker


def record(number: int, updated: float) -> Record:
    return Record("shop.a", f"{number:05}", State.DONE, 1, 1, 1, "w", b"", 0, False, updated, updated)


async def test_a_round_forgets_what_is_past_retention_and_only_one_worker_does_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeper, "SLICE", 70)
    monkeypatch.setattr(housekeeper, "GROUP", 20)
    monkeypatch.setattr(housekeeper, "PAUSE", 0.0)
    now = clock.now()
    database = await Database.open(f"sqlite:///{tmp_path}/warren.db", migrate=True)
    try:
        old = [record(number, now - 8 * DAY) for number in range(0, 300, 2)]
        new = [record(number, now - 6 * DAY) for number in range(1, 300, 2)]
        await database.write(lambda connection: records.put(connection, [*old, *new]))
        queue = DeclaredQueue("shop.a", "shop", "a", (), now, now)
        await database.write(lambda connection: workers.declare_queues(connection, [queue]))
        gone = Worker("gone", "shop", "1", "stopped", now - 3 * DAY, now - 2 * DAY, {})
        await database.write(lambda connection: workers.register(connection, gone))

        first = Housekeeper(database, "w1", "shop", lambda worker: True, retention=7)
        assert await first.round() == len(old)
        kept = await database.read(lambda connection: records.fetch(connection, [each[:2] for each in [*old, *new]]))
        assert sorted(kept) == sorted(each[:2] for each in new)
        assert await database.read(workers.list_workers) == []
        assert await first.round() == 0

        # Another does nothing while the first lives, and takes over when it does not.
        await database.write(lambda connection: records.put(connection, old))
        assert await Housekeeper(database, "w2", "shop", lambda worker: True, retention=7).round() == 0
        heir = Housekeeper(database, "w3", "shop", lambda worker: worker != "w1", retention=7)
        assert await heir.round() == len(old)
    finally:
        await database.close()
