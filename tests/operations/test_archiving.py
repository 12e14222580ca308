"""Acts on whole sets of failures: planned, frozen, taken back, in the audit."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from engine.errors import ReadOnly
from engine.operations import archiving, auditing, exporting
from engine.operations.failures import Filter, Status, ids, one
from engine.operations.masking import MASK, UNMASKED, Masking
from engine.operations.operator import Operator
from engine.storage.database import Database
from tests.support.failing import bury

ANNA = Operator("anna@web-1")
LOOKER = Operator("bert@web-1", read_only=True)
EVERY = Filter()


async def bury_some(database: Database, count: int) -> list[int]:
    return [await bury(database, f"e-{number}", arrived=1000.0 + number) for number in range(count)]


async def statuses(database: Database) -> dict[int, str]:
    found = await ids(database, EVERY)
    return {each: str((await one(database, each, masking=UNMASKED)).row.status) for each in sorted(found)}


async def test_an_act_and_its_undo(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiving, "GROUP", 2)
    known = await bury_some(database, 5)
    first = await archiving.archive(
        database, await archiving.plan_archive(database, Filter(ids=known[:1])), operator=ANNA, why="a test"
    )
    steps: list[int] = []
    planned = await archiving.plan_archive(database, Filter(ids=[*known, 999]))
    assert (planned.ids, planned.left) == (tuple(known[1:]), {"archived already": 1, "not there": 1})
    late = await bury(database, "late")
    second = await archiving.archive(database, planned, operator=ANNA, advance=steps.append)

    assert (second.ids, steps) == (known[1:], [2, 2])
    assert set((await statuses(database)).values()) == {"archived", "open"}
    undo = await archiving.plan_restore(database, Filter(act=second.token))
    assert undo.ids == tuple(known[1:])
    assert (await archiving.restore(database, undo, operator=ANNA)).ids == known[1:]
    assert await statuses(database) == {known[0]: "archived", **dict.fromkeys(known[1:], "open"), late: "open"}
    assert (await archiving.plan_restore(database, Filter(act=second.token))).ids == ()
    assert (await archiving.plan_restore(database, Filter(act=first.token))).ids == (known[0],)

    entries = await auditing.entries(database, action="failures*")
    assert [entry.action for entry in entries] == ["failures restore"] * 2 + ["failures archive"] * 3
    assert entries[-1].what == {"act": first.token, "asked": f"id:{known[0]} status:all", "failures": known[:1]}
    assert (entries[-1].who, entries[-1].why, entries[-1].outcome) == (
        "anna@web-1",
        "a test",
        {"changed": 1, "left": 0},
    )
    assert entries[0].what["undone"] == second.token


async def test_what_changed_after_the_plan_is_left_alone(database: Database) -> None:
    known = await bury_some(database, 2)
    planned = await archiving.plan_archive(database, EVERY)
    await archiving.archive(database, await archiving.plan_archive(database, Filter(ids=known[:1])), operator=ANNA)
    assert (await archiving.archive(database, planned, operator=ANNA)).ids == known[1:]


async def test_an_undo_takes_no_other_act_back_that_came_between(database: Database) -> None:
    known = await bury_some(database, 1)
    act = await archiving.archive(database, await archiving.plan_archive(database, EVERY), operator=ANNA)
    undo = await archiving.plan_restore(database, Filter(act=act.token))
    await archiving.restore(database, undo, operator=ANNA)
    await archiving.archive(database, await archiving.plan_archive(database, EVERY), operator=ANNA)
    assert (await archiving.restore(database, undo, operator=ANNA)).ids == []
    assert await statuses(database) == {known[0]: "archived"}


async def test_only_the_archive_is_deleted_from(database: Database) -> None:
    known = await bury_some(database, 3)
    planned = await archiving.plan_delete(database, EVERY)
    assert (planned.ids, planned.left) == ((), {"not archived": 3})
    await archiving.archive(database, await archiving.plan_archive(database, Filter(ids=known[:2])), operator=ANNA)
    planned = await archiving.plan_delete(database, EVERY)
    undo = await archiving.plan_restore(database, Filter(ids=known[:1]))
    await archiving.restore(database, undo, operator=ANNA)
    assert (await archiving.delete(database, planned, operator=ANNA, why="law")).ids == known[1:2]
    assert sorted(await statuses(database)) == [known[0], known[2]]


async def test_an_export_is_lines_of_json_without_secrets(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "GROUP", 2)
    for number in range(5):
        await bury(
            database, f"e-{number}", body=b'{"password": "p1", "note": "\\u001b]52;\x7f"}', arrived=1000.0 + number
        )

    async def exported(operator: Operator, masking: Masking) -> bytes:
        selection = await exporting.plan_export(database, EVERY)
        chunks = exporting.export(database, selection, operator=operator, masking=masking)
        return b"".join([chunk async for chunk in chunks])

    written = await exported(ANNA, Masking())
    assert all(0x20 <= byte < 0x7F or byte == 0x0A for byte in written)
    rows = [json.loads(line) for line in written.splitlines()]
    assert [row["event_id"] for row in rows] == [f"e-{number}" for number in range(5)]
    assert [json.loads(row["body"])["password"] for row in rows] == [MASK] * 5
    assert b"p1" in await exported(ANNA, UNMASKED)
    assert [entry.what["masked"] for entry in await auditing.entries(database)] == [False, True]
    assert await exported(LOOKER, Masking()) == written
    with pytest.raises(ReadOnly):
        await exported(LOOKER, UNMASKED)
    assert await auditing.count(database) == 2


async def test_the_audit_is_searched(database: Database) -> None:
    known = await bury_some(database, 3)
    for failure_id, who in zip(known, ("anna@a", "bert@b", "anna@c"), strict=True):
        planned = await archiving.plan_archive(database, Filter(ids=[failure_id]))
        await archiving.archive(database, planned, operator=replace_who(who), why=f"because of {who}")
    entries = await auditing.entries(database)
    newest, middle, oldest = (entry.id for entry in entries)
    assert newest is not None
    assert oldest is not None

    async def found(**wanted: object) -> list[int | None]:
        return [entry.id for entry in await auditing.entries(database, **wanted)]  # type: ignore[arg-type]

    assert await found(who="anna@*") == [newest, oldest]
    assert await found(who="bert@b", action="failures archive") == [middle]
    assert await found(action="nothing") == []
    assert await found(text="OF ANNA@C") == [newest]
    assert await found(text=f"id:{known[1]} ") == [middle]
    assert await found(before=newest, limit=1) == [middle]
    assert await found(after=oldest, limit=1) == [middle]
    assert await found(after=oldest) == [newest, middle]
    assert await found(since=entries[0].at + 1) == []
    assert await found(until=entries[0].at + 1) == [newest, middle, oldest]
    assert await auditing.count(database, who="anna@*", above=oldest) == 1
    assert await auditing.actions(database) == ["failures archive"]
    assert auditing.entry_dict(entries[0])["who"] == "anna@c"


def replace_who(who: str) -> Operator:
    return ANNA._replace(who=who)


async def test_a_filter_by_status_plans_what_it_says(database: Database) -> None:
    await bury_some(database, 2)
    assert len((await archiving.plan_archive(database, replace(EVERY, status=Status.OPEN))).ids) == 2
    assert (await archiving.plan_archive(database, replace(EVERY, status=Status.ARCHIVED))).ids == ()
    assert (await archiving.plan_restore(database, replace(EVERY, status=Status.OPEN))).left == {"not archived": 2}
