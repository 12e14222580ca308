"""Handlers under test, with a clock that the test moves."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from sqlalchemy import text

from engine import (
    AsyncSession,
    Context,
    Depends,
    Event,
    EventData,
    PluginError,
    Reject,
    RetryPolicy,
    UsageError,
    cron,
    handler,
)
from engine.runtime import clock
from engine.runtime.clock import utc
from engine.testing.clock import Clock
from engine.testing.harness import Harness, Unsettled, load


class Placed(EventData, type="order.placed", aggregate="order", key="order_id"):
    order_id: str
    failures: int = 0


class Paid(EventData, type="order.paid", aggregate="order", key="order_id"):
    order_id: str


class Provider:
    """A payment provider that one can put another in the place of."""

    name = "the real one"


async def provider() -> AsyncIterator[Provider]:
    yield Provider()


@handler(Placed, emits=[Paid], retry=RetryPolicy(max_attempts=3, initial=10.0, maximum=40.0))
async def charge(event: Event[Placed], ctx: Context) -> None:
    if ctx.attempt <= event.data.failures:
        raise ConnectionError(f"no answer to attempt {ctx.attempt}")
    ctx.emit(Paid(order_id=event.data.order_id))


@handler(Paid)
def mail(event: Event[Paid], ctx: Context) -> None:
    assert threading.current_thread() is not threading.main_thread()


@handler(Placed)
async def book(event: Event[Placed], session: AsyncSession) -> None:
    await session.execute(text("INSERT INTO ledger VALUES (:order)"), {"order": event.data.order_id})
    if event.data.failures:
        raise Reject("not today")


@cron("0 2 * * *")
def nightly(tick: datetime) -> Placed:
    return Placed(order_id=f"{tick:%Y-%m-%d}")


used: list[str] = []


@handler(Placed)
async def consult(event: Event[Placed], client: Annotated[Provider, Depends(provider)]) -> None:
    used.append(client.name)


@handler(Placed)
async def gather_up(events: list[Event[Placed]], ctx: Context) -> None:
    ctx.emit(Paid(order_id=",".join(event.data.order_id for event in events)))


async def test_what_is_handled_and_emitted() -> None:
    async with Harness(charge, mail) as harness:
        placed = await harness.publish(Placed(order_id="o-1"))
        await harness.settle()
        assert harness.handled(charge, count=1) == [placed]
        (paid,) = harness.emitted(Paid)
        assert paid.data == Paid(order_id="o-1")
        assert (paid.causation_id, paid.correlation_id) == (placed.id, placed.id)
        assert harness.handled("mail") == [paid]
        assert harness.handled() == [placed, paid]
        assert harness.emitted("order.*") == harness.emitted() == [paid]
        assert harness.emitted(Placed) == harness.emitted("other.#") == []
        assert harness.retried(charge) == harness.dead_letters() == []


async def test_retries_come_due_as_the_clock_moves_and_not_before() -> None:
    begun = time.monotonic()
    async with Harness(charge) as harness:
        await harness.publish(Placed(order_id="o-1", failures=2))
        await harness.settle()
        assert harness.handled(charge) == []
        (first,) = harness.retried(charge)
        assert (first.attempt, str(first.error)) == (1, "no answer to attempt 1")
        assert 0 <= first.delay <= 10
        assert harness.waiting == 1
        await harness.advance(minutes=2)
        assert [retry.attempt for retry in harness.retried(charge)] == [1, 2]
        assert harness.waiting == 0
        harness.handled(charge, count=1)
    assert time.monotonic() - begun < 5


async def test_what_fails_for_good_is_a_dead_letter() -> None:
    async with Harness(charge) as harness:
        await harness.publish(Placed(order_id="o-1", failures=9))
        await harness.finish()
        (letter,) = harness.dead_letters(charge)
        assert (letter.reason, letter.attempts, letter.exception) == ("attempts exhausted", 3, "ConnectionError")
        assert letter.message == "no answer to attempt 3"
        assert letter.last_failed > letter.first_failed
        assert harness.retried(charge, count=2)
        assert harness.handled() == []


async def test_a_message_that_nobody_can_read_is_a_dead_letter() -> None:
    async with Harness(charge) as harness:
        await harness.publish_message("order.placed", b"not json")
        await harness.publish("order.placed", {"order_id": 7})
        await harness.settle()
        assert [letter.attempts for letter in harness.dead_letters(count=2)] == [1, 1]
        assert harness.retried() == []


@pytest.mark.parametrize("hours", [1, 24 * 60])
async def test_a_delayed_event_comes_at_its_time(hours: int) -> None:
    start = datetime(2027, 3, 1, tzinfo=UTC)
    async with Harness(charge, clock=start) as harness:
        placed = await harness.publish(Placed(order_id="o-1"), delay=3600.0 * hours)
        assert placed.timestamp == start
        await harness.advance(seconds=3600 * hours - 1)
        assert harness.handled() == []
        await harness.advance(seconds=1)
        harness.handled(charge, count=1)
        assert harness.clock.utc().timestamp() == start.timestamp() + 3600 * hours


async def test_a_duplicate_has_no_second_effect() -> None:
    async with Harness(charge) as harness:
        for _ in range(2):
            await harness.publish(Placed(order_id="o-1"), id="e-1")
            await harness.settle()
        harness.handled(charge, count=1)
        assert harness.stats(charge).duplicates == 1


async def test_the_session_writes_to_the_database_of_the_harness() -> None:
    async with Harness(book) as harness:
        await harness.sql("CREATE TABLE ledger (order_id TEXT)")
        await harness.publish(Placed(order_id="o-1"))
        await harness.publish(Placed(order_id="o-2", failures=1))
        await harness.settle()
        assert await harness.sql("SELECT order_id FROM ledger WHERE order_id LIKE ?", "o-%") == [("o-1",)]
        assert harness.dead_letters(book, count=1)[0].message == "not today"


async def test_it_runs_on_postgresql_too(postgres_url: str) -> None:
    async with Harness(book, database=postgres_url) as harness:
        await harness.sql("CREATE TABLE ledger (order_id TEXT)")
        await harness.publish(Placed(order_id="o-1"))
        await harness.settle()
        assert await harness.sql("SELECT order_id FROM ledger WHERE order_id = %s", "o-1") == [("o-1",)]


async def test_a_provider_is_replaced() -> None:
    async def pretend() -> AsyncIterator[Provider]:
        double = Provider()
        double.name = "the double"
        yield double

    used.clear()
    for providers in ({}, {provider: pretend}):
        async with Harness(consult, providers=providers) as harness:
            await harness.publish(Placed(order_id="o-1"))
            await harness.settle()
    assert used == ["the real one", "the double"]


async def test_a_batch_handler() -> None:
    async with Harness(gather_up) as harness:
        await asyncio.gather(*(harness.publish(Placed(order_id=f"o-{number}")) for number in range(5)))
        await harness.settle()
        harness.handled(gather_up, count=5)
        orders = ",".join(event.data.order_id for event in harness.emitted(Paid))
        assert sorted(orders.split(",")) == [f"o-{number}" for number in range(5)]


async def test_a_schedule_ticks_as_the_clock_moves() -> None:
    async with Harness(charge, nightly, clock=datetime(2027, 3, 1, 1, tzinfo=UTC)) as harness:
        await harness.settle()
        assert harness.handled() == []
        await harness.advance(days=3)
        days = [event.data.order_id for event in harness.handled(charge)]
        assert days == ["2027-03-01", "2027-03-02", "2027-03-03"]


async def test_many_failures_do_not_pause_the_queue() -> None:
    async with Harness(charge) as harness:
        await asyncio.gather(*(harness.publish(Placed(order_id=f"o-{n}", failures=9)) for n in range(40)))
        await harness.finish()
        harness.dead_letters(charge, count=40)


async def test_settle_awaits_handlers_that_take_their_time() -> None:
    gate = asyncio.Event()

    @handler(Placed)
    async def slow(event: Event[Placed]) -> None:
        await gate.wait()

    async with Harness(slow) as harness:
        await harness.publish(Placed(order_id="o-1"))
        asyncio.get_running_loop().call_later(0.05, gate.set)
        await harness.settle()
        harness.handled(slow, count=1)


async def test_settle_gives_up_with_the_whole_story() -> None:
    stuck = asyncio.Event()

    @handler(Placed)
    async def hang(event: Event[Placed]) -> None:
        await stuck.wait()

    async with Harness(hang, charge, patience=0.3) as harness:
        await harness.publish(Placed(order_id="o-1"))
        with pytest.raises(Unsettled, match=r"(?s)hang has 1 in hand.*handled    charge: order\.placed"):
            await harness.settle()
        stuck.set()


async def test_a_wrong_count_tells_the_whole_story() -> None:
    async with Harness(charge) as harness:
        await harness.publish(Placed(order_id="o-1", failures=1), id="e-1")
        await harness.settle()
        with pytest.raises(AssertionError) as caught:
            harness.handled(charge, count=1)
    told = str(caught.value)
    assert "0 events were handled by charge, where 1 were to be" in told
    assert "published  order.placed e-1" in told
    assert "failed     charge: order.placed e-1, attempt 1: ConnectionError: no answer to attempt 1" in told


async def test_a_handler_that_it_does_not_have_is_named() -> None:
    async with Harness(charge) as harness:
        with pytest.raises(UsageError, match=r"(?s)no handler chrage.*'charge'"):
            harness.handled("chrage")
        with pytest.raises(UsageError, match="no handler mail"):
            harness.handled(mail)


@pytest.mark.parametrize("wrong", [print, 7, SimpleNamespace])
def test_what_is_not_a_handler_is_refused(wrong: Any) -> None:
    with pytest.raises(UsageError, match="is not a handler"):
        Harness(wrong)


async def test_a_handler_that_cannot_be_bound_ends_the_harness_at_its_start() -> None:
    @handler(Placed)
    async def wrong(event: Event[Placed], what: int) -> None: ...

    with pytest.raises(PluginError, match="what"):
        async with Harness(wrong):
            pytest.fail("it began")
    assert clock.now is time.time


async def test_the_clock_is_put_back_and_there_is_one_at_a_time() -> None:
    async with Harness(charge) as first:
        assert clock.now() == first.clock.now()
        with pytest.raises(UsageError, match="two clocks"):
            async with Harness(mail):
                pytest.fail("it began")
        async with Harness(mail, clock=first.clock, app="other") as second:
            first.clock.move_to(first.clock.now() + 60)
            assert second.clock.utc() == utc()
        assert clock.now is not time.time
    assert clock.now is time.time


def test_a_clock_begins_where_it_is_told() -> None:
    assert Clock(5.0).now() == 5.0
    assert Clock(datetime(1970, 1, 2, tzinfo=UTC)).now() == 86_400.0
    assert Clock().now().is_integer()
    with pytest.raises(UsageError, match="time zone"):
        Clock(datetime(1970, 1, 2))  # noqa: DTZ001


async def test_handlers_of_a_file_and_of_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.warren]\napp = 'shop'\n")
    (tmp_path / "handlers").mkdir()
    (tmp_path / "handlers" / "greet.py").write_text(
        "from engine import Event, EventData, handler\n"
        "class Arrived(EventData, type='guest.arrived'):\n    name: str\n"
        "@handler(Arrived)\nasync def greet(event: Event[Arrived]) -> None: ...\n"
    )
    monkeypatch.chdir(tmp_path)
    greet = load("handlers/greet.py")
    for named in ([greet], ["handlers/greet.py"], [[greet.greet]], []):
        async with Harness(*named) as harness:
            await harness.publish(greet.Arrived(name="Ann"))
            await harness.settle()
            assert harness.handled(greet.greet, count=1)[0].data.name == "Ann"


def test_nothing_else_in_the_runtime_reads_the_wall_clock() -> None:
    runtime = Path(clock.__file__).parent
    strays = [
        path.name
        for path in runtime.glob("*.py")
        if path.name not in ("clock.py", "ids.py")
        and any(word in path.read_text() for word in ("time.time(", "datetime.now(", "from time import"))
    ]
    assert strays == []
