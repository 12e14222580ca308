"""The log of events: appended once each, read by position without skipping any, searched by filter."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import IntegrityError

from engine.model.message import Message
from engine.storage import delayed, event_log, event_search, positions
from engine.storage.database import Database
from engine.storage.event_log import Entry, Origin
from engine.storage.event_search import EventFilter

ALL = EventFilter()


def entry(event_id: str, **changes: Any) -> Entry:
    message = Message(
        b'{"order_id": "42"}',
        {},
        message_id=event_id,
        correlation_id="visit-7",
        type=changes.get("event_type", "order.placed"),
        app_id="shop",
        content_type="application/json",
        timestamp=1000,
    )
    made = Entry(
        event_id=event_id,
        event_type="order.placed",
        aggregate_type="order",
        aggregate_id="42",
        version=None,
        origin=Origin.EMITTED,
        queue="shop.orders.charge",
        source="shop",
        correlation_id="visit-7",
        causation_id="e-0",
        exchange="events",
        routing_key="order.placed",
        time=1000.25,
        due=None,
        message=message,
    )
    return made._replace(**{"routing_key": changes.get("event_type", "order.placed"), **changes})


def append(connection: Connection, *entries: Entry, now: float = 2000.0) -> int:
    return event_log.append(connection, entries, now=now)


async def put(database: Database, *entries: Entry, now: float = 2000.0) -> int:
    return await database.write(lambda connection: append(connection, *entries, now=now))


async def found(database: Database, **wanted: Any) -> list[str]:
    """The ids of matching events, oldest first."""
    rows = await database.read(lambda connection: event_search.search(connection, EventFilter(**wanted)))
    return [row.event_id for row in reversed(rows)]


async def test_an_event_is_read_as_it_was_appended(database: Database) -> None:
    odd = Message(
        b"\x00\xff", {"tenant": "t-1", "n": 2, "raw": b"\x00"}, None, None, None, None, "text/plain", "x", "r"
    )
    entries = [entry("e-1"), entry("e-2", message=odd, routing_key="other.key", due=3000.5, correlation_id=None)]
    assert await put(database, *entries) == 2

    first, second = await database.read(lambda connection: event_log.get_many(connection, [2, 1]))

    assert first.row._asdict() == {
        "position": 1,
        **{name: value for name, value in entries[0]._asdict().items() if name != "message"},
        "recorded": 2000.0,
    }
    assert first.message == entries[0].message
    assert (second.row.position, second.row.routing_key, second.row.due) == (2, "other.key", 3000.5)
    assert second.message == odd


async def test_a_message_of_our_own_form_stores_no_property_twice(database: Database) -> None:
    await put(database, entry("e-1"))
    stored = await database.read(lambda connection: connection.scalar(text("SELECT properties FROM warren_events")))
    assert stored == ""


async def test_an_event_is_logged_once_whoever_comes_again(database: Database) -> None:
    assert await put(database, entry("e-1")) == 1
    assert await put(database, entry("e-1", source="stranger"), entry("e-2"), entry("e-2")) == 1
    rows = await database.read(lambda connection: event_search.search(connection, ALL))
    assert [(row.event_id, row.source) for row in rows] == [("e-2", "shop"), ("e-1", "shop")]


async def test_a_version_is_taken_once_in_its_stream(database: Database) -> None:
    await put(database, entry("e-1", version=1), entry("e-2", version=2), entry("e-3"), entry("e-4"))
    with pytest.raises(IntegrityError):
        await put(database, entry("e-5", version=2))
    await put(database, entry("e-6", version=2, aggregate_id="43"))
    assert await found(database) == ["e-1", "e-2", "e-3", "e-4", "e-6"]


async def test_events_are_found_by_what_they_are(database: Database) -> None:
    await put(
        database,
        entry("e-1"),
        entry("e-2", event_type="order.paid", aggregate_id="43"),
        entry("e-3", event_type="order.line.added", correlation_id="visit-8"),
        entry("e-4", event_type="payment.captured", aggregate_type="payment", origin=Origin.JOURNALLED),
        now=100.0,
    )
    await put(database, entry("e-5"), now=200.0)

    assert await found(database, types=["order.placed"]) == ["e-1", "e-5"]
    assert await found(database, types=["order.*"]) == ["e-1", "e-2", "e-5"]
    assert await found(database, types=["order.#", "payment.captured"]) == ["e-1", "e-2", "e-3", "e-4", "e-5"]
    assert await found(database, types=["nothing.*"]) == []
    assert await found(database, aggregate_type="order", aggregate_id="42") == ["e-1", "e-3", "e-5"]
    assert await found(database, aggregate_type="payment") == ["e-4"]
    assert await found(database, correlation_id="visit-8") == ["e-3"]
    assert await found(database, origin=Origin.JOURNALLED) == ["e-4"]
    assert await found(database, event_ids=["e-2", "e-9"]) == ["e-2"]
    assert await found(database, since=200.0) == ["e-5"]
    assert await found(database, until=200.0, types=["order.placed"]) == ["e-1"]
    assert await database.read(lambda connection: event_search.count(connection, EventFilter(since=200.0))) == 1
    assert await database.read(event_search.types) == [
        "order.line.added",
        "order.paid",
        "order.placed",
        "payment.captured",
    ]


async def test_pages_go_on_below_a_position(database: Database) -> None:
    await put(database, *(entry(f"e-{number}") for number in range(7)))

    def pages(connection: Connection) -> list[list[str]]:
        made: list[list[str]] = []
        before: int | None = None
        while rows := event_search.search(connection, ALL, limit=3, before=before):
            made.append([row.event_id for row in rows])
            before = rows[-1].position
        return made

    assert await database.read(pages) == [["e-6", "e-5", "e-4"], ["e-3", "e-2", "e-1"], ["e-0"]]
    assert await database.read(lambda connection: event_search.positions(connection, ALL, after=2, limit=2)) == [3, 4]
    assert await database.read(event_search.newest) == 7


async def test_what_is_not_out_yet_or_never_will_be_can_be_left_out(database: Database) -> None:
    await put(database, entry("now"), *(entry(name, due=3000.0) for name in ("later", "cancelled")))
    await database.write(lambda connection: delayed.add(connection, {"cancelled": 3000.0}, 2000.0))
    assert await database.write(lambda connection: delayed.cancel(connection, "cancelled", 2001.0))
    assert await found(database, out_by=2999.0) == ["now"]
    assert await found(database, out_by=3000.0) == ["now", "later"]


async def test_old_events_are_forgotten_and_streams_never(database: Database) -> None:
    await put(database, entry("e-1"), entry("e-2", version=1), entry("e-3"), now=100.0)
    await put(database, entry("e-4"), now=300.0)

    def old(connection: Connection) -> list[int]:
        found: list[int] = []
        after: int | None = 0
        while after is not None:
            positions, after = event_log.old(connection, after=after, before=200.0, size=2)
            found += positions
        return found

    assert await database.read(old) == [1, 3]
    assert await database.write(lambda connection: event_log.forget(connection, [1, 2, 3])) == 2
    assert await found(database) == ["e-2", "e-4"]


async def test_no_position_is_given_twice_though_all_is_forgotten(database: Database) -> None:
    await put(database, entry("e-1"), entry("e-2"), entry("e-3"))
    assert await database.write(lambda connection: event_log.forget(connection, [1, 2, 3])) == 2
    await put(database, entry("e-4"))
    rows = await database.read(lambda connection: event_search.search(connection, ALL))
    assert [(row.event_id, row.position) for row in rows] == [("e-4", 4), ("e-3", 3)]


# --- reading on -----------------------------------------------------------------------------


async def read_on(database: Database, after: int, limit: int = 100) -> tuple[list[str], int]:
    events, position = await database.read(
        lambda connection: event_search.read_on(connection, ALL, after=after, limit=limit)
    )
    return [event.row.event_id for event in events], position


async def test_a_reader_goes_on_where_it_ended(database: Database) -> None:
    assert await read_on(database, 0) == ([], 0)
    await put(database, *(entry(f"e-{number}") for number in range(3)))
    assert await read_on(database, 0, limit=2) == (["e-0", "e-1"], 2)
    assert await read_on(database, 2) == (["e-2"], 3)
    await put(database, entry("e-0"))  # nothing new
    names, position = await read_on(database, 3)
    assert (names, position >= 3) == ([], True)
    await put(database, entry("e-9"))
    assert (await read_on(database, position))[0] == ["e-9"]


def test_the_position_of_a_key_is_the_nearest_to_what_was_drawn() -> None:
    assert positions.lowest(10, []) == 10
    assert positions.lowest(10, [7, 12]) == 7
    beyond = 3 * 2**31 + 5
    assert positions.lowest(beyond, [(beyond - 100) % 2**31]) == beyond - 100
    assert positions.lowest(beyond, [(beyond + 3) % 2**31]) == beyond


@pytest.fixture
async def postgres(postgres_url: str) -> AsyncIterator[Database]:
    """An open PostgreSQL database."""
    opened = await Database.open(postgres_url, migrate=True)
    yield opened
    await opened.close()


@pytest.fixture
def writers(postgres: Database) -> Iterator[Engine]:
    """Connections to it for transactions that the test holds open."""
    made = create_engine(postgres.address.target.replace("postgresql:", "postgresql+psycopg:", 1), pool_size=10)
    yield made
    made.dispose()


async def test_a_reader_waits_for_a_transaction_that_drew_a_lower_position(postgres: Database, writers: Engine) -> None:
    with writers.connect() as slow, writers.connect() as quick:
        append(slow, entry("slow"))
        append(quick, entry("quick"))
        quick.commit()
        assert await found(postgres) == ["quick"]  # it can be seen …
        names, position = await read_on(postgres, 0)
        assert (names, position) == ([], 0)  # … but a reader that passed 1 by would never come back to it
        slow.commit()
    assert (await read_on(postgres, 0))[0] == ["slow", "quick"]


async def test_a_reader_is_held_up_by_no_one_but_those_who_append(postgres: Database, writers: Engine) -> None:
    """Not by a transaction that is open for hours, as it would be below the snapshot's xmin."""
    with writers.connect() as slow, writers.connect() as quick, writers.connect() as undone:
        slow.exec_driver_sql("CREATE TABLE hours (n int)")  # has an id of its own
        append(undone, entry("undone"))
        append(quick, entry("quick"))
        quick.commit()
        undone.rollback()
        assert await read_on(postgres, 0) == (["quick"], 2)
        savepoint = quick.begin_nested()
        append(quick, entry("in vain"))
        savepoint.rollback()  # it has announced nothing that counts any more
        append(undone, entry("after"))
        undone.commit()
        assert (await read_on(postgres, 2))[0] == ["after"]
        append(quick, entry("at last"))
        append(undone, entry("next"))
        undone.commit()
        assert (await read_on(postgres, 4))[0] == []
        quick.commit()
        assert (await read_on(postgres, 4))[0] == ["at last", "next"]


