"""Searching finds what a plain look at each failure finds, whichever index serves it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from engine.model.failure import Status
from engine.model.filter import Filter
from engine.model.message import Message
from engine.storage import (
    archive,
    edits,
    failure_counts,
    failure_fields,
    failure_groups,
    failure_search,
    failure_terms,
    failures,
)
from engine.storage.database import Database
from engine.storage.failure_groups import Window
from tests.storage.test_failures import add, failure

if TYPE_CHECKING:
    from sqlalchemy import Connection

NUMBER = 60


def body(number: int) -> bytes:
    return json.dumps({"order_id": number, "currency": "EUR", "lines": [{"sku": f"s{number % 7}"}]}).encode()


@pytest.fixture
async def filled(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Sixty failures of several kinds, where more than ten are many."""
    monkeypatch.setattr(failure_terms, "RARE", 10)
    rows = [
        failure(
            f"e-{number:02}",
            arrived=100.0 + number / 2,
            handler=f"h{number % 3}",
            queue=f"shop.h{number % 3}",
            exception=f"Error{number % 5}",
            event_type="order.placed" if number % 4 else "order.paid",
            fingerprint=f"f{number % 15}",
            correlation_id=f"c{number // 2}",
            message=f"no answer for order {number}" if number % 2 else "NO ANSWER",
            original=Message(body(number), type="order.placed"),
        )
        for number in range(NUMBER)
    ]
    await add(database, *rows)
    ids = await database.read(lambda connection: failure_search.select_ids(connection, Filter()))
    await database.write(lambda connection: archive.archive(connection, ids[::9], "a-1", 1.0))
    return database


def number_of(row: Any) -> int:
    return int(row.event_id[2:])


