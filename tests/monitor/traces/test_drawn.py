"""The tree as it is drawn, on real rows of fixed times, narrow and wide; and strangers' text in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.model.message import Message
from engine.model.record import Record, State
from engine.settings import Settings
from engine.storage import event_log, records, workers
from engine.storage.database import Database
from engine.storage.event_log import Entry, Origin
from engine.storage.workers import DeclaredQueue, Worker
from tests.support.inprocess import own_settings
from tests.support.seat import seated

T0 = 1_795_428_000.0
#: Sets the clipboard, turns the reading order, and is markup.
HOSTILE = "a\x1b]52;c;aGk=\x07\u202e[@click=app.quit]b"

TREE = """\
    +0.0ms  ◆ order.placed  order/42  e-1                          published
     +1.0s  ├─ ● reserve                                    500ms  done
     +1.2s  │  └─ ◆ inventory.reserved  order/42  e-2              published
     +2.0s  │     └─ ● capture  3 attempts                  500ms  done
     +3.0s  └─ ▶ notify                                            running"""


def entry(event_id: str, kind: str, at: float, **changes: object) -> Entry:
    message = Message(b'{"order_id": "o-1"}', message_id=event_id, correlation_id="visit-7", type=kind)
    made = Entry(
        *(event_id, kind, "order", "42", None, Origin.EMITTED, "", "shop"),
        *("visit-7", None, "events", kind, T0 + at, None, message),
    )
    return made._replace(**changes)  # type: ignore[arg-type]


def record(handler: str, event_id: str, state: State, began: float, **changes: object) -> Record:
    made = Record(f"shop.x.{handler}", event_id, state, 1, 1, 1, "w-1", b"h", 0, False, T0 + began, T0 + began + 0.5)
    return made._replace(**changes)  # type: ignore[arg-type]


@pytest.fixture
async def settings(tmp_path: Path) -> Settings:
    """A shop that has one visit in its database, and one of a stranger."""
    found = own_settings(tmp_path, "shop")
    database = await Database.open(found.database_url, migrate=True)
    handlers = {"reserve": "order.placed", "notify": "order.placed", "capture": "inventory.reserved"}
    queues = [
        DeclaredQueue(f"shop.x.{name}", "shop", name, (pattern,), T0 - 9, T0) for name, pattern in handlers.items()
    ]
    entries = [
        entry("e-1", "order.placed", 0),
        entry("e-2", "inventory.reserved", 1.2, queue="shop.x.reserve", causation_id="e-1"),
        entry("e-9", HOSTILE, 3, aggregate_id=HOSTILE, correlation_id="visit-9", source=HOSTILE),
    ]
    made = [
        record("reserve", "e-1", State.DONE, 1),
        record("notify", "e-1", State.RUNNING, 3),
        record("capture", "e-2", State.DONE, 2, attempts=3),
    ]

    def work(connection: object) -> None:
        workers.declare_queues(connection, queues)  # type: ignore[arg-type]
        workers.register(connection, Worker("w-1", "shop", "1", "running", T0, T0, {"handlers": {}}))  # type: ignore[arg-type]
        event_log.append(connection, entries, now=T0)  # type: ignore[arg-type]
        records.put(connection, made)  # type: ignore[arg-type]

    await database.write(work)
    await database.close()
    return found


async def test_the_tree_in_a_narrow_terminal(settings: Settings) -> None:
    async with seated(settings, size=(80, 24), clock=lambda: T0 + 60) as seat:
        await seat.press("4")
        await seat.see("2 correlations of late", "order.placed", "visit-7")
        seat.monitor.open_trace("e-2")
        await seat.see("correlation visit-7", "2 events, 2 handled, 1 under way")
        shown = [line.lstrip("▌ ") for line in seat.screen.split("\n")]
        for line in TREE.split("\n"):
            assert line.lstrip() in shown, seat.screen
        await seat.press("G", "k", "k", "enter")
        await seat.see("inventory.reserved", "aggregate  order/42", "logged as  emitted", '"order_id": "o-1"')
        await seat.press("escape", "j", "enter")
        await seat.see("queue     shop.x.capture", "attempts  3", "took      500ms")


async def test_the_tree_in_a_wide_terminal_has_the_node_beside_it(settings: Settings) -> None:
    async with seated(settings, size=(200, 60), clock=lambda: T0 + 60) as seat:
        seat.monitor.open_trace("visit-7")
        await seat.see("◆ inventory.reserved  order/42  e-2", "event      e-1")
        await seat.press("j")
        await seat.see("queue     shop.x.reserve")
        await seat.press("f")
        await seat.type("capture")
        await seat.press("enter")
        await seat.miss("order.placed")
        await seat.see("● capture")


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_strangers_text_is_drawn_harmless(settings: Settings, size: tuple[int, int]) -> None:
    async with seated(settings, size=size, clock=lambda: T0 + 60) as seat:
        seat.monitor.open_trace("visit-9")
        await seat.see("[@click=app.quit]b")
        for keys in ((), ("enter",), ("escape", "y"), ("escape", "escape", "4")):
            await seat.press(*keys)
            await seat.see("a␛")
            assert not {"\x1b", "\x07", "\u202e"} & set(seat.screen)
