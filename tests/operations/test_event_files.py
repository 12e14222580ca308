"""The log as lines of JSON: what goes out comes back in as it was, and nothing else comes in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ReadOnly, UsageError
from engine.model.message import Message
from engine.model.stream import StreamId
from engine.operations import event_files, stream_archive
from engine.operations.masking import UNMASKED, Masking
from engine.operations.operator import Operator
from engine.storage import event_log, event_search, streams
from engine.storage import stream_archive as storage
from engine.storage.database import Database
from engine.storage.event_log import Entry, EventDetail, Origin
from engine.storage.event_search import EventFilter

ME = Operator("me@here")


async def opened(folder: Path, name: str) -> Database:
    return await Database.open(f"sqlite:///{folder}/{name}.db", migrate=True)


def entry(id: str, version: int | None, stream: StreamId = StreamId("account", "a-1"), **more: Any) -> Entry:
    body = json.dumps({"eventType": "account.moved", "data": {"token": "s3cret", "n": 1}}).encode()
    message = Message(body, {"tenant": "t", "raw": b"\x00"}, message_id=id, type="account.moved")
    made = Entry(
        id, "account.moved", *stream, version, Origin.APPENDED, "", "bank", "c-1", None, "events", "account.moved",
        1000.5, None, message,
    )  # fmt: skip
    return made._replace(**more)


ENTRIES = (
    entry("e-1", 1),
    entry("e-2", 2, message=Message(b'{"eventType":"account.moved","data":{}}', content_type="text/json")),
    entry("e-3", None, origin=Origin.JOURNALLED, due=2000.0, routing_key="other"),
    entry("e-4", 3),
)


async def fill(database: Database, *entries: Entry) -> None:
    await database.write(lambda connection: event_log.append(connection, entries, now=1500.0))


async def lines(database: Database, masking: Masking = UNMASKED, **wanted: Any) -> list[bytes]:
    chunks = event_files.export(database, EventFilter(**wanted), operator=ME, masking=masking)
    return [line for chunk in [chunk async for chunk in chunks] for line in chunk.splitlines(keepends=True)]


async def everything(database: Database) -> list[EventDetail]:
    def work(connection: Any) -> list[EventDetail]:
        return event_log.get_many(connection, event_search.positions(connection, EventFilter()))

    return await database.read(work)


async def test_what_is_exported_is_imported_as_it_was(tmp_path: Path) -> None:
    one, other = await opened(tmp_path, "one"), await opened(tmp_path, "other")
    await fill(one, *ENTRIES)
    file = await lines(one)
    assert len(file) == 4
    assert await event_files.take(other, file, operator=ME, name="f") == (4, 4)
    before = [(row._replace(recorded=0.0), message) for row, message in await everything(one)]
    assert [(row._replace(recorded=0.0), message) for row, message in await everything(other)] == before
    assert await event_files.take(other, [*file, b"\n"], operator=ME) == (4, 0)
    assert [json.loads(line)["event_id"] for line in await lines(one, in_stream=True, types=["account.*"])] == [
        "e-1", "e-2", "e-4",
    ]  # fmt: skip
    await one.close()
    await other.close()


async def test_a_stream_is_only_continued_where_it_ends(tmp_path: Path) -> None:
    one, other = await opened(tmp_path, "one"), await opened(tmp_path, "other")
    await fill(one, *ENTRIES)
    file = await lines(one)
    with pytest.raises(
        UsageError, match=r"lines 1 to 2 cannot be imported: the stream account/a-1 is not at the expec"
    ):
        await event_files.take(other, [file[0], file[3]], operator=ME)
    await fill(other, entry("e-9", 1))
    with pytest.raises(UsageError, match="cannot be imported"):
        await event_files.take(other, file, operator=ME)
    await fill(other, entry("e-4", 1, StreamId("account", "a-2")))
    with pytest.raises(UsageError, match="id e-4 already"):
        await event_files.take(other, [file[3]], operator=ME)
    assert [row.event_id for row, _ in await everything(other)] == ["e-9", "e-4"]
    await one.close()
    await other.close()


async def test_secrets_leave_only_unmasked_and_a_masked_file_does_not_come_back(tmp_path: Path) -> None:
    database = await opened(tmp_path, "one")
    await fill(database, ENTRIES[0])
    file = await lines(database, Masking(on=True))
    assert b"s3cret" not in file[0]
    with pytest.raises(UsageError, match="line 1 is no event of an export: its secrets are masked"):
        await event_files.take(database, file, operator=ME)
    reader = Operator("me", read_only=True)
    with pytest.raises(ReadOnly):
        [_ async for _ in event_files.export(database, EventFilter(), operator=reader, masking=UNMASKED)]
    with pytest.raises(ReadOnly):
        await event_files.take(database, [], operator=reader)
    await database.close()


@pytest.mark.parametrize(
    "damage",
    [
        b"{",
        b"[]",
        b"\xff",
        {"event_id": None},
        {"event_id": "a\nb"},
        {"event_type": 5},
        {"version": 0},
        {"version": "1"},
        {"aggregate_id": None},
        {"time": "now"},
        {"time": float("inf")},
        {"time": 1e300},
        {"time": -1e18},
        {"due": 1e15},
        {"aggregate_type": "ac/count"},
        {"origin": "heaven"},
        {"message": None},
        {"body": None},
        {"body": "not JSON"},
        {"body_base64": "%"},
    ],
)
async def test_a_line_that_is_no_event_is_refused_with_its_number(tmp_path: Path, damage: Any) -> None:
    database = await opened(tmp_path, "one")
    await fill(database, ENTRIES[0])
    (good,) = await lines(database)
    bad = damage if isinstance(damage, bytes) else json.dumps({**json.loads(good), **damage}).encode()
    with pytest.raises(UsageError, match="line 2 is no event of an export"):
        await event_files.take(database, [good, bad], operator=ME)
    await database.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_stream_is_archived_and_taken_back(tmp_path: Path, kind: str, request: pytest.FixtureRequest) -> None:
    url = f"sqlite:///{tmp_path}/w.db" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    database = await Database.open(url, migrate=True)
    a1, a2 = StreamId("account", "a-1"), StreamId("account", "a-2")
    await fill(database, entry("e-1", 1), entry("f-1", 1, a2), entry("e-2", 2), entry("n-1", None))
    before = await everything(database)

    async def plan(stream: str, idle: str | None = None) -> list[stream_archive.Candidate]:
        return await stream_archive.plan(database, stream, idle=idle, now=1500.0 + 86400)

    assert await plan("account", "2d") == []
    assert await plan("account", "1h") == [(a1, 2, 2), (a2, 1, 1)]
    found = await plan("account/a-1")
    file = [
        each
        for lines in [lines async for lines in stream_archive.export(database, found)]
        for each in lines.splitlines()
    ]
    with pytest.raises(ReadOnly):
        await stream_archive.remove(database, found, operator=Operator("me", read_only=True), file="f")
    stale = [found[0]._replace(version=1)]  # somebody has appended since
    assert await stream_archive.remove(database, stale, operator=ME, file="f") == []
    assert await stream_archive.remove(database, found, operator=ME, file="f") == [a1]
    assert [row.event_id for row, _ in await everything(database)] == ["f-1", "n-1"]
    assert await database.read(lambda connection: streams.standing(connection, a1)) == (0, 2)

    assert await event_files.take(database, file, operator=ME) == (2, 2)
    assert await database.read(lambda connection: streams.standing(connection, a1)) == (2, None)
    again = {row.event_id: (row.version, message) for row, message in await everything(database)}
    assert again == {row.event_id: (row.version, message) for row, message in before}
    # The newest event of the log keeps its stream in.
    assert await plan("account/a-1") == []
    await database.close()


async def test_a_stream_that_is_half_taken_back_is_neither_loaded_nor_archived_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_files, "GROUP", 2)
    database = await opened(tmp_path, "one")
    stream = StreamId("account", "a-1")
    await fill(database, *(entry(f"e-{number}", number) for number in range(1, 6)), entry("n-1", None))
    found = await stream_archive.plan(database, "account/a-1", idle=None, now=0.0)
    file = b"".join([lines async for lines in stream_archive.export(database, found)]).splitlines()
    await stream_archive.remove(database, found, operator=ME, file="f")

    with pytest.raises(UsageError, match="line 4 is no event"):
        await event_files.take(database, [*file[:3], b"broken", file[4]], operator=ME)
    assert await database.read(lambda connection: streams.standing(connection, stream)) == (2, 5)
    assert await stream_archive.plan(database, "account/a-1", idle=None, now=0.0) == []
    assert await database.write(lambda connection: storage.remove(connection, found, now=0.0)) == []
    half = [found[0]._replace(version=2, events=2)]
    assert await database.write(lambda connection: storage.remove(connection, half, now=0.0)) == []

    assert await event_files.take(database, file, operator=ME) == (5, 3)
    assert await database.read(lambda connection: streams.standing(connection, stream)) == (5, None)
    await database.close()


async def test_what_is_larger_than_a_handler_takes_comes_back_too(tmp_path: Path) -> None:
    body = json.dumps({"eventType": "account.moved", "data": {"text": "x" * 2_000_000}}).encode()
    one, other = await opened(tmp_path, "one"), await opened(tmp_path, "other")
    await fill(one, entry("e-1", 1, message=Message(body, type="account.moved")))
    assert await event_files.take(other, await lines(one), operator=ME) == (1, 1)
    assert [detail.message.body for detail in await everything(other)] == [body]
    await one.close()
    await other.close()


async def test_a_stream_with_a_gap_is_not_archived(tmp_path: Path) -> None:
    database = await opened(tmp_path, "one")
    await fill(database, entry("e-2", 2), entry("n-1", None))
    found = await stream_archive.plan(database, "account", idle=None, now=0.0)
    with pytest.raises(UsageError, match="some are missing"):
        [_ async for _ in stream_archive.export(database, found)]
    with pytest.raises(UsageError, match="not a stream"):
        await stream_archive.plan(database, "/a-1", idle=None, now=0.0)
    await database.close()