async def test_appending_again_and_again_takes_one_lock(postgres: Database, writers: Engine) -> None:
    with writers.connect() as one:
        for number in range(20):
            append(one, entry(f"e-{number}"))
        locks = one.scalar(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"))
        assert locks == 1


async def test_a_reader_never_skips_what_concurrent_writers_commit_in_any_order(
    postgres: Database, writers: Engine
) -> None:
    """Eight writers draw positions and commit them, or not, after pauses of any length."""

    def write(seed: int) -> list[str]:
        chance, names = random.Random(seed), []
        for number in range(40):
            with writers.connect() as connection:
                batch = [entry(f"{seed}-{number}-{each}") for each in range(chance.randint(1, 3))]
                append(connection, *batch)
                connection.exec_driver_sql(f"SELECT pg_sleep({chance.choice((0, 0, 0.001, 0.004))})")
                if chance.random() < 0.1:
                    connection.rollback()
                else:
                    connection.commit()
                    names += [one.event_id for one in batch]
        return names

    seen: list[str] = []
    position = 0
    naive: set[str] = set()
    passed = 0
    writing = asyncio.gather(*(asyncio.to_thread(write, seed) for seed in range(8)))
    while True:
        ended = writing.done()
        names, position = await read_on(postgres, position, limit=7)
        seen += names
        rows = await postgres.read(
            lambda connection, after=passed: connection.execute(  # type: ignore[misc]
                text("SELECT position, event_id FROM warren_events WHERE position > :after ORDER BY 1"),
                {"after": after},
            ).all()
        )
        naive |= {row.event_id for row in rows}
        passed = rows[-1].position if rows else passed
        if ended and not names:
            break
    committed = [name for names in await writing for name in names]
    total = len(committed)
    assert total > 300
    assert sorted(seen) == sorted(committed)
    assert len(naive) < total, "the test proves nothing: a reader that just goes on by position missed none"
