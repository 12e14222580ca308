"""A trace: what one event led to, through which handlers, and what became of each."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, create_engine

from engine import Context, Event, EventData, RetryPolicy, handler
from engine.errors import UsageError
from engine.model.message import Message
from engine.model.outgoing import Kind, Outgoing
from engine.model.record import Record, State
from engine.operations import redrive, replay
from engine.operations.events import EventFilter
from engine.operations.masking import UNMASKED, Masking
from engine.operations.operator import Operator
from engine.operations.progress import follow
from engine.operations.trace import AGED, Trace, Tracer, as_dict, find, lines, recent, trace
from engine.runtime.application import Engine
from engine.storage import delayed, event_log, outbox, records, workers
from engine.storage.database import Database
from engine.storage.event_log import Entry, Origin
from engine.storage.failure_search import Filter
from engine.storage.workers import DeclaredQueue, Worker
from engine.testing.harness import Harness
from tests.support.failing import bury
from tests.support.inprocess import own_settings

ANNA = Operator("anna@web-1")
T0 = 1_795_428_000.0


@pytest.fixture(params=["sqlite", "postgresql"])
async def either(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database of either kind."""
    url = f"sqlite:///{tmp_path}/warren.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    opened = await Database.open(url, migrate=True)
    yield opened
    await opened.close()


def entry(event_id: str, kind: str = "order.placed", *, at: float = 0.0, **changes: Any) -> Entry:
    message = Message(b"{}", message_id=event_id, correlation_id="visit-7", type=kind)
    made = Entry(
        *(event_id, kind, "order", "42", None, Origin.EMITTED, "", "shop"),
        *("visit-7", None, "events", kind, T0 + at, None, message),
    )
    return made._replace(**changes)


async def log(database: Database, *entries: Entry) -> None:
    await database.write(lambda connection: event_log.append(connection, entries, now=T0))


async def declare(database: Database, handlers: dict[str, str], **info: Any) -> None:
    """Handlers of the shop, by name, with the pattern of each."""
    queues = [
        DeclaredQueue(f"shop.x.{name}", "shop", name, (pattern,), T0 - 9, T0) for name, pattern in handlers.items()
    ]
    worker = Worker("w-1", "shop", "1", "running", T0, T0, {"handlers": {}, **info})

    def work(connection: Any) -> None:
        workers.declare_queues(connection, queues)
        workers.register(connection, worker)

    await database.write(work)


def record(handler_: str, event_id: str, state: State = State.DONE, **changes: Any) -> Record:
    made = Record(f"shop.x.{handler_}", event_id, state, 1, 1, 1, "w-1", b"h", 0, False, T0 + 1, T0 + 1.5)
    return made._replace(**changes)


async def put(database: Database, *made: Record) -> None:
    await database.write(lambda connection: records.put(connection, made))


async def told(database: Database, reference: str = "visit-7", now: float = T0 + 60) -> list[str]:
    """The tree in words."""
    found = await trace(database, reference, masking=UNMASKED, now=now)
    json.dumps(as_dict(found))
    return [line.prefix + line.text for line in lines(found)]


async def test_events_stand_below_the_handler_that_emitted_them(either: Database) -> None:
    await declare(either, {"reserve": "order.placed", "mail": "order.*", "charge": "goods.reserved"})
    await log(
        either,
        entry("e-1"),
        entry("e-2", "goods.reserved", at=1.4, causation_id="e-1", queue="shop.x.reserve"),
        entry("e-3", "order.elsewhere", at=2.0, causation_id="e-1", queue="other.x.y"),
    )
    await put(
        either,
        record("reserve", "e-1"),
        record("mail", "e-1", State.RUNNING, created=T0 + 1.2),
        record("charge", "e-2", State.WAITING, attempts=2, created=T0 + 2),
        record("mail", "e-3", State.DEAD, attempts=4, created=T0 + 3, updated=T0 + 3.1),
    )
    assert await told(either) == [
        "order.placed  e-1  order/42  2026-11-23 10:00:00.000Z  from shop",
        "├─ reserve  done  +1.0s  took 500ms",
        "│  └─ goods.reserved  e-2  order/42  +1.4s",
        "│     └─ charge  waiting  2 attempts  +2.0s",
        "├─ mail  running  +1.2s",
        "└─ order.elsewhere  e-3  order/42  +2.0s",
        "   └─ mail  dead  4 attempts  +3.0s  took 100ms",
    ]


