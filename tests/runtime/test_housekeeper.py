"""One worker forgets for all, in small groups, what ended long ago."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from engine.model.message import Message
from engine.model.record import Record, State
from engine.runtime import clock, housekeeper
from engine.runtime.housekeeper import DAY, Housekeeper
from engine.storage import event_log, event_search, leases, records, schedules, workers
from engine.storage.database import Database
from engine.storage.schedules import Schedule
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


async def test_a_round_forgets_old_events_but_none_of_a_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeper, "PAUSE", 0.0)
    monkeypatch.setattr(housekeeper, "SLICE", 7)
    database = await Database.open(f"sqlite:///{tmp_path}/warren.db", migrate=True)
    now = clock.now()

    def entry(number: int) -> event_log.Entry:
        version = number if number % 10 == 0 else None
        return event_log.Entry(
            *(f"e-{number:02}", "order.placed", "order", "42", version, event_log.Origin.EMITTED, "", "shop"),
            *(None, None, "events", "order.placed", 1.0, None, Message(b"{}")),
        )

    def write(connection: Any) -> None:
        event_log.append(connection, [entry(number) for number in range(20)], now=now - 31 * DAY)
        event_log.append(connection, [entry(number) for number in range(20, 25)], now=now - 29 * DAY)

    try:
        await database.write(write)
        keeper = Housekeeper(database, "w1", "shop", lambda worker: True, retention=7, event_retention=30)
        await keeper.round()
        left = await database.read(lambda connection: event_search.search(connection, event_search.EventFilter()))
        assert [row.event_id for row in left] == ["e-24", "e-23", "e-22", "e-21", "e-20", "e-10", "e-00"]
    finally:
        await database.close()


async def test_schedules_that_nobody_looks_after_are_forgotten_after_a_month(tmp_path: Path) -> None:
    now = clock.now()
    database = await Database.open(f"sqlite:///{tmp_path}/warren.db", migrate=True)

    def schedule(name: str, seen: float, app: str = "shop") -> Schedule:
        return Schedule(name, app, "0 3 * * *", "UTC", "skip", seen, seen, None, "w9", seen)

    def owned(connection: Connection, name: str, owner: str) -> None:
        schedules.begin(connection, schedule(name, now - 31 * DAY))
        leases.take(connection, f"schedule:{name}", owner, lambda worker: True, now=now)

    try:
        await database.write(lambda connection: owned(connection, "yearly", "w1"))
        await database.write(lambda connection: owned(connection, "gone", "w9"))
        for name, seen, app in (("rests", 29, "shop"), ("older", 40, "shop"), ("theirs", 99, "mill")):
            begun = schedule(name, now - seen * DAY, app)
            await database.write(lambda connection, begun=begun: schedules.begin(connection, begun))  # type: ignore[misc]
        await Housekeeper(database, "w1", "shop", lambda worker: worker == "w1", retention=7).round()
        left = await database.read(lambda connection: schedules.list_schedules(connection, "shop"))
        assert [each.name for each in left] == ["rests", "yearly"]
        assert len(await database.read(lambda connection: schedules.list_schedules(connection, "mill"))) == 1
    finally:
        await database.close()


async def test_a_type_may_be_kept_for_longer_or_shorter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeper, "PAUSE", 0.0)
    monkeypatch.setattr(housekeeper, "SLICE", 3)
    database = await Database.open(f"sqlite:///{tmp_path}/w.db", migrate=True)
    now = clock.now()

    def fill(connection: Connection) -> None:
        for number, (kind, days) in enumerate(
            [("audit.seen", 90), ("sensor.read", 3), ("order.placed", 31), ("order.paid", 29), ("sensor.read", 1)] * 2
        ):
            entry = event_log.Entry(
                *(f"{kind}-{days}-{number // 5}", kind, None, None, None, event_log.Origin.EMITTED, "", "shop"),
                *(None, None, "events", kind, 1.0, None, Message(b"{}")),
            )
            event_log.append(connection, [entry], now=now - days * DAY)

    await database.write(fill)
    longer = {"audit.#": 3650.0, "sensor.*": 2.0}
    keeper = Housekeeper(
        database, "w1", "shop", lambda worker: True, retention=7, event_retention=30, event_retention_of=longer
    )
    await keeper.round()
    left = await database.read(lambda connection: event_search.search(connection, event_search.EventFilter()))
    kept = ["audit.seen-90", "order.paid-29", "sensor.read-1"]
    assert sorted(row.event_id for row in left) == sorted(f"{each}-{turn}" for each in kept for turn in (0, 1))
    await database.close()
