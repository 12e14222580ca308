"""Strangers' bytes on every screen, through a real terminal: none of them reaches it raw, and nothing breaks."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from engine import Settings
from engine.model.failure import Status
from engine.model.message import Message
from engine.operations import editing, failures, pausing, redrive
from engine.operations.checking import Checker
from engine.operations.failures import Filter
from engine.operations.masking import masking_for
from engine.operations.operator import Operator
from engine.operations.progress import Options
from engine.runtime.application import Engine
from engine.runtime.ids import new_id
from engine.runtime.valve import Mode
from engine.runtime.worker import Worker
from engine.storage import event_log, projections
from engine.storage.event_log import Entry, Origin
from engine.storage.failure_search import count
from tests.support.inprocess import own_settings, until, working
from tests.support.terminal import CSI, Terminal, terminal

#: Sets the clipboard and the title, clears the screen (7 and 8 bits), rings, turns the reading order, is markup.
HOSTILE = "ev\x1b]52;c;aGk=\x07il\x1b]0;t\x1b\\\x1b[2J\x9b2J\u202e\u2066\x00[/x][bold][@click=app.quit]$x"
#: As much of it as a correlation id may hold.
VISIT = "visit \u202e\u2066[/x][bold][@click=app.quit]"
#: What the sanitiser makes of its beginning.
TAMED = "ev␛]52;c;aGk="

PLUGIN = """
from engine import NEVER, Context, Event, EventData, handler


class OrderPlaced(EventData, type="order.placed", version=1, aggregate="order", key="order_id"):
    order_id: str
    note: str = ""


class Noted(EventData, type="order.noted", version=1, aggregate="order", key="order_id"):
    order_id: str
    note: str


@handler(OrderPlaced, retry=NEVER, emits=[Noted])
async def charge(event: Event[OrderPlaced], ctx: Context) -> None:
    if event.data.order_id == "good":
        ctx.emit(Noted(order_id="good", note=event.data.note))
    else:
        raise ValueError(event.data.note)
