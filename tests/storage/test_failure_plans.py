"""How SQLite looks for failures: along an index in the order of arrival, so that a page costs its rows and no more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from engine.model.failure import Status
from engine.model.filter import Filter
from engine.storage import arrivals, failure_groups, failure_search, failure_terms
from engine.storage.database import Database
from engine.storage.failure_groups import Window
from tests.storage.test_failures import add, failure

if TYPE_CHECKING:
    from sqlalchemy import Connection

NUMBER = 60
PLACE = (110.0, 20)

FILTERS = [
    Filter(),
    Filter(status=Status.OPEN),
    Filter(handler="h1"),
    Filter(queue="shop.h1"),
    Filter(event_type="order.placed"),
    Filter(exception="Error1"),
    Filter(correlation_id="c3"),
    Filter(fingerprint="f3"),
    Filter(arrived_after=105.0),
]


@pytest.fixture
async def many(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Failures where every term holds for too many to be looked at one by one."""
    monkeypatch.setattr(failure_terms, "RARE", 0)
    rows = [
        failure(
            f"e-{number:02}",
            arrived=100.0 + number / 2,
            handler=f"h{number % 3}",
            queue=f"shop.h{number % 3}",
            exception=f"Error{number % 5}",
            event_type="order.placed",
            fingerprint=f"f{number % 15}",
            correlation_id=f"c{number // 6}",
        )
        for number in range(NUMBER)
    ]
    await add(sqlite_database, *rows)
    return sqlite_database


@contextmanager
def noted(connection: Connection) -> Iterator[list[tuple[str, Any]]]:
    """The statements of a while, with their parameters."""
    found: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        found.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(connection, "before_cursor_execute", note)


async def plans(database: Database, work: Callable[[Connection], object]) -> list[str]:
    """The steps of the plans of all statements."""

    def explain(connection: Connection) -> list[str]:
        with noted(connection) as statements:
            work(connection)
        return [
            row[3]
            for statement, parameters in statements
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]

    return await database.read(explain)


def slow(steps: list[str]) -> list[str]:
    """The steps that read all failures, or put what they found in order."""
    return [step for step in steps if "TEMP B-TREE" in step or step == "SCAN warren_failures"]


@pytest.mark.parametrize("wanted", FILTERS, ids=str)
@pytest.mark.parametrize("oldest_first", [False, True])
async def test_a_page_follows_an_index_in_its_order(many: Database, wanted: Filter, oldest_first: bool) -> None:
    for after in (None, PLACE):
        steps = await plans(
            many,
            lambda connection, after=after: failure_search.search(  # type: ignore[misc]
                connection, wanted, limit=5, after=after, oldest_first=oldest_first
            ),
        )
        assert any("warren_failures USING" in step for step in steps), steps
        assert slow(steps) == []


@pytest.mark.parametrize("text", ["order.placed", "h1", "nobody"])
async def test_a_text_is_looked_for_without_reading_all_failures(
    monkeypatch: pytest.MonkeyPatch, many: Database, text: str
) -> None:
    """Where many hold it the page walks the order of arrival; where few do, only those are read."""
    for rare in (0, 1000):
        monkeypatch.setattr(failure_terms, "RARE", rare)
        steps = await plans(many, lambda connection: failure_search.search(connection, Filter(texts=(text,)), limit=5))
        assert [step for step in steps if step.startswith("SCAN warren_failures") and "USING" not in step] == []
        assert (slow(steps) == []) or rare or text == "nobody"  # what few hold is found first, and put in order then


@pytest.mark.parametrize("wanted", FILTERS, ids=str)
async def test_counting_what_stands_before_a_row_reads_an_index_alone(many: Database, wanted: Filter) -> None:
    steps = await plans(many, lambda connection: failure_search.count(connection, wanted, above=PLACE))
    counting = [step for step in steps if step.startswith(("SEARCH", "SCAN")) and "warren_failures" in step]
    assert counting, steps
    assert all("USING COVERING INDEX" in step for step in counting), steps


async def test_groups_are_not_counted_row_by_row(many: Database) -> None:
    """The kept counts tell the numbers, the index by fingerprint the rest."""
    window = Window(100.0, 140.0, 4)
    wanted = Filter(status=Status.OPEN)
    steps = await plans(many, lambda connection: failure_groups.groups(connection, wanted, window=window))
    told = [step for step in steps if "warren_failures" in step]
    assert any("warren_failures_fingerprint" in step for step in told), steps
    assert [step for step in told if step.startswith("SCAN")] == []


async def test_what_arrived_of_late_is_found_by_its_time(many: Database) -> None:
    steps = await plans(many, lambda connection: arrivals.arrivals(connection, 120.0, 130.0, 5))
    assert any("SEARCH warren_failures USING COVERING INDEX warren_failures_arrived" in step for step in steps), steps


async def test_rows_that_are_skipped_are_only_counted_off(many: Database) -> None:
    """Skipped as whole rows, each would be read, and asked what became of it."""
    steps = await plans(many, lambda connection: failure_search.search(connection, Filter(), limit=5, skip=40))
    assert any(step.startswith("SCAN warren_failures USING COVERING INDEX") for step in steps), steps


@pytest.mark.parametrize("wanted", [Filter(event_id="e-7"), Filter(event_id="e-7", queue="q1")], ids=str)
async def test_a_failure_is_found_by_its_event_without_reading_the_rest(many: Database, wanted: Filter) -> None:
    steps = await plans(many, lambda connection: failure_search.search(connection, wanted, limit=5))
    assert any("warren_failures_key (queue=? AND event_id=?)" in step for step in steps), steps
    assert [step for step in steps if step.startswith("SCAN warren_failures ")] == []
