"""An order is frozen and written in chunks, and one that was not wholly written never runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from engine.brokers.base import Broker
from engine.errors import UsageError
from engine.model.operation import Options, State
from engine.operations import orders, steering
from engine.operations.orders import Order, new_operation_id, order
from engine.operations.progress import list_operations, one
from engine.runtime.executor import WATCHED
from engine.runtime.performing import lease_name
from engine.storage import leases, operations
from engine.storage.database import Database
from tests.support.failing import QUEUE, bury_many
from tests.support.performing import ANNA, declare, look, perform, performance, relay_of, subjects

if TYPE_CHECKING:
    from sqlalchemy import Connection


def wanted(subjects: list[int], name: str = "rd-1", options: Options | None = None) -> Order:
    return Order(name, "shop", "redrive", {"queues": {QUEUE: len(subjects)}}, "", subjects, options or Options())


async def test_its_messages_are_sent_in_the_order_in_which_they_were_frozen(
    database: Database, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "CHUNK", 10)
    await declare(broker, QUEUE)
    ids = (await bury_many(database, 25))[::-1]
    made = await order(database, wanted(ids, options=Options(canary=7)), operator=ANNA, why="")
    assert (made.state, made.total) == (State.RUNNING, 25)
    await perform(database, broker, made)
    assert await subjects(database, made, "sent") == ids[:7]
    assert await subjects(database, made) == ids


async def test_one_that_was_not_wholly_written_never_runs_and_is_given_up(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "CHUNK", 10)
    writes = 0
    real = orders.write

    async def dies(database: Database, work: Any) -> Any:
        nonlocal writes
        writes += 1
        if writes == 2:
            raise KeyboardInterrupt
        return await real(database, work)

    monkeypatch.setattr(orders, "write", dies)
    with pytest.raises(KeyboardInterrupt):
        await order(database, wanted(list(range(25))), operator=ANNA, why="")
    now = time.time()
    assert (await one(database, "rd-1")).state is State.PREPARING
    assert await database.read(lambda connection: operations.active(connection, "shop", now - WATCHED)) == []
    assert await database.write(lambda connection: operations.abandon(connection, now - 60, now)) == 0
    assert await database.write(lambda connection: operations.abandon(connection, now + 60, now)) == 1
    stands = await one(database, "rd-1")
    assert (stands.state, "gone before all of its messages" in stands.note) == (State.CANCELLED, True)


async def test_an_operation_that_was_cancelled_while_it_was_written_stays_so(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "CHUNK", 10)
    real = orders.write

    async def cancels(database: Database, work: Any) -> Any:
        made = await real(database, work)
        monkeypatch.setattr(orders, "write", real)
        await steering.cancel(database, "rd-1", operator=ANNA)
        return made

    monkeypatch.setattr(orders, "write", cancels)
    with pytest.raises(UsageError, match="was cancelled while it was written"):
        await order(database, wanted(list(range(25))), operator=ANNA, why="")
    assert (await one(database, "rd-1")).state is State.CANCELLED


async def test_one_is_named_by_a_beginning_that_only_it_has(database: Database) -> None:
    for name in ("rd-aa1", "rd-aa2", "rd-b_1"):
        await order(database, wanted([1], name), operator=ANNA, why="")
    assert (await one(database, "rd-b")).id == "rd-b_1"
    with pytest.raises(UsageError, match="several operations"):
        await one(database, "rd-aa")
    for reference in ("rd-bx", "", "%"):
        with pytest.raises(UsageError, match="there is no operation"):
            await one(database, reference)


async def test_pages_of_operations_go_on_below_the_last(database: Database) -> None:
    for number in range(5):
        await order(database, wanted([1], f"rd-{number}"), operator=ANNA, why="")
    first = await list_operations(database, "shop", limit=3)
    rest = await list_operations(database, "shop", limit=3, after=first[-1])
    assert [each.id for each in [*first, *rest]] == ["rd-4", "rd-3", "rd-2", "rd-1", "rd-0"]
    assert await list_operations(database, "other") == []
    assert await list_operations(database, "shop", kind="replay") == []
    assert len(await list_operations(database, None, state=State.RUNNING)) == 5


async def test_two_who_hold_themselves_for_the_executor_send_nothing_twice(database: Database, broker: Broker) -> None:
    """The second took the lease over, since it held the first for dead: the first finds out in its own transaction."""
    await declare(broker, QUEUE)
    ids = await bury_many(database, 12)
    made = await order(database, wanted(ids), operator=ANNA, why="")
    first = await performance(database, broker, made.id, relay_of(database, broker, "w1"), "w1")
    assert (await first._send(5)) is not None
    assert await database.write(lambda connection: robbed(connection, made.id)) == first._token + 1
    assert await first._send(5) is None
    assert (await one(database, made.id)).sent == 5
    done = await perform(database, broker, made, "w2")
    assert (done.sent, done.waiting) == (12, 0)
    assert (await look(database, broker, made, "w2")).pending == 12


def robbed(connection: Connection, operation: str) -> int | None:
    return leases.take(connection, lease_name(operation), "w2", lambda _: False, now=0.0)


def test_ids_can_be_typed() -> None:
    made = {new_operation_id("redrive") for _ in range(1000)}
    assert len(made) == 1000
    assert all(len(each) == 10 and each.startswith("rd-") and each.islower() for each in made)
    assert new_operation_id("replay").startswith("rp-")
