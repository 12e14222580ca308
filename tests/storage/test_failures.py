from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, insert, text

from engine.model.message import Message
from engine.model.record import Record, State
from engine.storage import failure_groups, failure_search, failure_terms, failures, records, tables
from engine.storage.database import Database
from engine.storage.failure_search import Filter
from engine.storage.failures import Failure, FailureRow, Outcome, Status

ORIGINAL = Message(b"\x00body\xff", {"h": b"\x00"}, message_id="e", type="order.placed", timestamp=1)


def failure(event_id: str = "e", **changes: Any) -> Failure:
    return Failure(
        queue="shop.orders",
        event_id=event_id,
        run=2,
        body_hash=b"hash",
        event_type="order.placed",
        handler="orders",
        worker="host:1:abc",
        reason="retries exhausted",
        exception="ValueError",
        message="it is broken",
        traceback="Traceback …",
        fingerprint="f1",
        attempts=4,
        first_failed=90.0,
        last_failed=99.0,
        arrived=100.0,
        exchange="events",
        routing_key="order.placed",
        correlation_id="c",
        original=ORIGINAL,
    )._replace(**changes)


async def add(database: Database, *found: Failure) -> int:
    return await database.write(lambda connection: failures.add(connection, found))


async def search(database: Database, *, limit: int = 100, after: Any = None, **wanted: Any) -> list[FailureRow]:
    return await database.read(
        lambda connection: failure_search.search(connection, Filter(**wanted), limit=limit, after=after)
    )


async def found(database: Database, **wanted: Any) -> list[str]:
    return sorted(row.event_id for row in await search(database, **wanted))


async def test_a_failure_is_kept_whole(database: Database) -> None:
    assert await add(database, failure()) == 1
    (row,) = await search(database)
    assert row.status is Status.OPEN
    assert row.outcome is None
    assert row._asdict() == {
        **{name: value for name, value in failure()._asdict().items() if name in FailureRow._fields},
        "id": row.id,
        "status": Status.OPEN,
        "redriven_run": None,
        "changed": 100.0,
        "outcome": None,
        "edited": False,
    }
    detail = await database.read(lambda connection: failures.get(connection, row.id))
    assert detail == failures.FailureDetail(row, "Traceback …", ORIGINAL)
    assert await database.read(lambda connection: failures.get(connection, row.id + 1)) is None


async def test_a_failure_that_comes_again_is_kept_once(database: Database) -> None:
    assert await add(database, failure(), failure()) == 1
    assert await add(database, failure(message="again"), failure(run=3), failure(body_hash=b"other")) == 2
    assert [row.message for row in await search(database)] == ["it is broken"] * 3


async def test_texts_that_postgresql_refuses_are_made_fit(database: Database) -> None:
    nasty = "\0\ud800" + "é" * 3000
    await add(
        database,
        failure(
            nasty, exception=nasty, message=nasty, traceback=nasty, handler=nasty, correlation_id=nasty, reason=nasty
        ),
    )
    (row,) = await search(database)
    assert row.message == "\N{REPLACEMENT CHARACTER}?" + "é" * 3000
    assert row.event_id == row.message[:255]
    detail = await database.read(lambda connection: failures.get(connection, row.id))
    assert detail is not None
    assert detail.traceback == row.message


async def test_filters(database: Database) -> None:
    await add(
        database,
        failure("a", queue="q1", handler="h1", exception="ValueError", reason="r1", fingerprint="f1"),
        failure("b", queue="q2", handler="h2", exception="ValueTooLarge", reason="r2", fingerprint="f2"),
        failure("c", queue="q2", handler="h2", exception="KeyError", correlation_id="other", arrived=200.0),
    )
    assert await found(database) == ["a", "b", "c"]
    assert await found(database, queue="q2") == ["b", "c"]
    assert await found(database, handler="h1") == ["a"]
    assert await found(database, reason="r2") == ["b"]
    assert await found(database, exception="ValueError") == ["a"]
    assert await found(database, exception="Value*") == ["a", "b"]
    assert await found(database, exception="*") == ["a", "b", "c"]
    assert await found(database, exception="Value%*") == []
    assert await found(database, fingerprint="f2") == ["b"]
    assert await found(database, event_id="c") == ["c"]
    assert await found(database, event_type="order.placed", queue="q1") == ["a"]
    assert await found(database, correlation_id="other") == ["c"]
    assert await found(database, arrived_before=200.0) == ["a", "b"]
    assert await found(database, arrived_after=100.0) == ["c"]
    assert await found(database, status=Status.ARCHIVED) == []
    assert await found(database, ids=[]) == []
    rows = await search(database)
    assert await found(database, ids=[rows[0].id, 999]) == ["c"]
    assert await database.read(lambda connection: failure_search.count(connection, Filter(queue="q2"))) == 2
    ids = await database.read(lambda connection: failure_search.select_ids(connection, Filter()))
    assert ids == [row.id for row in reversed(rows)]


@pytest.mark.parametrize(
    ("sought", "expected"),
    [
        ("BROKEN", ["a"]),
        ("100%", ["b"]),
        ("%", ["b"]),
        ("_", ["c"]),
        ("snake_case", ["c"]),
        ("\\", ["d"]),
        ("%' OR 1=1--", []),
        ("_%", []),
        ("overflow", ["e"]),
        ("event-f", ["event-f"]),
        ("MAIL", ["g"]),
        ("x-y", ["g"]),
        ("xay", []),
        ("", ["a", "b", "c", "d", "e", "event-f", "g"]),
    ],
)
async def test_text_is_looked_for_as_it_stands(database: Database, sought: str, expected: list[str]) -> None:
    await add(
        database,
        failure("a"),
        failure("b", message="at 100%"),
        failure("c", message="snake_case"),
        failure("d", message="back\\slash"),
        failure("e", message="x", exception="OverflowError"),
        failure("event-f", message="x"),
        failure("g", message="x", handler="send-mail", event_type="x-y.made"),
    )
    assert await found(database, texts=(sought,) if sought else ()) == expected