CASES: list[tuple[Filter, Callable[[int], bool]]] = [
    (Filter(), lambda n: True),
    (Filter(handler="h1"), lambda n: n % 3 == 1),
    (Filter(handler="h*"), lambda n: True),
    (Filter(queue="shop.h2", exception="Error1"), lambda n: n % 3 == 2 and n % 5 == 1),
    (Filter(exception="Error*", event_type="order.paid"), lambda n: n % 4 == 0),
    (Filter(exception="error*"), lambda n: False),
    (Filter(event_type="order.p*", handler="h0"), lambda n: n % 3 == 0),
    (Filter(fields=(("data.order_id", "17"),)), lambda n: n == 17),
    (Filter(fields=(("data.order_id", "17.0"),)), lambda n: n == 17),
    (Filter(fields=(("data.currency", "EUR"),)), lambda n: True),
    (Filter(fields=(("data.currency", "EUR"), ("data.lines.sku", "s3"))), lambda n: n % 7 == 3),
    (Filter(fields=(("data.currency", "USD"),)), lambda n: False),
    (Filter(texts=("order 3",)), lambda n: n % 2 == 1 and (n == 3 or 30 <= n < 40)),
    (Filter(texts=("No Answer",)), lambda n: True),
    (Filter(texts=("r 5", "answer")), lambda n: n % 2 == 1 and (n == 5 or n >= 50)),
    (Filter(texts=("e-5",)), lambda n: n >= 50),
    (Filter(texts=("H1",)), lambda n: n % 3 == 1),
    (Filter(texts=("er.pai",)), lambda n: n % 4 == 0),
    (Filter(texts=("er.paid", "h2", "answer")), lambda n: n % 4 == 0 and n % 3 == 2),
    (Filter(texts=("order.placed", "order 5")), lambda n: n % 2 == 1 and (n == 5 or n >= 50)),
    (Filter(texts=("z",)), lambda n: False),
    (Filter(texts=('"; DROP',)), lambda n: False),
    (Filter(texts=("%",)), lambda n: False),
    (Filter(texts=("\0nul",)), lambda n: False),
    (Filter(correlation_id="c4"), lambda n: n // 2 == 4),
    (Filter(fingerprint="f3"), lambda n: n % 15 == 3),
    (Filter(event_id="e-07"), lambda n: n == 7),
    (Filter(act="a-1"), lambda n: n % 9 == 0),
    (Filter(status=Status.ARCHIVED), lambda n: n % 9 == 0),
    (Filter(status=Status.OPEN, handler="h0"), lambda n: n % 9 != 0 and n % 3 == 0),
    (Filter(arrived_after=120.0), lambda n: n > 40),
    (Filter(arrived_before=103.0, handler="h1"), lambda n: n < 6 and n % 3 == 1),
    (Filter(edited=True), lambda n: False),
    (Filter(edited=False, handler="h2"), lambda n: n % 3 == 2),
]


async def test_each_filter_finds_what_it_says(filled: Database) -> None:
    window = Window(100.0, 130.0, 5)

    def look(connection: Connection, wanted: Filter) -> tuple[list[Any], int, list[int], list[Any], list[Any]]:
        return (
            failure_search.search(connection, wanted),
            failure_search.count(connection, wanted),
            failure_search.select_ids(connection, wanted, newest_first=True),
            failure_search.search(connection, wanted, oldest_first=True),
            failure_groups.groups(connection, wanted, window=window),
        )

    for wanted, holds in CASES:
        rows, count, ids, backwards, groups = await filled.read(
            lambda connection, wanted=wanted: look(connection, wanted)
        )  # type: ignore[misc]
        expected = [number for number in range(NUMBER) if holds(number)]
        found = [number_of(row) for row in rows]
        assert found == expected[::-1], wanted
        assert (count, ids) == (len(expected), [row.id for row in rows]), wanted
        assert backwards == rows[::-1], wanted
        check_groups(groups, expected, wanted)


def check_groups(groups: Sequence[failure_groups.Group], expected: list[int], wanted: Filter) -> None:
    members: dict[str, list[int]] = {}
    for number in expected:
        members.setdefault(f"f{number % 15}", []).append(number)
    assert {group.fingerprint: group.total for group in groups} == {
        fingerprint: len(numbers) for fingerprint, numbers in members.items()
    }, wanted
    assert [group.total for group in groups] == sorted((group.total for group in groups), reverse=True)
    for group in groups:
        numbers = members[group.fingerprint]
        assert group.first_seen == 100.0 + min(numbers) / 2, wanted
        assert group.last_seen == 100.0 + max(numbers) / 2, wanted
        assert number_of(group.latest) == max(numbers), wanted
        archived = sum(number % 9 == 0 for number in numbers)
        assert group.statuses.get(Status.ARCHIVED, 0) == archived, wanted
        assert group.statuses.get(Status.OPEN, 0) == len(numbers) - archived, wanted
        parts = [0] * 5
        for number in numbers:
            parts[number // 12] += 1
        assert group.buckets == tuple(parts), wanted


async def test_ids_in_a_filter_hold_with_the_rest_and_may_be_many(filled: Database) -> None:
    ids = await filled.read(lambda connection: failure_search.select_ids(connection, Filter()))
    wanted = Filter(ids=[*ids[:6], *range(10_000, 90_000)], handler="h1")
    rows = await filled.read(lambda connection: failure_search.search(connection, wanted))
    assert sorted(map(number_of, rows)) == [1, 4]
    assert await filled.read(lambda connection: failure_search.count(connection, wanted)) == 2
    assert await filled.read(lambda connection: failure_search.search(connection, Filter(ids=()))) == []


@pytest.mark.parametrize(
    "wanted", [Filter(handler="h1"), Filter(fingerprint="f3"), Filter(handler="h1", texts=("answer",))]
)
async def test_pages_and_places(filled: Database, wanted: Filter) -> None:
    def look(connection: Connection) -> None:
        every = failure_search.search(connection, wanted)
        places = [failure_search.cursor(row) for row in every]
        ids = [row.id for row in every]
        for at, place in enumerate(places):
            after = failure_search.search(connection, wanted, after=place, limit=3)
            assert after == every[at + 1 : at + 4]
            assert failure_search.search(connection, wanted, after=place, skip=1, limit=2) == every[at + 2 : at + 4]
            assert failure_search.search(connection, wanted, after=place, inclusive=True, limit=1) == [every[at]]
            before = failure_search.search(connection, wanted, after=place, oldest_first=True, limit=2)
            assert before == every[max(at - 2, 0) : at][::-1]
            assert failure_search.count(connection, wanted, above=place) == at
            assert failure_search.count(connection, wanted, below=place) == len(every) - at - 1
            span = failure_search.select_ids(connection, wanted, newest_first=True, newest=place)
            assert span == ids[at:]
            span = failure_search.select_ids(connection, wanted, newest_first=True, oldest=place)
            assert span == ids[: at + 1]
        assert failure_search.rows_of(connection, [ids[2], 99_999, ids[0]]) == [every[2], every[0]]

    await filled.read(look)


async def test_rare_terms_decide_on_sqlite(filled: Database) -> None:
    def rare(connection: Connection, **wanted: Any) -> bool:
        return failure_terms.narrow(connection, Filter(**wanted)).rare

    def look(connection: Connection) -> list[bool]:
        return [
            rare(connection),
            rare(connection, handler="h1"),
            rare(connection, handler="h1", fingerprint="f1"),
            rare(connection, fields=(("data.currency", "EUR"),)),
            rare(connection, fields=(("data.order_id", "1"),)),
            rare(connection, texts=("answer",)),
            rare(connection, texts=("order 17",)),
            rare(connection, arrived_after=128.0),
        ]

    expected = [False, False, True, False, True, False, True, True]
    assert await filled.read(look) == (expected if filled.dialect == "sqlite" else [False] * 8)


async def test_counts_are_kept_on_sqlite(filled: Database) -> None:
    if filled.dialect != "sqlite":
        assert not await filled.read(lambda connection: failure_counts.serves(connection, Filter()))
        return
    ids = await filled.read(lambda connection: failure_search.select_ids(connection, Filter()))
    await filled.write(lambda connection: failures.set_status(connection, ids[:7], Status.REDRIVEN, now=1.0))
    await filled.write(lambda connection: archive.remove(connection, ids))

    def compare(connection: Connection) -> None:
        kinds = "fingerprint, status, handler, queue, exception, event_type"
        counted = connection.execute(text(f"SELECT {kinds}, count(*) FROM warren_failures GROUP BY {kinds}")).all()
        kept = connection.execute(text(f"SELECT {kinds}, total FROM warren_failure_counts ORDER BY {kinds}")).all()
        assert sorted(map(tuple, counted)) == sorted(map(tuple, kept))
        assert failure_counts.total(connection, Filter(exception="Error*")) == sum(row[-1] for row in counted)

    await filled.read(compare)


async def test_failures_of_an_older_program_are_indexed_later(database: Database) -> None:
    await add(database, *(failure(f"e-{n}", original=Message(body(n), type="t")) for n in range(5)))
    await database.write(lambda connection: connection.execute(text("DELETE FROM warren_failure_fields")))
    await database.write(lambda connection: connection.execute(text("UPDATE warren_failures SET indexed = NULL")))
    wanted = Filter(fields=(("data.order_id", "3"),))

    async def found() -> list[str]:
        rows = await database.read(lambda connection: failure_search.search(connection, wanted))
        return [row.event_id for row in rows]

    assert (await database.read(failure_fields.missing), await found()) == (5, [])
    assert await database.write(lambda connection: failure_fields.catch_up(connection, 2)) == 2
    assert (await database.read(failure_fields.missing), await found()) == (3, ["e-3"])  # the newest first
    assert await database.write(lambda connection: failure_fields.catch_up(connection, 10)) == 3
    assert await database.write(lambda connection: failure_fields.catch_up(connection, 10)) == 0


async def test_an_edit_that_waits_is_seen(filled: Database) -> None:
    [row] = await filled.read(lambda connection: failure_search.search(connection, Filter(event_id="e-10")))
    new = edits.NewEdit(row.id, b"{}", b'{"a":1}', "[]")
    await filled.write(lambda connection: edits.add(connection, new, who="anna", why="", now=5.0))
    rows = await filled.read(lambda connection: failure_search.search(connection, Filter(edited=True)))
    assert [(each.event_id, each.edited) for each in rows] == [("e-10", True)]
    assert await filled.read(lambda connection: failure_search.count(connection, Filter(edited=False))) == NUMBER - 1


async def test_each_queue_has_its_open_failures_counted(filled: Database) -> None:
    rows = await filled.read(lambda connection: failure_search.search(connection, Filter(), limit=10_000))
    for status in Status:
        counted = await filled.read(partial(failure_search.by_queue, status=status))
        assert counted == Counter(row.queue for row in rows if row.status == status)
