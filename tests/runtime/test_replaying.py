"""A replay by a worker: the handler really runs again, what fails is counted, and nobody else gets the events."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from engine import Context, Event, EventData, RetryPolicy, handler
from engine.model.operation import Operation, Options
from engine.operations.events import EventFilter
from engine.operations.operator import Operator
from engine.operations.progress import follow
from engine.operations.replay import find_target, plan, start
from engine.runtime.application import Engine
from engine.runtime.worker import Worker
from engine.storage import event_search, failure_search
from engine.storage.failure_search import Filter
from tests.support.inprocess import own_settings, until, working

ANNA = Operator("anna@web-1")
COUNT = 30


class Placed(EventData, type="order.placed", aggregate="order", key="order_id"):
    order_id: str


class Noted(EventData, type="order.noted", aggregate="order", key="order_id"):
    order_id: str


class Runs:
    """Which handler ran on which order."""

    def __init__(self) -> None:
        self.of: Counter[tuple[str, str]] = Counter()
        self.broken = False


def handlers(runs: Runs) -> list[Any]:
    @handler(Placed)
    async def place(event: Event[Placed], ctx: Context) -> None:
        ctx.emit(Noted(order_id=event.data.order_id))

    @handler(Noted, retry=RetryPolicy(max_attempts=1))
    async def project(event: Event[Noted]) -> None:
        runs.of["project", event.data.order_id] += 1
        if runs.broken and event.data.order_id.endswith("7"):
            raise RuntimeError("no room")

    @handler(Noted)
    async def mail(event: Event[Noted]) -> None:
        runs.of["mail", event.data.order_id] += 1

    return [place, project, mail]


async def replayed(worker: Worker, options: Options) -> Operation:
    """All noted orders once more, to `project` alone."""
    target = await find_target(worker.database, worker.settings.app, "project")
    made = await plan(worker.database, worker.broker, EventFilter(types=["order.noted"]), target)
    stands = await start(
        worker.database, made, app=worker.settings.app, operator=ANNA, why="a new column", options=options
    )
    async with asyncio.timeout(20):
        seen = [now async for now in follow(worker.database, stands.id, until_verified=True)]
    return seen[-1]


@pytest.mark.parametrize("broker", ["embedded", "rabbitmq"])
async def test_a_worker_replays_to_one_handler_alone(
    request: pytest.FixtureRequest, tmp_path: Path, app: str, broker: str
) -> None:
    url = request.getfixturevalue("amqp_url") if broker == "rabbitmq" else None
    runs = Runs()
    async with working(own_settings(tmp_path, app, url), *handlers(runs)) as worker:
        sent = [Placed(order_id=f"o-{number}") for number in range(COUNT)]
        async with Engine(worker.settings, broker=worker.broker) as engine:
            await engine.publish_many(sent)

        async def handled() -> bool:
            return sum(runs.of.values()) >= 2 * COUNT and not worker.hand.open

        await until(handled, "the first time")
        assert set(runs.of.values()) == {1}

        stands = await replayed(worker, Options())
        assert (stands.sent, stands.succeeded, stands.failed) == (COUNT, COUNT, 0)
        assert Counter(count for (name, _), count in runs.of.items() if name == "project") == {2: COUNT}
        assert Counter(count for (name, _), count in runs.of.items() if name == "mail") == {1: COUNT}

        runs.broken = True
        stands = await replayed(worker, Options(canary=0))
        assert (stands.succeeded, stands.failed_otherwise) == (COUNT - 3, 3)
        rows = await worker.database.read(lambda connection: failure_search.search(connection, Filter()))
        assert {row.queue for row in rows} == {f"{app}.test_replaying.project"}
        if url is not None:
            return
        # The same events once more: what failed was FAILED before, and now it fails with the same fingerprint.
        stands = await replayed(worker, Options())
        assert (stands.succeeded, stands.failed_again) == (COUNT - 3, 3)
        stopped = await replayed(worker, Options(stop_after=1))
        assert stopped.failed >= 1
        # A replay itself logs nothing: it sends what is there.
        logged = await worker.database.read(
            lambda connection: event_search.count(connection, EventFilter(types=["order.noted"]))
        )
        assert logged == COUNT
