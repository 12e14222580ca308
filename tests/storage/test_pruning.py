from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.model.record import Record, State
from engine.storage import pruning, records, workers
from engine.storage.database import Database
from engine.storage.record_statements import Key
from engine.storage.workers import Worker

OLD, NEW, BEFORE = 100.0, 900.0, 500.0


def record(queue: str, event_id: str, state: State, updated: float) -> Record:
    return Record(queue, event_id, state, 1, 1, 1, "w", b"", 0, False, updated, updated)


async def put(database: Database, *found: Record) -> None:
    await database.write(lambda connection: records.put(connection, found))


async def old_ones(database: Database, queues: Sequence[str], size: int) -> list[tuple[str, str, str]]:
    after: Key | None = ("", "")
    found = []
    while after is not None:
        part = await database.read(
            lambda connection, after=after: pruning.look(connection, after, queues, BEFORE, size)
        )  # type: ignore[misc]
        found += part.old
        after = part.next
    return found


async def test_the_walk_finds_what_ended_long_ago_in_slices_of_any_size(database: Database) -> None:
    wanted = [("a", f"{number:03}", "done") for number in range(0, 50, 3)]
    for queue, event_id, _ in wanted:
        await put(database, record(queue, event_id, State.DONE, OLD))
    for number in range(1, 50, 3):
        await put(database, record("a", f"{number:03}", State.DONE, NEW))
    await put(
        database,
        record("a", "running", State.RUNNING, OLD),
        record("a", "waiting", State.WAITING, OLD),
        record("b", "of another application", State.DONE, OLD),
        record("a", "zz dead", State.DEAD, OLD),
    )
    for size in (1, 7, 1000):
        assert await old_ones(database, ["a"], size) == [*wanted, ("a", "zz dead", "dead")]
    assert await old_ones(database, [], 10) == []


async def test_a_dead_one_stays_while_its_failure_may_be_redriven(database: Database) -> None:
    await put(database, *(record("a", event_id, State.DEAD, OLD) for event_id in ("archived", "open", "redriven")))
    for status in ("archived", "open", "redriven"):
        await database.write(lambda connection, status=status: fail(connection, status))  # type: ignore[misc]
    assert await old_ones(database, ["a"], 100) == [("a", "archived", "dead")]


def fail(connection: Any, status: str) -> None:
    from sqlalchemy import insert

    from engine.storage.tables import failures

    texts = dict.fromkeys(
        ("event_type", "handler", "worker", "reason", "exception", "message", "fingerprint", "exchange", "routing_key"),
        "",
    )
    numbers = {"run": 1, "attempts": 1, "first_failed": OLD, "last_failed": OLD, "arrived": OLD, "changed": OLD}
    row = {"queue": "a", "event_id": status, "status": status, "body_hash": b"", **texts, **numbers}
    connection.execute(insert(failures).values(row))


async def test_what_changed_since_it_was_looked_at_is_not_forgotten(database: Database) -> None:
    await put(database, record("a", "1", State.DONE, OLD), record("a", "2", State.DEAD, OLD))
    old = await old_ones(database, ["a"], 10)
    await put(database, record("a", "2", State.WAITING, OLD))
    assert await database.write(lambda connection: pruning.forget(connection, old, BEFORE)) == 1
    kept = await database.read(lambda connection: records.fetch(connection, [("a", "1"), ("a", "2")]))
    assert list(kept) == [("a", "2")]


async def test_workers_that_are_gone_are_forgotten_with_their_counters(database: Database) -> None:
    for worker, app, state, beat in (
        ("stopped", "shop", "stopped", OLD),
        ("dead", "shop", "running", OLD),
        ("alive", "shop", "running", OLD),
        ("recent", "shop", "stopped", NEW),
        ("foreign", "bank", "stopped", OLD),
    ):
        row = Worker(worker, app, "1", state, beat, beat, {})
        await database.write(lambda connection, row=row: workers.register(connection, row))  # type: ignore[misc]
    gone = await database.read(
        lambda connection: pruning.gone_workers(connection, "shop", BEFORE, lambda worker: worker == "alive", 10)
    )
    assert sorted(gone) == ["dead", "stopped"]
    await database.write(lambda connection: pruning.forget_workers(connection, gone))
    left = await database.read(workers.list_workers)
    assert sorted(worker.id for worker in left) == ["alive", "foreign", "recent"]