async def test_pages_go_on_where_the_last_one_ended(database: Database) -> None:
    await add(database, *(failure(f"{number:02}", arrived=100.0 + number // 4) for number in range(25)))
    seen: list[str] = []
    after = None
    while page := await search(database, limit=7, after=after):
        seen += [row.event_id for row in page]
        after = failure_search.cursor(page[-1])
        await add(database, failure(f"new {len(seen)}", arrived=1000.0))  # what arrives meanwhile disturbs nothing
    assert seen == [f"{number:02}" for number in sorted(range(25), key=lambda number: (number // 4, number))][::-1]


async def test_groups(database: Database) -> None:
    await add(
        database,
        *(failure(f"a{number}", fingerprint="often", arrived=100.0 + number) for number in range(3)),
        failure("b", fingerprint="once", arrived=50.0, queue="q2"),
    )
    (first, *_) = await search(database, fingerprint="often")
    await set_status(database, [first.id], Status.ARCHIVED)
    often, once = await database.read(lambda connection: failure_groups.groups(connection, Filter()))
    assert (often.fingerprint, often.total, often.first_seen, often.last_seen) == ("often", 3, 100.0, 102.0)
    assert often.statuses == {Status.OPEN: 2, Status.ARCHIVED: 1}
    assert often.latest.event_id == "a2"
    assert (once.fingerprint, once.total, once.latest.event_id) == ("once", 1, "b")
    of_queue = await database.read(lambda connection: failure_groups.groups(connection, Filter(queue="q2")))
    assert [group.fingerprint for group in of_queue] == ["once"]
    assert len(await database.read(lambda connection: failure_groups.groups(connection, Filter(), limit=1))) == 1


async def set_status(database: Database, ids: list[int], status: Status, redriven_run: int | None = None) -> int:
    return await database.write(
        lambda connection: failures.set_status(connection, ids, status, now=300.0, redriven_run=redriven_run)
    )


async def test_what_became_of_a_redriven_failure(database: Database) -> None:
    ids = ["pending", "waiting", "done", "again", "otherwise", "long ago"]
    await add(database, *(failure(event_id) for event_id in ids))
    rows = await search(database)
    assert await set_status(database, [row.id for row in rows], Status.REDRIVEN, redriven_run=3) == 6
    await add(database, failure("again", run=4), failure("otherwise", run=4, fingerprint="f2"))

    def record(event_id: str, state: State, run: int) -> Record:
        return Record("shop.orders", event_id, state, run, 1, 1, "w", b"hash", 0, False, 1.0, 1.0)

    known = [record("waiting", State.WAITING, 3), record("done", State.DONE, 3), record("long ago", State.DONE, 2)]
    await database.write(lambda connection: records.put(connection, known))
    outcomes = {row.event_id: row.outcome for row in await search(database, status=Status.REDRIVEN)}
    assert outcomes == {
        "pending": Outcome.PENDING,
        "waiting": Outcome.PENDING,
        "done": Outcome.SUCCEEDED,
        "again": Outcome.FAILED_AGAIN,
        "otherwise": Outcome.FAILED_OTHERWISE,
        "long ago": Outcome.PENDING,
    }
    (row, *_) = await search(database, event_id="done")
    assert (row.redriven_run, row.changed) == (3, 300.0)


async def test_get_many(database: Database) -> None:
    await add(database, failure("a"), failure("b"), failure("c"))
    ids = [row.id for row in await search(database)]
    many = await database.read(lambda connection: failures.get_many(connection, [*ids[1:], 999]))
    assert [detail.row.event_id for detail in many] == ["a", "b"]
    assert many[0].original == ORIGINAL


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(),
        Filter(queue="q1"),
        Filter(handler="h1"),
        Filter(exception="E1"),
        Filter(status=Status.OPEN),
        Filter(correlation_id="c1"),
        Filter(fingerprint="f1"),
        Filter(exception="E*"),
    ],
)
async def test_a_page_is_served_by_an_index(
    sqlite_database: Database, wanted: Filter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a scan of the table nor a sort of what is not rare: 100,000 failures are like ten."""
    monkeypatch.setattr(failure_terms, "RARE", 20)

    def fill(connection: Connection) -> None:
        row = failure()._asdict()
        del row["original"], row["traceback"]
        rows = [
            {
                **row,
                "event_id": str(number),
                "queue": f"q{number % 10}",
                "handler": f"h{number % 10}",
                "exception": f"E{number % 10}",
                "fingerprint": f"f{number % 10}",
                "correlation_id": f"c{number}",
                "arrived": float(number),
                "status": "open",
                "changed": 0.0,
            }
            for number in range(1000)
        ]
        connection.execute(insert(tables.failures), rows)

    def plan(connection: Connection) -> list[str]:
        found = failure_terms.narrow(connection, wanted)
        assert found.rare is (wanted.correlation_id is not None)
        statement = failure_search.page(found, failure_search.Order((500.0, 500)), limit=50)
        compiled = statement.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
        return [str(row[3]) for row in connection.execute(text(f"EXPLAIN QUERY PLAN {compiled}"))]

    await sqlite_database.write(fill)
    steps = [step for step in await sqlite_database.read(plan) if "warren_failures" in step or "ORDER BY" in step]
    assert steps
    assert not [step for step in steps if step.startswith("SCAN")], steps
    assert wanted.correlation_id or not [step for step in steps if "TEMP B-TREE" in step], steps
