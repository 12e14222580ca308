"""Streams: all of a commit or nothing, each at the version that was expected, and never two writers of one version."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, text

from engine.errors import ConcurrencyConflict, EventTaken, StreamArchived, UsageError, WarrenError
from engine.model.event import Event
from engine.model.stream import ANY_VERSION, NO_STREAM, StreamId, to_number
from engine.storage import outbox, snapshots, streams
from engine.storage.database import Database
from engine.storage.snapshots import Snapshot
from engine.storage.streams import Append, Appended, Commit

A1, A2 = StreamId("account", "a-1"), StreamId("account", "a-2")


def event(id: str) -> Event[Any]:
    return Event({"n": 1}, "account.changed", id, datetime(2026, 1, 2, tzinfo=UTC), "bank", correlation_id="c-1")


def to(stream: StreamId, expected: Any, *ids: str, **more: Any) -> Append:
    return Append(stream, expected, [event(name) for name in ids], **more)


def commit(*appends: Append, **more: Any) -> Commit:
    return Commit(appends, "events", 2000.0, **more)


async def put(database: Database, *commits: Commit) -> list[Appended | WarrenError]:
    return await database.write(lambda connection: streams.append(connection, commits))


async def ids(database: Database, stream: StreamId) -> list[tuple[int, str]]:
    rows = await database.read(lambda connection: streams.read(connection, stream))
    return [(row.version, row.event_id) for row in rows]


def conflict(result: Any) -> tuple[str, int, int | None]:
    assert isinstance(result, ConcurrencyConflict)
    return result.stream, result.expected, result.actual


async def test_events_take_the_next_versions_and_say_them(database: Database) -> None:
    done, more = await put(database, commit(to(A1, NO_STREAM, "e-1", "e-2")), commit(to(A1, 2, "e-3")))
    assert isinstance(done, Appended)
    assert isinstance(more, Appended)
    assert (done.versions, more.versions) == ([2], [3])
    assert await ids(database, A1) == [(1, "e-1"), (2, "e-2"), (3, "e-3")]
    assert [one.metadata["streamVersion"] for one in done.events] == [1, 2]
    assert (done.events[0].aggregate_type, done.events[0].aggregate_id) == A1
    assert b'"streamVersion":2' in done.messages[1].body
    found = await database.read(lambda connection: streams.standings(connection, [A1, A2]))
    assert found == {A1: (3, None), A2: (0, None)}


@pytest.mark.parametrize(("expected", "at"), [(NO_STREAM, 0), (0, 0), (1, 1), (3, 3)])
async def test_a_wrong_expected_version_is_a_conflict_and_writes_nothing(
    database: Database, expected: Any, at: int
) -> None:
    await put(database, commit(to(A1, ANY_VERSION, "e-1", "e-2")))
    bad, good = await put(database, commit(to(A2, 0, "e-3"), to(A1, expected, "e-4")), commit(to(A2, 0, "e-5")))
    assert conflict(bad) == ("account/a-1", at, 2)
    assert isinstance(good, Appended)
    assert await ids(database, A1) == [(1, "e-1"), (2, "e-2")]
    assert await ids(database, A2) == [(1, "e-5")]


async def test_any_version_will_do_for_whoever_says_so(database: Database) -> None:
    await put(database, commit(to(A1, ANY_VERSION, "e-1")), commit(to(A1, ANY_VERSION, "e-2")))
    await put(database, commit(to(A1, ANY_VERSION, "e-3")))
    assert await ids(database, A1) == [(1, "e-1"), (2, "e-2"), (3, "e-3")]


async def test_one_stream_twice_in_a_commit(sqlite_database: Database) -> None:
    (done,) = await put(sqlite_database, commit(to(A1, 0, "e-1"), to(A1, 1, "e-2"), to(A1, ANY_VERSION, "e-3")))
    assert isinstance(done, Appended)
    assert done.versions == [1, 2, 3]


async def test_what_was_appended_before_is_not_appended_again(database: Database) -> None:
    """The same commit comes again where the answer to its COMMIT was lost."""
    first = commit(to(A1, 0, "e-1", "e-2", row_ids=["r-1", "r-2"]), to(A2, ANY_VERSION, "e-3", row_ids=["r-3"]))
    (done,) = await put(database, first)
    (again,) = await put(database, first)
    assert isinstance(done, Appended)
    assert isinstance(again, Appended)
    assert (again.versions, again.events) == (done.versions, done.events)
    assert [row.id for row in again.rows] == ["r-1", "r-2", "r-3"]  # they still wait
    await database.write(lambda connection: outbox.remove(connection, ["r-1", "r-2", "r-3"]))
    (third,) = await put(database, first)
    assert isinstance(third, Appended)
    assert third.rows == []
    assert await ids(database, A1) == [(1, "e-1"), (2, "e-2")]
    (half,) = await put(database, commit(to(A1, 0, "e-1", "e-9")))
    assert conflict(half) == ("account/a-1", 0, 2)


async def test_an_id_that_is_in_the_log_elsewhere_is_refused(database: Database) -> None:
    await put(database, commit(to(A1, 0, "e-1")))
    results = await put(
        database,
        commit(to(A2, 0, "e-1", known_ids=True)),
        commit(to(A2, ANY_VERSION, "e-5", "e-1")),
        commit(to(A2, 0, "e-6")),
    )
    assert isinstance(results[0], EventTaken)
    assert isinstance(results[1], EventTaken)
    assert isinstance(results[2], Appended)
    assert await ids(database, A2) == [(1, "e-6")]


async def test_what_publishes_the_events_is_promised_with_them(database: Database) -> None:
    (done,) = await put(database, commit(to(A1, 0, "e-1", row_ids=["r-1"]), owner="me", headers={"traceparent": "t"}))
    rows = await database.read(lambda connection: outbox.read(connection, ["r-1"]))
    assert isinstance(done, Appended)
    assert rows == done.rows
    assert (rows[0].routing_key, rows[0].exchange, rows[0].message) == ("account.changed", "events", done.messages[0])
    assert await database.read(outbox.owners) == ["me"]
    await put(database, commit(to(A1, 0, "e-2", row_ids=["r-2"])))  # a conflict
    assert await database.read(outbox.pending) == 1


async def test_a_payload_that_cannot_be_written_fails_alone(sqlite_database: Database) -> None:
    bad = Append(A1, 0, [Event({"n": float("nan")}, "t", "e-1", datetime.now(UTC))])
    results = await put(sqlite_database, commit(bad), commit(to(A1, 0, "e-2")))
    assert isinstance(results[0], UsageError)
    assert await ids(sqlite_database, A1) == [(1, "e-2")]


async def test_nothing_is_appended_to_an_archived_stream(database: Database) -> None:
    await database.write(
        lambda connection: connection.execute(
            text("INSERT INTO warren_archived_streams VALUES ('account', 'a-1', 7, 0.0)")
        )
    )
    bad, good = await put(database, commit(to(A1, ANY_VERSION, "e-1")), commit(to(A2, 0, "e-2")))
    assert isinstance(bad, StreamArchived)
    assert isinstance(good, Appended)
    assert await database.read(lambda connection: streams.standing(connection, A1)) == (0, 7)


@pytest.mark.parametrize("guest", [False, True])
async def test_nothing_is_appended_to_a_stream_that_is_not_wholly_taken_back(database: Database, guest: bool) -> None:
    await put(database, commit(to(A1, NO_STREAM, "e-1", "e-2")))
    await database.write(
        lambda connection: connection.execute(
            text("INSERT INTO warren_archived_streams VALUES ('account', 'a-1', 7, 0.0)")
        )
    )

    def work(connection: Connection) -> list[Appended | WarrenError]:
        both = [commit(to(A1, 2, "e-3")), commit(to(A2, 0, "f-1"), to(A1, ANY_VERSION, "e-3"))]
        return streams.append(connection, both, guest=guest)

    for refused in await database.write(work):
        assert isinstance(refused, StreamArchived)
        assert "only its first 2 events were taken back" in refused.message
    assert await database.read(lambda connection: streams.standings(connection, [A1, A2])) == {
        A1: (2, 7),
        A2: (0, None),
    }


async def test_a_stream_is_read_from_a_version_to_another(sqlite_database: Database) -> None:
    await put(sqlite_database, commit(to(A1, 0, *(f"e-{number}" for number in range(1, 8)))))

    async def versions(**asked: Any) -> list[int]:
        rows = await sqlite_database.read(lambda connection: streams.read(connection, A1, **asked))
        return [row.version for row in rows]

    assert await versions(after=5) == [6, 7]
    assert await versions(until=2) == [1, 2]
    assert await versions(after=2, until=6, limit=2) == [3, 4]


@pytest.mark.parametrize("wrong", [-1, True, 1.0, "1", None])
def test_what_is_no_version_is_refused(wrong: Any) -> None:
    with pytest.raises(UsageError, match="is no version"):
        to_number(wrong)


@pytest.mark.parametrize("wrong", ["", "account", "/a-1", "account/", "a/b\n"])
def test_what_is_no_stream_is_refused(wrong: str) -> None:
    with pytest.raises(UsageError):
        StreamId.parse(wrong)
    assert StreamId.parse("account/a/1") == ("account", "a/1")


# --- snapshots ------------------------------------------------------------------------------


def snapshot(version: int, schema: str = "1-a", taken: float = 1.0) -> Snapshot:
    return Snapshot(A1, schema, version, f"e-{version}", b"{}", taken)


async def test_the_newest_snapshot_of_each_schema_is_kept(database: Database) -> None:
    await database.write(lambda connection: snapshots.write(connection, [snapshot(2), snapshot(5, "1-b")]))
    await database.write(lambda connection: snapshots.write(connection, [snapshot(4), snapshot(3, "1-b")]))
    for schema, version in (("1-a", 4), ("1-b", 5)):
        found = await database.read(lambda connection, schema=schema: snapshots.find(connection, A1, schema))
        assert found == ((version, f"e-{version}", b"{}"), None)
    await database.write(lambda connection: snapshots.write(connection, [snapshot(1)], anew=True))
    found, archived = await database.read(lambda connection: snapshots.find(connection, A1, "1-a"))
    assert found is not None
    assert (found.version, archived) == (1, None)
    assert await database.read(lambda connection: snapshots.find(connection, A2, "1-a")) == (None, None)


async def test_snapshots_of_a_form_that_nobody_writes_any_more_are_forgotten(database: Database) -> None:
    every = [snapshot(2, "1-a", 1.0), snapshot(2, "1-b", 50.0), snapshot(2, "2-c", 90.0)]
    await database.write(lambda connection: snapshots.write(connection, every))
    assert await database.write(lambda connection: snapshots.forget_outdated(connection, 60.0)) == 2
    assert await database.write(lambda connection: snapshots.forget_outdated(connection, 100.0)) == 0


# --- several writers ------------------------------------------------------------------------


@pytest.fixture
async def postgres(postgres_url: str) -> AsyncIterator[Database]:
    """An open PostgreSQL database."""
    opened = await Database.open(postgres_url, migrate=True)
    yield opened
    await opened.close()


@pytest.fixture
def writers(postgres: Database) -> Iterator[Engine]:
    """Connections to it, as other processes have them."""
    target = postgres.address.target.replace("postgresql:", "postgresql+psycopg:", 1)
    made = create_engine(target, pool_size=10)
    yield made
    made.dispose()


async def test_a_writer_waits_for_the_one_before_and_then_conflicts(postgres: Database, writers: Engine) -> None:
    with writers.connect() as first:
        streams.one(first, commit(to(A1, 0, "e-1")))
        second = asyncio.create_task(put(postgres, commit(to(A1, 0, "e-2")), commit(to(A2, 0, "e-3"))))
        while not await postgres.read(_someone_waits):
            await asyncio.sleep(0.01)
        first.commit()
    bad, good = await second
    assert conflict(bad) == ("account/a-1", 0, 1)
    assert isinstance(good, Appended)


async def test_two_who_append_to_two_streams_in_either_order_never_deadlock(
    postgres: Database, writers: Engine
) -> None:
    def write(name: str, order: list[StreamId]) -> None:
        for number in range(25):
            with writers.begin() as connection:
                appends = [to(stream, ANY_VERSION, f"{name}-{number}-{stream.aggregate_id}") for stream in order]
                streams.one(connection, commit(*appends))

    await asyncio.gather(
        asyncio.to_thread(write, "x", [A1, A2]),
        asyncio.to_thread(write, "y", [A2, A1]),
        asyncio.to_thread(write, "z", [A1, A2]),
    )
    assert [version for version, _ in await ids(postgres, A1)] == list(range(1, 76))
    assert [version for version, _ in await ids(postgres, A2)] == list(range(1, 76))


async def test_a_transaction_that_sees_an_older_state_conflicts(postgres: Database, writers: Engine) -> None:
    old = writers.connect().execution_options(isolation_level="REPEATABLE READ")
    with old:
        old.exec_driver_sql("SELECT 1")
        await put(postgres, commit(to(A1, 0, "e-1")))
        with pytest.raises(ConcurrencyConflict) as caught:
            streams.one(old, commit(to(A1, 0, "e-2")))
        assert caught.value.actual is None
        old.rollback()


def _someone_waits(connection: Connection) -> bool:
    return bool(connection.scalar(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")))