"""


def placed(note: str, order_id: str = "bad") -> bytes:
    data = {"order_id": order_id, "note": note, note: note}
    body = {
        "eventType": "order.placed",
        "eventId": new_id(),
        "version": 1,
        "data": data,
        "correlationId": VISIT,
    }
    return json.dumps(body).encode()


def messages() -> list[tuple[str, Message]]:
    """One that is handled, and six that fail."""
    long = f"{HOSTILE}\n" * (1024 * 1024 // len(f"{HOSTILE}\n".encode()))
    headers: dict[str, Any] = {f"h{HOSTILE[:40]}": HOSTILE, "list": [HOSTILE, {"k": HOSTILE}]}
    bodies = [
        placed(HOSTILE, "good"),
        placed(HOSTILE),
        placed(HOSTILE),
        long.encode(),
        bytes(range(256)) * 8,
        HOSTILE.encode(),
        b"",
    ]
    return [
        ("order.placed", Message(body, message_id=f"{number} {HOSTILE[:60]}", headers=headers, type=HOSTILE[:80]))
        for number, body in enumerate(bodies)
    ]


async def misuse(settings: Settings, worker: Worker) -> None:
    """What operators with odd names do for odd reasons: a pause, an edit, a redrive that waits in the queue."""
    by, masking, database = Operator(f"eve {HOSTILE}"), masking_for(settings), worker.database
    await pausing.pause(database, [f"{settings.app}.odd.charge"], operator=by, why=HOSTILE)

    async def shut() -> bool:
        return all(consumer.subscription.mode is Mode.SHUT for consumer in worker.consumers)

    await until(shut, "the pause")
    failed, _ = await failures.ids(database, Filter(exception="ValueError"))
    draft = await editing.draft(database, failed, masking=masking)
    proposal = editing.propose(draft, draft.text.replace("bad", "worse"), Checker.load(settings))
    await editing.save(database, draft, proposal, operator=by, why=HOSTILE)
    plan = await redrive.plan(database, None, Filter(ids=(failed,)))
    await redrive.start(database, plan, app=settings.app, operator=by, why=HOSTILE, options=Options())

    async def sent() -> bool:
        return await database.read(lambda connection: count(connection, Filter(status=Status.REDRIVEN))) == 1

    await until(sent, "the redrive")


def furnish(connection: Any) -> None:
    """What no well-behaved program writes: a stream with an odd name and a body of 1 MiB, a projection that it stops."""
    message = Message(f"{HOSTILE}\n".encode() * 14000, {"traceparent": HOSTILE}, message_id=HOSTILE)
    entry = Entry(
        *("odd", HOSTILE, HOSTILE, HOSTILE, 1, Origin.APPENDED, HOSTILE, HOSTILE),
        *(VISIT, HOSTILE, HOSTILE, HOSTILE, 0.0, None, message),
    )
    event_log.append(connection, [entry], now=2_000_000_000.0)
    made = projections.new(f"shop.{HOSTILE}", "shop", version=1, patterns=[HOSTILE], tables=[HOSTILE], now=0.0)
    stands = projections.begin(connection, made)
    failed = projections.Failed(2, HOSTILE, HOSTILE, HOSTILE)
    projections.fail(connection, stands, failed, retry_at=0.0, now=0.0)
    projections.pause(connection, made.name, {"who": HOSTILE, "why": HOSTILE, "since": 0.0}, now=0.0)


#: Seconds after which an escape is a key of its own, with time to spare.
ESCAPE = 0.3

#: Keys, and what is then drawn: every screen with a number, and every screen that is pushed from it. Nothing is waited
#: for where a wide terminal has nothing new to draw.
WALK = (
    ("1", ""),
    ("2", "1 of 1 queues"),
    ("\r", "because"),
    ("\x1b", "1 of 1 queues"),
    ("3", "of 2 causes"),
    ("/", "enter applies"),
    ("text:ValueE", "of 1 causes"),
    ("\r", "Filter"),
    ("\r", "ValueError in"),
    ("\r", "attempts exhausted"),
    ("f", ""),
    ("G", ""),
    ("y", "copied, where"),
    ("\x1b", "Redrive"),
    ("D", "Edits of failure"),
    ("\x1b", "Redrive"),
    ("e", "Edit #"),
    ("\x07", ""),
    ("\x1b", "Redrive"),
    ("r", "canary"),
    ("\x1b", "Redrive"),
    ("t", "published"),  # with its rows: nothing opens before they are there
    ("g", ""),
    ("\r", "state"),
    ("\x1b", "SINCE"),
    ("\x1b", "Redrive"),
    ("\x1b", "ValueError in"),
    ("\x1b", "1 failure"),  # the filter is lifted first; the other one is redriven
    ("\x1b", "of 1 cause"),
    ("\x1b", "of 2 causes"),
    ("g", ""),
    ("\r", "1 of 4 failures"),
    ("\r", "sent to"),
    ("n", "sent to"),
    ("n", "sent to"),
    ("n", "sent to"),
    ("?", "A failed message"),
    ("\x1b", "Redrive"),
    (":", "Search for"),
    ("\x1b", "Redrive"),
    ("4", "correlations of late"),
    ("\r", "published"),
    ("\r", "state"),
    ("8", "1 of 2 events"),
    ("\r", "position"),
    ("y", "copied, where"),
    ("\x1b", "Replay"),
    ("\x1b", "Projections"),
    ("h", "1 of 1 versions"),
    ("\r", "not known"),
    ("\x1b", "Trace"),
    ("\x1b", "Projections"),
    ("H", "of 1 streams"),
    ("\x1b", "Projections"),
    ("P", "of 1 projections"),
    ("\r", "nobody looks after"),
    ("\x1b", "of 1 projections"),
    ("K", "Leave an event out"),
    ("\x1b", "Rebuild"),
    ("p", "It goes on."),
    ("\x1b", "Rebuild"),
    ("b", "whole log"),
    ("\x1b", "Rebuild"),
    ("\x1b", "Projections"),
    ("r", "1 of 1 handlers"),
    ("\r", "and to nobody else"),
    ("\x1b", "Projections"),
    ("5", "1 of 1 operations"),
    ("\r", "ordered by"),
    ("6", "1 of 1 workers"),
    ("\r", "last beat"),
    ("7", "entries"),
    ("\r", "outcome"),
)


@pytest.mark.parametrize(
    "size", [(80, 24), pytest.param((200, 60), marks=pytest.mark.slow)], ids=lambda size: f"{size[0]}x{size[1]}"
)
async def test_no_byte_of_a_stranger_reaches_the_terminal(tmp_path: Path, size: tuple[int, int]) -> None:
    settings = own_settings(tmp_path, "shop")
    plugin = tmp_path / "handlers" / "odd.py"
    plugin.parent.mkdir()
    plugin.write_text(PLUGIN)
    async with working(settings, plugin) as worker:
        async with Engine(settings) as engine:
            await engine.publish_messages(messages())

        async def failed() -> bool:
            return await worker.database.read(lambda connection: count(connection, Filter())) == 6

        await until(failed, "six failures")
        await misuse(settings, worker)
        await worker.database.write(furnish)
        program = [sys.executable, "-m", "engine.cli", "--broker", settings.broker, "--database", settings.database]
        (tmp_path / "pyproject.toml").write_text('[tool.warren]\napp = "shop"\nexchange = "shop.events"\n')
        async with terminal([*program, "monitor"], tmp_path, columns=size[0], rows=size[1]) as seat:
            await seat.see("ValueError")
            for keys, text in WALK:
                await step(seat, keys, text)
            seat.press("q")
            assert await seat.process.wait() == 0
    written = seat.written.decode()
    assert TAMED in CSI.sub("", written)
    assert "unexpected" not in written
    assert "Traceback (most recent call last)" not in written.rpartition("\x1b[?1049l")[2]
    # Copying sets the clipboard, in base 64 and twice; whatever else is no text and no drawing came from a stranger.
    rest = re.sub(r"\x1b\]52;c;(?!aGk=)[A-Za-z0-9+/=]*\x07", "", written, count=2)
    rest = re.sub(r"\x1b\]22;[a-z-]*\x07", "", rest)  # the shape of the pointer
    found = re.search(
        "[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]", CSI.sub("", rest)
    )
    assert found is None, repr(CSI.sub("", rest)[max(found.start() - 200, 0) : found.end() + 50])


async def step(seat: Terminal, keys: str, text: str) -> None:
    seat.press(keys)
    await seat.see(text)
    if keys == "\x1b":
        # Only time tells escape from a key that begins with it.
        await asyncio.sleep(ESCAPE)
