"""Streams as an operator sees them: found, paged through, and folded to any version."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine import Aggregate, EventData, applies
from engine.errors import UsageError
from engine.model.message import Message
from engine.operations import events, streams
from engine.operations.masking import UNMASKED, Masking
from engine.operations.project import Project
from engine.operations.streams import FOLDED, StreamId, beginning
from engine.runtime.application import Engine
from engine.storage import event_log
from engine.storage.database import Database
from engine.storage.event_log import Entry, Origin
from tests.support.inprocess import own_settings


class Put(EventData, type="till.put", aggregate="till", key="till_id"):
    till_id: str
    cents: int


class Till(Aggregate, type="till", snapshot_every=5):
    cents: int = 0
    password: str = "hunter2"

    def put(self, cents: int) -> None:
        self.emit(Put(till_id=self.id, cents=cents))

    @applies(Put)
    def _put(self, event: Put) -> None:
        if event.cents < 0:
            raise ValueError("that is no money")
        self.cents += event.cents


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    url = (
        request.getfixturevalue("postgres_url") if request.param == "postgresql" else f"sqlite:///{tmp_path}/warren.db"
    )
    settings = own_settings(tmp_path, "tills", database=url)
    database = await Database.open(settings.database_url, migrate=True)
    yield database
    await database.close()


def entry(kind: str, name: str, version: int | None, body: bytes = b'{"note": "caf\\u00e9"}') -> Entry:
    event_id = f"{kind}/{name}/{version}"
    message = Message(body, message_id=event_id, type=f"{kind}.put")
    return Entry(
        *(event_id, f"{kind}.put", kind, name, version, Origin.APPENDED, "", "shop"),
        *("v-1", None, "events", f"{kind}.put", time.time(), None, message),
    )


async def filled(database: Database) -> list[str]:
    """Streams of three types, of one to three events each, and an event about something that has no stream; their names."""
    found: list[Entry] = []
    for kind in ("box", "till", "tin"):
        found += [entry(kind, f"{number:02}", version) for number in range(7) for version in range(1, number % 3 + 2)]
    found.append(entry("sack", "1", None))
    await database.write(lambda connection: event_log.append(connection, found, now=time.time()))
    return [f"{kind}/{number:02}" for kind in ("box", "till", "tin") for number in range(7)]


async def test_streams_are_paged_through_in_order_both_ways(database: Database) -> None:
    names = await filled(database)
    assert [str(each.stream) for each in await streams.page(database, beginning(""), limit=100)] == names
    assert await streams.count(database, beginning("")) == 21
    for index in range(21):
        place = StreamId.parse(names[index])
        ahead = await streams.page(database, beginning(""), place=place, limit=3)
        assert [str(each.stream) for each in ahead] == names[index : index + 3]
        back = await streams.page(database, beginning(""), place=place, backwards=True, limit=3)
        assert [str(each.stream) for each in back] == names[max(index - 3, 0) : index][::-1]
        assert await streams.count(database, beginning(""), before=place) == index
    skipped = await streams.page(database, beginning(""), place=StreamId("box", "03"), skip=4, limit=2)
    assert [str(each.stream) for each in skipped] == names[7:9]
    assert [each.version for each in await streams.page(database, beginning("till"), limit=4)] == [1, 2, 3, 1]
    last = await streams.find(database, StreamId("tin", "05"))
    assert last is not None
    assert (last.version, last.event_type) == (3, "tin.put")
    assert await streams.find(database, StreamId("sack", "1")) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [("ti", 14), ("till", 7), ("till/", 7), ("till/0", 7), ("till/03", 1), ("ti/03", 0), ("till/%", 0), ("sack", 0)],
)
async def test_streams_are_found_by_how_they_begin(database: Database, text: str, found: int) -> None:
    await filled(database)
    wanted = beginning(text)
    rows = await streams.page(database, wanted, limit=100)
    assert len(rows) == await streams.count(database, wanted) == found
    if found > 2:
        middle = rows[2].stream
        assert await streams.page(database, wanted, place=middle, limit=100) == rows[2:]
        assert await streams.page(database, wanted, place=middle, backwards=True, limit=100) == rows[:2][::-1]
        assert await streams.count(database, wanted, before=middle) == 2


async def test_bodies_are_searched_as_they_are_written(database: Database) -> None:
    await filled(database)
    for text, found in (("café", 40), ('"note"', 40), ("coffee", 0)):
        wanted = events.EventFilter(texts=(text,))
        assert await events.count(database, wanted) == found
    both = events.EventFilter(texts=("café", "note"), types=("box.*",))
    assert len(await events.older(database, both, limit=100)) == 13


async def test_pages_of_the_log_go_both_ways(database: Database) -> None:
    await filled(database)
    wanted = events.EventFilter(types=("box.put",))
    rows = await events.older(database, wanted, limit=100)
    positions = [row.position for row in rows]
    assert positions == sorted(positions, reverse=True)
    assert [row.position for row in await events.newer(database, wanted, limit=3, after=positions[-1])] == positions[
        -4:-1
    ][::-1]
    assert [
        row.position for row in await events.older(database, wanted, limit=3, before=positions[2], skip=1)
    ] == positions[4:7]
    assert await events.positions(database, wanted, first=positions[4], last=positions[1]) == positions[1:5][::-1]
    assert await events.count(database, wanted, after=positions[3]) == 3
    assert await events.count(database, events.EventFilter(), before=positions[0]) == positions[0] - 1
    chosen = events.EventFilter(positions=positions[:2])
    assert await events.count(database, chosen) == 2


async def test_an_aggregate_is_folded_to_any_version(database: Database, tmp_path: Path) -> None:
    stream = StreamId("till", "1")
    async with Engine(own_settings(tmp_path, "tills", database=database.address.shown)) as engine:
        tills = engine.repository(Till)
        till = Till.new("1")
        for cents in range(1, 12):
            till.put(cents)
            await tills.save(till)
    kept: Any = await database.read(
        lambda connection: connection.exec_driver_sql("SELECT version FROM warren_snapshots").scalar()
    )
    assert kept == 10
    for version in range(1, 12):
        found = await streams.state_at(database, Till, stream, version, masking=UNMASKED)
        assert found.version == version
        assert found.state == b'{"cents":%d,"password":"hunter2"}' % sum(range(version + 1))
        assert [(each.path, each.after) for each in found.changes] == [("cents", sum(range(version + 1)))]
        assert not found.problem
    masked = await streams.state_at(database, Till, stream, 3, masking=Masking())
    assert b"hunter2" not in (masked.state or b"")
    beyond = await streams.state_at(database, Till, stream, 20, masking=UNMASKED)
    assert (beyond.version, beyond.problem) == (11, "the stream has no version 20: it is at 11")
    with pytest.raises(UsageError):
        await streams.state_at(database, Till, StreamId("box", "1"), 1, masking=UNMASKED)
    with pytest.raises(UsageError):
        await streams.state_at(database, Till, stream, 0, masking=UNMASKED)


def put(version: int, cents: int) -> Entry:
    return entry("till", "9", version, b'{"eventType": "till.put", "data": {"till_id": "9", "cents": %d}}' % cents)


async def test_what_cannot_be_folded_is_told_with_the_state_before_it(database: Database) -> None:
    rows = [put(1, 5), put(2, -1), put(3, 7)]
    await database.write(lambda connection: event_log.append(connection, rows, now=time.time()))
    stream = StreamId("till", "9")
    at_it = await streams.state_at(database, Till, stream, 2, masking=UNMASKED)
    assert (at_it.version, at_it.state) == (1, b'{"cents":5,"password":"hunter2"}')
    assert "ValueError: that is no money" in at_it.problem
    after_it = await streams.state_at(database, Till, stream, 3, masking=UNMASKED)
    assert (after_it.version, after_it.state) == (1, None)
    assert "raised at version 2" in after_it.problem


async def test_a_very_long_stream_is_not_folded_at_each_look(tmp_path: Path) -> None:
    database = await Database.open(own_settings(tmp_path, "tills").database_url, migrate=True)
    try:
        rows = [put(version, 1) for version in range(1, FOLDED + 2)]
        await database.write(lambda connection: event_log.append(connection, rows, now=time.time()))
        stream = StreamId("till", "9")
        assert not (await streams.state_at(database, Till, stream, FOLDED, masking=UNMASKED)).problem
        late = await streams.state_at(database, Till, stream, FOLDED + 1, masking=UNMASKED)
        assert (late.state, late.problem) == (None, "more than 20,000 events would have to be folded for it")
    finally:
        await database.close()


def test_the_classes_of_a_project_are_known_by_their_types(tmp_path: Path) -> None:
    plugin = tmp_path / "handlers" / "model.py"
    plugin.parent.mkdir()
    plugin.write_text(
        "from engine import Aggregate, Event, EventData, applies, handler\n"
        'class Put(EventData, type="sock.put"): n: int\n'
        'class Sock(Aggregate, type="sock"):\n'
        "    @applies(Put)\n"
        "    def _put(self, event: Put) -> None: ...\n"
        'class Other(Aggregate, type="twin"): ...\n'
        'class Another(Aggregate, type="twin"): ...\n'
        "@handler(Put)\n"
        "async def take(event: Event[Put]) -> None: ...\n"
    )
    project = Project.load(own_settings(tmp_path, "socks"))
    assert getattr(project.aggregate("sock"), "__name__", "") == "Sock"
    assert "no plugin here has a class" in str(project.aggregate("shoe"))
    assert "several classes say type='twin'" in str(project.aggregate("twin"))
    broken = tmp_path / "other"
    (broken / "handlers").mkdir(parents=True)
    (broken / "handlers" / "bad.py").write_text("import nothing_of_that_name\n")
    assert "a plugin does not import" in str(Project.load(own_settings(broken, "socks")).aggregate("shoe"))