async def test_what_is_on_its_way_is_seen(either: Database) -> None:
    await declare(
        either,
        {"mail": "order.*", "audit": "order.*", "far": "order.*"},
        keyed=["shop.x.audit"],
        exchanges={"shop.x.far": "x"},
    )
    await log(
        either,
        entry("e-1", at=0),
        entry("e-2", "order.due", at=1, due=T0 + 600),
        entry("e-3", "order.cancelled", at=2, due=T0 + 600),
        entry("e-4", "order.promised", at=3),
    )
    await put(either, record("mail", "e-1", State.WAITING))
    message = Message(b"{}", message_id="e-4", correlation_id="visit-7", type="order.promised")
    retry = Message(b"{}", message_id="e-1", correlation_id="visit-7")
    rows = [
        Outgoing("1", Kind.EMIT, "events", "order.promised", message, False, None, T0),
        Outgoing("2", Kind.RETRY, "", "shop.x.mail", retry, True, T0 + 90, T0),
    ]

    def work(connection: Any) -> None:
        outbox.add(connection, None, rows)
        delayed.add(connection, {"e-3": T0 + 600}, T0)
        delayed.cancel(connection, "e-3", T0)

    await either.write(work)
    assert await told(either) == [
        "order.placed  e-1  order/42  2026-11-23 10:00:00.000Z  from shop",
        "├─ mail  waiting  1 attempt  +1.0s  next at 2026-11-23 10:01:30.000Z",
        "└─ audit  goes by an idempotency key, see there",
        "order.due  e-2  order/42  2026-11-23 10:00:01.000Z  from shop  delayed until 2026-11-23 10:10:00.000Z",
        "order.cancelled  e-3  order/42  2026-11-23 10:00:02.000Z  from shop  cancelled",
        "order.promised  e-4  order/42  2026-11-23 10:00:03.000Z  from shop  not published yet",
        "├─ audit  goes by an idempotency key, see there",
        "└─ mail  not begun: it waits in its queue",
    ]
    found = await trace(either, "visit-7", masking=UNMASKED, now=T0 + 60)
    assert (found.events, found.handled, found.waiting, found.open_failures) == (4, 0, 4, 0)
    assert "so long ago that nobody remembers" in "\n".join(await told(either, now=T0 + 90_000))


async def test_a_root_that_the_log_does_not_have_is_told_from_its_records(either: Database) -> None:
    await declare(either, {"reserve": "order.placed", "charge": "goods.reserved"})
    await log(either, entry("e-2", "goods.reserved", at=2, causation_id="visit-7", queue="shop.x.reserve"))
    await put(either, record("reserve", "visit-7"), record("charge", "e-2"))
    assert await told(either) == [
        "order.placed  visit-7  2026-11-23 10:00:01.000Z  (not in the log)",
        "└─ reserve  done  +0ms  took 500ms",
        "   └─ goods.reserved  e-2  order/42  +1.0s",
        "      └─ charge  done  +0ms  took 500ms",
    ]
    assert await find(either, "e-2") == "visit-7"


async def test_failures_and_what_operators_did_stand_with_their_handling(database: Database) -> None:
    failure = await bury(database, "e-1", own_id="e-1")
    found = await trace(database, f"#{failure}", masking=UNMASKED)
    kinds = [type(node.what).__name__ for node in found.nodes]
    assert kinds == ["TracedEvent", "Handling", "TracedFailure"]
    assert found.open_failures == 1
    secret = Masking(patterns=["provider"])
    [line] = [
        line.text for line in lines(await trace(database, str(failure), masking=secret)) if "failure" in line.text
    ]
    assert "provider" not in line


async def test_causes_that_go_round_in_a_circle_lose_no_event(either: Database) -> None:
    await log(
        either,
        entry("e-1", causation_id="e-3"),
        entry("e-2", at=1, causation_id="e-1"),
        entry("e-3", at=2, causation_id="e-2"),
        entry("e-4", at=3, causation_id="e-4"),
    )
    shown = await told(either)
    assert [line.lstrip(" └─├│").split("  ")[1] for line in shown] == ["e-4", "e-1", "e-2", "e-3"]


async def test_a_chain_of_thousands_is_no_deep_recursion(database: Database) -> None:
    chain = [
        entry(f"e-{number}", at=number, causation_id=f"e-{number - 1}" if number else None) for number in range(2500)
    ]
    await log(database, *chain)
    found = await trace(database, "visit-7", masking=UNMASKED, now=T0)
    assert (len(found.nodes), found.truncated) == (2000, True)
    assert found.nodes[-1].depth == 1999
    assert len(json.dumps(as_dict(found))) > 10_000
    assert len(list(lines(found))) == 2000


async def test_what_is_meant_is_found_or_refused(either: Database) -> None:
    await declare(either, {"mail": "order.*"})
    await log(either, entry("e-1"))
    await put(either, record("mail", "alone"))
    assert await find(either, "visit-7") == await find(either, "e-1") == "visit-7"
    assert await find(either, "alone") == "alone"
    for nothing in ("e-9", "#17", "17", "", "\x1b[2J", "x" * 300, "9" * 30):
        with pytest.raises(UsageError, match="nothing is known"):
            await find(either, nothing)


async def test_correlations_of_late_come_in_pages(either: Database) -> None:
    await log(either, *(entry(f"e-{n}", at=n, correlation_id=f"v-{n % 5}") for n in range(15)))
    first = await recent(either, limit=3)
    assert [(each.correlation_id, each.events, each.failures) for each in first] == [
        ("v-4", 3, 0),
        ("v-3", 3, 0),
        ("v-2", 3, 0),
    ]
    assert [each.position for each in first] == [15, 14, 13]
    assert [
        each.correlation_id for each in await recent(either, limit=3, wanted=EventFilter(correlation_id="v-1"))
    ] == ["v-1"]


