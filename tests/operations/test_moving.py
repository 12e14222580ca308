"""Moving messages between queues, making a queue anew, and deleting one: on both brokers, also interrupted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from engine.brokers import open_broker
from engine.brokers.base import Broker
from engine.errors import BrokerError, BrokerUnavailable, PublishRefused, UsageError
from engine.model import headers as names
from engine.model.message import Message, Publication
from engine.model.record import Record, State
from engine.model.topology import Binding, Exchange, Queue, Route, Topology, handler_topology, merge
from engine.operations import migrating, moving, orphans
from engine.operations.moving import Moved
from engine.operations.operator import Operator
from engine.runtime.intake import body_hash
from engine.storage import audit, records, workers
from engine.storage.database import Database
from tests.support.amqp import delete

ARGUMENTS: dict[str, str | int] = {"x-queue-type": "quorum", "x-delivery-limit": 7}


@pytest.fixture(params=["embedded", "rabbitmq"])
async def either(request: pytest.FixtureRequest, tmp_path: Path, app: str) -> AsyncIterator[Broker]:
    """A broker of each kind, connected."""
    url = f"embedded://{tmp_path}/broker.db"
    if request.param == "rabbitmq":
        url = request.getfixturevalue("amqp_url")
    broker = open_broker(url, app=app)
    await broker.connect()
    yield broker
    await broker.close()
    if request.param == "rabbitmq":
        pair = (f"{app}.orders.old", f"{app}.orders.new")
        made = [queue + end for queue in pair for end in ("", ".dlq", ".migrating", ".bridge")]
        await delete(url, made, [f"{app}.events", f"{app}.dlx"])


def both(app: str) -> Topology:
    """An old queue and a new one, bound to the same events."""
    routes = [Route(f"{app}.orders.{name}", f"{app}.events", ["order.*"]) for name in ("old", "new")]
    return handler_topology(app, routes)


def event(number: int, **more: Any) -> Message:
    body = {"eventType": "order.placed", "eventId": f"e-{number}", "data": {"number": number}}
    return Message(json.dumps(body).encode(), **more)


async def send(broker: Broker, queue: str, messages: Sequence[Message]) -> None:
    answers = await broker.publish([Publication("", queue, message) for message in messages])
    assert answers == [None] * len(messages)


async def take_all(broker: Broker, queue: str) -> list[Message]:
    found = []
    while (message := await broker.get(queue)) is not None:
        found.append(message)
    return found


def numbers(messages: Sequence[Message]) -> list[int]:
    return sorted(json.loads(message.body)["data"]["number"] for message in messages)


def record(queue: str, number: int, state: State, run: int = 1) -> Record:
    digest = body_hash(event(number).body)
    return Record(queue, f"e-{number}", state, run, 2, 3, "dead worker", digest, 0, False, 1.0, 1.0)


async def audited(database: Database) -> list[tuple[str, Any]]:
    entries = await database.read(audit.list_entries)
    return [(entry.action, entry.outcome.get("state")) for entry in reversed(entries)]


async def test_a_move_keeps_messages_and_begins_their_records_anew(
    database: Database, either: Broker, app: str
) -> None:
    old, new = f"{app}.orders.old", f"{app}.orders.new"
    await either.declare(both(app))
    known = [
        record(old, 1, State.DONE),  # handled, but its ack was lost
        record(old, 2, State.WAITING, run=3),
        record(old, 3, State.RUNNING),  # its worker died with it
        record(old, 4, State.DEAD, run=2),
    ]
    await database.write(partial(records.put, records=known))
    ours = {names.RUN: 3, names.EXCHANGE: f"{app}.events", names.ROUTING_KEY: "order.placed", "tenant": "t-1"}
    plain = Message(b'{"number": 9}', {"CC": ["elsewhere"], "x-mine": 1}, message_id="m-9", correlation_id="c-9")
    await send(
        either,
        old,
        [event(1), event(2), event(2, headers=ours), event(3), event(4), event(5), plain, Message(b"\xff no json")],
    )
    planned = await moving.plan(either, old, new)
    assert planned.waiting == 8

    done = await moving.move(database, either, planned, operator=Operator("anna@test"), why="renamed")

    # Handled, superseded by its retry, given up: three needed no moving.
    assert done == Moved(5, 3, 0)
    found = {message.message_id: message for message in await take_all(either, new)}
    assert set(found) == {"e-2", "e-3", "e-5", "m-9", None}
    assert found["e-2"].headers == {"tenant": "t-1"}
    assert found["e-2"].body == event(2).body
    assert found["m-9"].headers == {}
    assert found["m-9"].correlation_id == "c-9"
    assert found[None].body == b"\xff no json"
    assert await take_all(either, old) == []
    left = await database.read(lambda connection: records.fetch(connection, [known_[:2] for known_ in known]))
    # What was moved is forgotten here, so that it can be moved back; what was handled is not.
    assert {key[1] for key in left} == {"e-1", "e-4"}
    assert await audited(database) == [("move", "done")]


async def test_a_move_that_is_cut_off_between_confirm_and_ack_loses_nothing(
    database: Database, either: Broker, app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new, count = f"{app}.orders.old", f"{app}.orders.new", 450
    await either.declare(both(app))
    await send(either, old, [event(number) for number in range(count)])
    planned = await moving.plan(either, old, new)
    whole, groups = moving._Keys.forget, 0

    async def forget(keys: moving._Keys) -> None:
        nonlocal groups
        groups += 1
        await whole(keys)
        if groups == 2:
            raise BrokerUnavailable("pulled the plug")

    monkeypatch.setattr(moving._Keys, "forget", forget)
    with pytest.raises(BrokerUnavailable):
        await moving.move(database, either, planned, operator=Operator("anna"), why="")
    done = await moving.move(database, either, await moving.plan(either, old, new), operator=Operator("anna"), why="")
    assert done.moved < count  # the first group was acked
    found = numbers(await take_all(either, new))
    assert sorted(set(found)) == list(range(count))
    assert len(found) > count  # the second copy of a message is known by its id
    assert await take_all(either, old) == []
    assert await audited(database) == [("move", "interrupted"), ("move", "done")]


async def test_what_a_full_queue_does_not_take_stays_where_it_was(database: Database, either: Broker, app: str) -> None:
    old, new = f"{app}.orders.old", f"{app}.orders.new"
    full = Queue(new, {"x-queue-type": "quorum", "x-max-length": 100, "x-overflow": "reject-publish"})
    await either.declare(Topology(queues=(Queue(old, ARGUMENTS), full)))
    await send(either, old, [event(number) for number in range(300)])
    with pytest.raises(PublishRefused) as error:
        await moving.move(database, either, await moving.plan(either, old, new), operator=Operator("anna"), why="")
    assert "still where it was" in error.value.hint
    there, here = numbers(await take_all(either, new)), numbers(await take_all(either, old))
    assert sorted([*there, *here]) == list(range(300))


async def test_a_queue_that_is_consumed_or_missing_is_not_moved(either: Broker, app: str) -> None:
    old, new = f"{app}.orders.old", f"{app}.orders.new"
    with pytest.raises(UsageError, match="there is no queue"):
        await moving.plan(either, old, new)
    await either.declare(both(app))
    with pytest.raises(UsageError, match="the two queues are one"):
        await moving.plan(either, old, old)
    with pytest.raises(UsageError, match="dead letters"):
        await moving.plan(either, f"{old}.dlq", new)
    subscription = await either.consume(old, prefetch=1, receive=lambda delivery: None)
    with pytest.raises(UsageError, match="1 consumers"):
        await moving.plan(either, old, new)
    await subscription.close()


def asked(app: str) -> Topology:
    """What the handler of the old queue asks for."""
    return handler_topology(app, [Route(f"{app}.orders.old", f"{app}.events", ["order.*"])])


def otherwise(app: str) -> Topology:
    """The same queue with other arguments."""
    queue, exchange = f"{app}.orders.old", f"{app}.events"
    return Topology((Exchange(exchange),), (Queue(queue, ARGUMENTS),), (Binding(exchange, queue, "order.*"),))


class Interrupted(Exception):
    """Where a migration was cut off."""


class Cut:
    """A broker that fails at its n-th call of those that change something, and publishes before each."""

    def __init__(self, broker: Broker, app: str, at: int) -> None:
        self._broker = broker
        self._app = app
        self.at = at
        self.published = 0
        self.on_state = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    async def _count(self) -> None:
        self.published += 1
        one = Publication(f"{self._app}.events", "order.placed", event(1000 + self.published))
        assert await self._broker.publish([one]) == [None]
        self.at -= 1
        if self.at < 0:
            raise Interrupted

    async def declare(self, topology: Topology) -> None:
        await self._count()
        await self._broker.declare(topology)

    async def delete_queue(self, queue: str) -> int:
        await self._count()
        return await self._broker.delete_queue(queue)

    async def publish(self, publications: Sequence[Publication]) -> list[BrokerError | None]:
        answers = await self._broker.publish(publications)
        await self._count()
        return answers


@pytest.mark.parametrize("at", [*range(8), 100])
async def test_a_migration_keeps_everything_wherever_it_is_cut_off(
    database: Database, either: Broker, app: str, at: int
) -> None:
    queue, count = f"{app}.orders.old", 30
    await either.declare(merge(otherwise(app), Topology((Exchange(f"{app}.dlx", "direct"),))))
    kept = {names.RUN: 2, names.ATTEMPTS: 1, "tenant": "t-1"}
    await send(either, queue, [event(number, headers=kept) for number in range(count)])
    cut = Cut(either, app, at)
    planned = await migrating.plan(database, either, app, asked(app), queue)
    assert planned.needed
    assert planned.waiting == count
    try:
        await migrating.migrate(database, cut, planned, asked(app), operator=Operator("anna@test"), why="")  # type: ignore[arg-type]
        assert at == 100
    except Interrupted:
        again = await migrating.plan(database, either, app, asked(app), queue)
        assert again.needed
        cut.at = 1000
        await migrating.migrate(database, cut, again, asked(app), operator=Operator("anna@test"), why="")  # type: ignore[arg-type]

    assert await either.differences(Topology(queues=asked(app).queues[:1])) == []
    assert (await migrating.plan(database, either, app, asked(app), queue)).needed is False
    depths = await either.depths([migrating.store_name(queue), migrating.bridge_name(queue)])
    assert list(depths.values()) == [None, None]
    found = await take_all(either, queue)
    expected = {*range(count), *range(1001, 1001 + cut.published)}
    assert set(numbers(found)) == expected
    assert all(message.headers == kept for message in found if json.loads(message.body)["data"]["number"] < 1000)
    await either.publish([Publication(f"{app}.events", "order.placed", event(7))])
    assert numbers(await take_all(either, queue)) == [7]


async def test_a_migration_is_refused_while_a_worker_lives(
    database: Database, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def living(database: Database, app: str) -> list[str]:
        return ["w-1"]

    monkeypatch.setattr(migrating, "living", living)
    with pytest.raises(UsageError, match="1 workers of shop are alive"):
        await migrating.plan(database, broker, "shop", asked("shop"), "shop.orders.old")
    with pytest.raises(UsageError, match="no handler here asks for"):
        await migrating.plan(database, broker, "shop", asked("shop"), "shop.orders.other")


async def test_an_orphan_is_found_and_deleted_with_its_dead_letter_queue(
    database: Database, either: Broker, app: str
) -> None:
    old, new = f"{app}.orders.old", f"{app}.orders.new"
    await either.declare(both(app))
    declared = [workers.DeclaredQueue(queue, app, "charge", ("order.*",), 1.0, 1.0) for queue in (old, new)]
    await database.write(partial(workers.declare_queues, queues=declared))
    await send(either, old, [event(1), event(2)])
    await send(either, f"{old}.dlq", [event(3)])
    depths = await either.depths([old, new, f"{old}.dlq"])
    [orphan] = orphans.find(declared, {new: ("order.*",)}, depths)
    assert (orphan.queue, orphan.ready, orphan.dead_letters, orphan.heir) == (old, 2, 1, new)
    planned = await orphans.plan_deletion(either, old)
    assert planned.lost == 3
    await send(either, old, [event(4)])
    with pytest.raises(UsageError, match="4 messages by now"):
        await orphans.delete(database, either, planned, operator=Operator("anna"), why="")
    planned = await orphans.plan_deletion(either, old)
    assert await orphans.delete(database, either, planned, operator=Operator("anna"), why="gone") == 4
    assert await either.depths([old, f"{old}.dlq"]) == {old: None, f"{old}.dlq": None}
    assert [queue.queue for queue in await database.read(workers.list_queues)] == [new]
    [entry] = await database.read(audit.list_entries)
    assert (entry.action, entry.what, entry.outcome) == ("delete", {"queue": old}, {"lost": 4})
