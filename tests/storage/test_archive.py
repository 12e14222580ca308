"""Archiving, taking back, and deleting; edits beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from engine.model.failure import Status
from engine.model.filter import Filter
from engine.model.message import Message
from engine.storage import archive, audit, edits, failure_search, failures
from engine.storage.database import Database
from engine.storage.edits import EditState, NewEdit
from tests.storage.test_failures import add, failure

if TYPE_CHECKING:
    from sqlalchemy import Connection


@pytest.fixture
async def ids(database: Database) -> list[int]:
    """Four failures; the last was redriven."""
    await add(database, *(failure(f"e-{n}", original=Message(b'{"n": 1}', type="t")) for n in range(4)))
    found = await database.read(lambda connection: failure_search.select_ids(connection, Filter()))
    await database.write(
        lambda connection: failures.set_status(connection, found[3:], Status.REDRIVEN, now=1.0, redriven_run=3)
    )
    return found


async def statuses(database: Database) -> list[str]:
    rows = await database.read(lambda connection: failure_search.search(connection, Filter(), oldest_first=True))
    return [str(row.status) for row in rows]


async def count(database: Database, table: str) -> Any:
    return await database.read(lambda connection: connection.scalar(text(f"SELECT count(*) FROM {table}")))


async def test_an_act_is_taken_back_exactly(database: Database, ids: list[int]) -> None:
    def change(work: Any, *arguments: Any) -> Any:
        return database.write(lambda connection: work(connection, *arguments))

    assert await change(archive.archive, ids[:1], "a-1", 2.0) == ids[:1]
    assert await change(archive.archive, [*ids, 999], "a-2", 3.0) == ids[1:]
    assert await statuses(database) == ["archived"] * 4
    assert await change(archive.restore, ids, "a-2", 4.0) == ids[1:]
    assert await statuses(database) == ["archived", "open", "open", "redriven"]
    assert await change(archive.restore, ids, "a-2", 5.0) == []
    assert await change(archive.restore, ids, None, 6.0) == ids[:1]
    assert await statuses(database) == ["open", "open", "open", "redriven"]


async def test_one_archived_by_an_older_program_gets_a_status_that_fits(database: Database, ids: list[int]) -> None:
    await database.write(lambda connection: failures.set_status(connection, ids, Status.ARCHIVED, now=2.0))
    await database.write(lambda connection: archive.restore(connection, ids, None, 3.0))
    assert await statuses(database) == ["open", "open", "open", "redriven"]


async def test_only_what_is_archived_is_deleted_and_nothing_of_it_stays(database: Database, ids: list[int]) -> None:
    for failure_id in ids[:2]:
        new = NewEdit(failure_id, b"{}", b"[]", "[]")
        await database.write(lambda connection, new=new: edits.add(connection, new, who="a", why="", now=1.0))  # type: ignore[misc]
    await database.write(lambda connection: archive.archive(connection, ids[1:3], "a-1", 2.0))
    assert await database.write(lambda connection: archive.remove(connection, ids)) == ids[1:3]
    for table, left in (
        ("warren_failures", 2),
        ("warren_failed_messages", 2),
        ("warren_failure_fields", 2),
        ("warren_edits", 1),
    ):
        assert await count(database, table) == left, table
    assert await database.read(lambda connection: failure_search.count(connection, Filter(texts=("broken",)))) == 2


async def test_a_failure_has_one_edit_that_waits(database: Database, ids: list[int]) -> None:
    def work(connection: Connection) -> tuple[edits.Edit, edits.Edit]:
        first = edits.add(connection, NewEdit(ids[0], b"1", b"2", "[]"), who="anna", why="a", now=1.0)
        second = edits.add(connection, NewEdit(ids[0], b"1", b"3", "[]"), who="bert", why="b", now=2.0)
        return first, second

    first, second = await database.write(work)
    assert await database.read(lambda connection: edits.pending(connection, ids)) == {ids[0]: second}
    assert (second.original, second.edited, second.who, second.state) == (b"1", b"3", "bert", EditState.PENDING)
    await database.write(lambda connection: edits.mark_sent(connection, [second.id], "rd-1", 3.0))
    assert await database.read(lambda connection: edits.pending(connection, ids)) == {}
    assert await database.write(lambda connection: edits.end(connection, ids, EditState.REVERTED, now=4.0)) == 0
    history = await database.read(lambda connection: edits.history(connection, ids[0]))
    assert [(edit.id, edit.state, edit.operation) for edit in history] == [
        (second.id, EditState.SENT, "rd-1"),
        (first.id, EditState.REPLACED, None),
    ]


async def test_the_audit_cannot_be_changed(database: Database) -> None:
    entry = audit.Entry(1.0, "anna", "x", "", {}, {})
    await database.write(lambda connection: audit.append(connection, entry))
    for statement in ("UPDATE warren_audit SET who = 'bert'", "DELETE FROM warren_audit"):
        with pytest.raises(DatabaseError, match="append-only"):
            await database.write(lambda connection, statement=statement: connection.execute(text(statement)))  # type: ignore[misc]
    assert len(await database.read(audit.list_entries)) == 1