# --- the real thing ---------------------------------------------------------------------------


class Placed(EventData, type="order.placed", aggregate="order", key="order_id"):
    order_id: str


class Reserved(EventData, type="goods.reserved", aggregate="order", key="order_id"):
    order_id: str


class Charged(EventData, type="card.charged", aggregate="order", key="order_id"):
    order_id: str


world = {"down": True}


@handler(Placed)
async def reserve(event: Event[Placed], ctx: Context) -> None:
    ctx.emit(Reserved(order_id=event.data.order_id))


@handler(Reserved, retry=RetryPolicy(max_attempts=2, initial=0.5, jitter=False))
async def charge(event: Event[Reserved], ctx: Context) -> None:
    if world["down"]:
        raise ConnectionError("the provider is away")
    ctx.emit(Charged(order_id=event.data.order_id), delay=30)


@handler(Charged)
async def ship(event: Event[Charged]) -> None: ...


def told_of(found: Trace) -> list[str]:
    """Depth, who, and how it ended."""
    said = []
    for node in found.nodes:
        what: Any = node.what
        name = getattr(what, "type", None) or getattr(what, "handler", None) or getattr(what, "kind", "failure")
        said.append(f"{node.depth} {name} {getattr(what, 'state', None) or getattr(what, 'outcome', None)}")
    return said


async def test_a_flow_with_a_retry_a_redrive_a_delay_and_a_replay() -> None:
    world["down"] = True
    async with Harness(reserve, charge, ship, journal=["order.placed"]) as harness:
        database, broker = harness.database, harness.worker.broker

        async def look() -> list[str]:
            # Operations go by the real clock and the harness by its own, so what they did may stand before the failure.
            told = told_of(await trace(database, "visit-7", masking=UNMASKED, now=harness.clock.now()))
            acts = [line for line in told if "redrive" in line or "replay" in line]
            return [*(line for line in told if line not in acts), *acts]

        placed = await harness.publish(Placed(order_id="42"), correlation_id="visit-7")
        await harness.settle()
        flow = ["0 order.placed published", "1 reserve done", "2 goods.reserved published"]
        assert await look() == [*flow, "3 charge waiting"]
        await harness.advance(seconds=2)
        assert await look() == [*flow, "3 charge dead", "4 failure None"]

        world["down"] = False
        made = await redrive.plan(database, broker, Filter(correlation_id="visit-7"))
        ordered = await redrive.start(database, made, app="test", operator=ANNA, why="it is back")
        assert [now async for now in follow(database, ordered.id, until_verified=True)][-1].succeeded == 1
        await harness.settle()
        mended = [*flow, "3 charge done", "4 failure succeeded"]
        assert await look() == [*mended, "4 card.charged delayed", "4 redrive succeeded"]
        await harness.advance(seconds=31)
        assert await look() == [*mended, "4 card.charged published", "5 ship done", "4 redrive succeeded"]

        target = await replay.find_target(database, "test", "ship")
        again = await replay.plan(database, broker, EventFilter(correlation_id="visit-7", types=["card.*"]), target)
        started = await replay.start(database, again, app="test", operator=ANNA, why="once more")
        assert [now async for now in follow(database, started.id, until_verified=True)][-1].succeeded == 1
        ended = [*mended, "4 card.charged published", "5 ship done", "4 redrive succeeded", "6 replay succeeded"]
        assert sorted(await look()) == sorted(ended)
        harness.handled(ship, count=2)
        assert await find(database, placed.id) == "visit-7"


async def test_an_application_s_transaction_and_its_handlers_are_one_trace(tmp_path: Path) -> None:
    settings = own_settings(tmp_path, "test", exchange="events")
    async with Harness(reserve, folder=tmp_path) as harness:
        made = create_engine(settings.database_url)
        async with Engine(settings, broker=harness.worker.broker) as engine:
            with Session(made) as session:
                event = engine.outbox(session).add(Placed(order_id="42"))
                session.commit()
        made.dispose()
        await harness.settle()
        harness.handled(reserve, count=1)
        found = await trace(harness.database, event.id, masking=UNMASKED, now=time.time())
        assert told_of(found) == ["0 order.placed published", "1 reserve done", "2 goods.reserved published"]


async def test_a_trace_is_built_anew_only_where_something_changed(either: Database) -> None:
    await declare(either, {"charge": "order.*"})
    await log(either, entry("e-1"))
    tracer = Tracer()

    async def look(now: float = T0 + 5) -> Trace:
        return await tracer.trace(either, "visit-7", masking=UNMASKED, now=now)

    first = await look()
    assert await look(T0 + 6) is first
    assert await look(T0 + 5 + AGED) is not first
    await put(either, record("charge", "e-1"))
    changed = await look()
    assert changed != first
    assert changed == await trace(either, "visit-7", masking=UNMASKED, now=T0 + 5)
