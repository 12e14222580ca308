"""A replay from the journal's stream by a worker: one handler runs again, once for each event, whatever else is in the stream."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine import Event, EventData, RetryPolicy, Settings, handler
from engine.model.codec import Limits
from engine.model.message import Message, Publication
from engine.model.operation import ItemState, Operation, Options, State
from engine.model.replay import Verdict
from engine.model.topology import stream_name
from engine.operations import orphans, steering, stream_replay
from engine.operations.events import EventFilter
from engine.operations.masking import masking_for
from engine.operations.operator import Operator
from engine.operations.progress import follow, items
from engine.operations.replay import find_target
from engine.operations.stream_events import Source, bounds
from engine.operations.stream_replay import StreamPlan
from engine.runtime import executor, stream_replaying
from engine.runtime.worker import Worker
from engine.storage import event_search, operations
from tests.support.inprocess import own_settings, until, working

ANNA = Operator("anna@web-1")
COUNT = 30


class Placed(EventData, type="order.placed", aggregate="order", key="order_id"):
    order_id: str


#: Which handler ran on which order, and which orders one of them refuses.
runs: Counter[tuple[str, str]] = Counter()
refused: set[str] = set()


@handler(Placed, retry=RetryPolicy(max_attempts=1))
async def project(event: Event[Placed]) -> None:
    if event.data.order_id in refused:
        raise RuntimeError("no room")
    runs["project", event.data.order_id] += 1


@handler(Placed)
async def mail(event: Event[Placed]) -> None:
    runs["mail", event.data.order_id] += 1


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "LOOK", 0.05)
    runs.clear()
    refused.clear()


@pytest.fixture(params=["embedded", "rabbitmq"])
def settings(request: pytest.FixtureRequest, tmp_path: Path, app: str) -> Settings:
    broker = request.getfixturevalue("amqp_url") if request.param == "rabbitmq" else None
    return own_settings(tmp_path, app, broker, journal=["order.#"], journal_to="stream", event_log=False)


def placed(number: int, **changes: Any) -> Message:
    told = {"eventType": "order.placed", "eventId": f"e-{number}", "data": {"order_id": f"o-{number}"}}
    return Message(json.dumps(told | changes).encode(), {"tenant": "t-1"}, type="order.placed")


async def publish(worker: Worker, *messages: Message, key: str = "order.placed") -> None:
    answers = await worker.broker.publish([Publication(worker.settings.exchange, key, each) for each in messages])
    assert set(answers) <= {None}


async def handled(worker: Worker, count: int) -> None:
    async def done() -> bool:
        return sum(runs.values()) >= count and not worker.hand.open

    await until(done, f"{count} runs")


async def planned(worker: Worker, wanted: EventFilter | None = None, offset: int | None = None) -> StreamPlan:
    settings = worker.settings
    source = Source(worker.broker, stream_name(settings.app), Limits(), masking_for(settings))
    target = await find_target(worker.database, settings.app, "project")
    wanted = wanted or EventFilter()
    span = await bounds(source, wanted, offset=offset)
    return await stream_replay.plan(worker.database, source, wanted, target, span=span)


async def replayed(worker: Worker, made: StreamPlan, options: Options = Options()) -> Operation:
    app = worker.settings.app
    stands = await stream_replay.start(worker.database, made, app=app, operator=ANNA, why="", options=options)
    return await at_rest(worker, stands)


async def at_rest(worker: Worker, stands: Operation) -> Operation:
    async with asyncio.timeout(20):
        seen = [now async for now in follow(worker.database, stands.id, until_verified=True, interval=0.03)]
    return seen[-1]


async def test_one_handler_runs_again_on_a_span_of_the_stream(settings: Settings) -> None:
    async with working(settings, project, mail) as worker:
        assert worker.journal is None
        await publish(worker, *map(placed, range(COUNT)))
        await handled(worker, 2 * COUNT)
        assert set(runs.values()) == {1}
        # Nothing went into the log of the database.
        assert await worker.database.read(event_search.newest) == 0

        made = await planned(worker)
        assert made.verdicts() == {Verdict.HANDLED: COUNT}
        stands = await replayed(worker, made, Options(canary=3))
        assert (stands.state, stands.sent, stands.succeeded, stands.skipped) == (State.DONE, COUNT, COUNT, 0)
        assert stands.cursor is not None
        assert stands.cursor.next == made.span.next
        assert {run for (name, _), run in runs.items() if name == "project"} == {2}
        assert {run for (name, _), run in runs.items() if name == "mail"} == {1}
        # What succeeded is counted, and not kept one by one.
        assert await items(worker.database, stands.id) == []

        # What a deletion would lose is known at once, though RabbitMQ tells depths late.
        assert (await orphans.plan_deletion(worker.broker, made.stream)).lost == COUNT
        part = await planned(worker, EventFilter(aggregate_type=None, event_ids=["e-7", "e-9"]), offset=8)
        assert part.span.first == 8
        assert (await replayed(worker, part)).succeeded == 1
        assert runs["project", "o-9"] == 3
        assert runs["project", "o-7"] == 2


async def test_what_is_no_event_is_passed_over_and_what_is_there_twice_runs_once(settings: Settings) -> None:
    async with working(settings, project) as worker:
        await publish(worker, *map(placed, range(3)))
        await publish(worker, Message(b"{", message_id="broken"), key="order.broken")
        await publish(worker, Message(b"\xff\xfe", {"x-stream-offset": 0}), key="order.broken")
        await publish(worker, Message(b"[1]", content_encoding="gzip"), key="order.broken")
        # The same events once more, one of them with another body, and one for which nobody asks here.
        await publish(worker, placed(0), placed(1), placed(2, data={"order_id": "forged"}))
        await publish(worker, placed(9, eventType="order.else"), key="order.else")
        # Without an id: whoever reads it again finds it by its place.
        await publish(worker, Message(b'{"order_id": "nameless"}', type="order.placed"))
        await handled(worker, 4)
        runs.clear()

        made = await planned(worker)
        assert made.unreadable == 3
        assert made.reason.startswith("3: the body is not JSON")
        assert made.verdicts() == {Verdict.HANDLED: 5, Verdict.CONFLICT: 1, Verdict.UNWANTED: 1, Verdict.NEW: 1}
        stands = await replayed(worker, made)
        assert (stands.state, stands.total, stands.sent, stands.succeeded) == (State.DONE, 7, 4, 4)
        assert stands.cursor is not None
        assert stands.cursor.skipped == {"repeated": 2, "conflict": 1}
        assert runs == {("project", order): 1 for order in ("o-0", "o-1", "o-2", "nameless")}
        # Another replay runs all of them again, the one without an id under the id that it has got.
        again = await planned(worker)
        assert again.verdicts()[Verdict.HANDLED] == 6
        assert (await replayed(worker, again)).sent == 4
        assert set(runs.values()) == {2}


async def test_it_stops_when_events_fail_and_says_which(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_replaying, "WINDOW", 5)
    async with working(settings, project) as worker:
        await publish(worker, *map(placed, range(COUNT)))
        await handled(worker, COUNT)
        refused.update(f"o-{number}" for number in range(5, COUNT))
        options = Options(canary=3, stop_after=4)
        stopped = await replayed(worker, await planned(worker), options)
        assert stopped.state is State.STOPPED
        assert "RuntimeError: no room" in stopped.note

        async def known() -> bool:
            found = await worker.database.read(lambda connection: operations.get(connection, stopped.id))
            return found is not None and not found.pending

        await until(known, "the outcomes of what was sent")
        left = await items(worker.database, stopped.id)
        assert left
        assert {item.state for item in left} <= {ItemState.FAILED_OTHERWISE, ItemState.FAILED_AGAIN}
        assert [item.subject for item in left] == list(range(5, 5 + len(left)))
        refused.clear()
        await steering.resume(worker.database, stopped.id, operator=ANNA, why="there is room")
        done = await at_rest(worker, stopped)
        assert (done.state, done.sent) == (State.DONE, COUNT)
        assert done.succeeded == COUNT - len(left)


async def test_what_retention_has_dropped_meanwhile_is_counted(settings: Settings) -> None:
    settings = replace(settings, stream_max_bytes=1_000_000)
    async with working(settings, project) as worker:
        await publish(worker, *map(placed, range(COUNT)))
        await handled(worker, COUNT)
        made = await planned(worker)
        heavy = {"order_id": "o-heavy", "more": "x" * 20_000}
        for number in range(1000, 1120):  # one at a time: RabbitMQ begins a segment between two groups
            await publish(worker, placed(number, data=heavy))

        async def dropped() -> bool:
            return (await worker.broker.span(made.stream)).first >= COUNT

        await until(dropped, "the end of the first segments")
        runs.clear()
        stands = await replayed(worker, made)
        assert (stands.state, stands.sent, stands.skipped) == (State.DONE, 0, COUNT)
        assert stands.cursor is not None
        assert stands.cursor.skipped == {"gone": COUNT}


async def test_a_stream_that_was_made_anew_stops_it(settings: Settings) -> None:
    async with working(settings, project) as worker:
        await publish(worker, *map(placed, range(COUNT)))
        await handled(worker, COUNT)
        made = await planned(worker)
        await worker.broker.delete_queue(made.stream)
        gone = await replayed(worker, made)
        assert (gone.state, gone.sent) == (State.STOPPED, 0)
        assert "not on the broker" in gone.note
        await worker.broker.declare(worker.topology)
        await publish(worker, placed(100))
        await steering.resume(worker.database, gone.id, operator=ANNA, why="")
        anew = await at_rest(worker, gone)
        assert (anew.state, anew.sent) == (State.STOPPED, 0)
        assert "made anew" in anew.note


async def test_no_more_than_a_window_is_under_way(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_replaying, "WINDOW", 5)
    most = 0
    send = stream_replaying.StreamPerformance._send_read

    def watched(self: Any, *arguments: Any) -> Any:
        nonlocal most
        group = send(self, *arguments)
        if group is not None:
            most = max(most, group.operation.pending)
        return group

    monkeypatch.setattr(stream_replaying.StreamPerformance, "_send_read", watched)
    async with working(settings, project) as worker:
        await publish(worker, *map(placed, range(COUNT)))
        await handled(worker, COUNT)
        stands = await replayed(worker, await planned(worker))
        assert (stands.state, stands.succeeded) == (State.DONE, COUNT)
        assert 0 < most <= 5
