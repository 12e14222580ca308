"""The replay of a stream without workers: what is written down, what is fenced, and what happens to what cannot be sent."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from engine.brokers.base import Broker, Span
from engine.errors import ReadOnly, UsageError
from engine.model.codec import Limits
from engine.model.masking import Masking
from engine.model.message import Message, Publication
from engine.model.operation import Operation, Options, State
from engine.model.replay import Verdict
from engine.model.topology import Queue, Topology
from engine.operations import stream_replay
from engine.operations.events import EventFilter, make_filter
from engine.operations.operator import Operator
from engine.operations.performing import perform_alone
from engine.operations.progress import items, one
from engine.operations.replay import Target
from engine.operations.stream_events import Source, Unreadable, bounds, page
from engine.operations.stream_events import one as entry_at
from engine.runtime import stream_replaying
from engine.runtime.replaying import resend
from engine.runtime.stream_replaying import StreamPerformance
from engine.storage import outbox
from engine.storage.database import Database
from tests.support.performing import ANNA, declare, performance, relay_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

QUEUE, STREAM = "shop.orders.charge", "shop.journal.stream"
TARGET = Target(QUEUE, "charge", ())
NOW = 1_795_000_000.0


@pytest.fixture
async def source(broker: Broker) -> Source:
    """A stream of thirty orders and a refusal, every tenth entry no event."""
    await declare(broker, QUEUE)
    await broker.declare(Topology(queues=(Queue(STREAM, {"x-queue-type": "stream"}),)))
    made = [
        Publication(
            "", STREAM, Message(b'{"n": 1}', message_id=f"e-{number}", type="order.placed", correlation_id="v-7")
        )
        for number in range(30)
    ]
    made[10:10] = [Publication("", STREAM, Message(b"{", message_id="broken"))]
    made.append(Publication("", STREAM, Message(b"{}", message_id="e-30", type="order.refused")))
    assert set(await broker.publish(made)) == {None}
    return Source(broker, STREAM, Limits(), Masking())


async def ordered(
    database: Database, source: Source, wanted: EventFilter | None = None, options: Options | None = None
) -> Operation:
    wanted = wanted or EventFilter()
    made = await stream_replay.plan(database, source, wanted, TARGET, span=await bounds(source, wanted))
    options = options or Options()
    return await stream_replay.start(database, made, app="shop", operator=ANNA, why="", options=options)


async def performed(database: Database, source: Source, operation: Operation, owner: str) -> StreamPerformance:
    made = await performance(database, source.broker, operation.id, relay_of(database, source.broker, owner), owner)
    assert isinstance(made, StreamPerformance)
    return made


async def waiting(database: Database) -> list[str | None]:
    """The ids of what is in the outbox."""

    def read(connection: Connection) -> list[str | None]:
        return [row.message.message_id for row in outbox.adopt(connection, "reader", ["one", "two"], 1000)]

    return sorted(await database.write(read), key=str)


async def test_nothing_is_copied_when_it_is_ordered(database: Database, source: Source) -> None:
    stands = await ordered(database, source, EventFilter(types=["order.placed"]))
    assert (stands.state, stands.total, stands.kind) == (State.RUNNING, 30, "stream-replay")
    assert stands.asked["span"] == [0, 32]
    assert await items(database, stands.id) == []
    wanted = EventFilter()
    made = await stream_replay.plan(database, source, wanted, TARGET, span=Span(0, 32))
    with pytest.raises(ReadOnly):
        await stream_replay.start(database, made, app="shop", operator=Operator("bob", read_only=True), why="")
    await stream_replay.start(database, made, app="shop", operator=ANNA, why="")
    with pytest.raises(UsageError, match="ordered before"):
        await stream_replay.start(database, made, app="shop", operator=ANNA, why="")
    gone = await stream_replay.plan(database, source, wanted, Target("shop.gone", "gone", ()), span=Span(0, 32))
    assert gone.verdicts() == {Verdict.NO_QUEUE: 31}
    with pytest.raises(UsageError, match="nothing to send"):
        await stream_replay.start(database, gone, app="shop", operator=ANNA, why="")


async def test_a_group_that_was_read_for_another_place_is_dropped(database: Database, source: Source) -> None:
    stands = await ordered(database, source)
    first = await performed(database, source, stands, "one")
    reader = stream_replaying.Reader(source.broker, stream_replaying.asked_of(stands))
    read = await reader.take(0, 12)
    await reader.close()
    send = partial(first._send_read, read, (), 0.0, None)
    group = await database.write(send)
    assert group is not None
    assert (len(group.rows), group.operation.sent, group.operation.cursor) == (12, 12, (13, {}))
    # Its answer was lost, and it is tried again.
    again = await database.write(send)
    assert again is not None
    assert (again.rows, again.operation.sent) == ([], 12)
    assert len(await waiting(database)) == 12


async def test_what_cannot_be_sent_is_left_alone_and_the_rest_goes(
    database: Database, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(connection: Any, queue: str, details: Any, *rest: Any, **more: Any) -> Any:
        if any(detail.row.event_id == "e-7" for detail in details.values()):
            raise ValueError("the database refuses e-7")
        return resend(connection, queue, details, *rest, **more)

    monkeypatch.setattr(stream_replaying, "resend", refusing)
    stands = await ordered(database, source)
    await (await performed(database, source, stands, "one")).run()
    done = await one(database, stands.id)
    assert (done.sent, done.skipped, done.waiting) == (30, 1, 0)
    assert done.cursor == (32, {"broken": 1})
    assert "e-7" not in await waiting(database)


async def test_without_a_worker_no_more_than_a_window_is_sent(
    database: Database, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_replaying, "WINDOW", 8)
    stands = await ordered(database, source)
    done = await perform_alone(database, source.broker, "shop", stands.id, operator=ANNA)
    assert done is not None
    assert (done.sent, done.left) == (8, 0)
    half = await one(database, stands.id)
    assert (half.state, half.sent, half.waiting, half.owner) == (State.RUNNING, 8, 23, None)
    assert [item.subject for item in await items(database, stands.id)] == list(range(8))
    assert (await source.broker.depths([QUEUE]))[QUEUE] == (8, 0)


async def test_a_stream_is_searched_backwards_in_pages(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.operations.stream_events.FIRST_BLOCK", 4)
    found = await page(source, EventFilter(types=["order.p*", "order.placed"]), limit=21)
    assert [each.row.position for each in found.rows] == [*range(30, 10, -1), 9]
    assert (found.before, found.unreadable, found.shown[0].offset) == (9, 1, 10)
    rest = await page(source, EventFilter(), limit=20, before=found.before)
    assert [each.row.position for each in rest.rows] == list(range(8, -1, -1))
    assert (rest.before, rest.unreadable) == (None, 0)
    for wanted in (EventFilter(correlation_id="v-8"), EventFilter(aggregate_type="order"), EventFilter(event_ids=[])):
        assert (await page(source, wanted, limit=5)).rows == []
    [row] = (await page(source, EventFilter(event_ids=["e-30"]), limit=5)).rows
    assert (row.row.event_type, row.row.position) == ("order.refused", 31)


async def test_one_entry_is_found_by_its_offset(source: Source) -> None:
    broken = await entry_at(source, "10")
    assert isinstance(broken, Unreadable)
    assert broken.entry.delivery.message.body == b"{"
    found = await entry_at(source, "11")
    assert not isinstance(found, Unreadable)
    assert found.row.event_id == "e-10"
    for wrong in ("32", "-1", "e-10", "9" * 30):
        with pytest.raises(UsageError, match="has no event at"):
            await entry_at(source, wrong)


async def test_what_a_stream_does_not_know_is_refused(source: Source) -> None:
    for words in ({"origin": "emitted"}, {"stream": "order/42"}):
        with pytest.raises(UsageError, match="a stream does not know"):
            await bounds(source, make_filter(now=NOW, **words))
    assert await bounds(source, make_filter(now=NOW), offset=30, before=4) == Span(4, 4)
    assert await bounds(source, make_filter(now=4e9, since="1h")) == Span(32, 32)
