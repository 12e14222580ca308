"""Failures of five causes, from the first look to the last outcome, with real workers on both brokers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.model.masking import UNMASKED
from engine.operations import failures, patching, redrive
from engine.operations.checking import Checker
from engine.operations.operator import Operator
from engine.operations.progress import Operation, Options, State, one
from engine.runtime.application import Engine
from engine.storage.database import Database
from tests.support.homes import home
from tests.support.workers import Fleet

ANNA = Operator("anna")
CAUSES = ("TimeoutError", "PermissionError", "KeyError", "DecodingError", "RuntimeError")

#: `mended` is the file that a deployment leaves; one cause it does not mend, and one is in the messages themselves.
PLUGIN = """
from decimal import Decimal
from pathlib import Path
from sqlalchemy import text
from engine import AsyncSession, Event, EventData, RetryPolicy, handler

ERRORS = [TimeoutError, PermissionError, KeyError, None, RuntimeError]

class Placed(EventData, type="order.placed"):
    order_id: int
    total: Decimal

@handler(Placed, retry=RetryPolicy(max_attempts=1), concurrency=16)
async def charge(event: Event[Placed], session: AsyncSession) -> None:
    error = ERRORS[event.data.order_id % 5]
    mended = Path(f"mended-{event.data.order_id % 5}").exists()
    if error is not None and not mended:
        raise error("no")
    await session.execute(text("INSERT INTO effects VALUES ('charged', :n)"), {"n": event.data.order_id})
"""


@pytest.fixture(params=["embedded-sqlite", "rabbitmq-sqlite"])
async def fleet(request: pytest.FixtureRequest, tmp_path: Path, app: str) -> AsyncIterator[Fleet]:
    """Workers on each broker."""
    async with home(request, request.param, tmp_path, app) as made:
        yield made


@pytest.mark.parametrize("count", [250, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
async def test_failures_of_five_causes_are_found_and_put_right(fleet: Fleet, count: int) -> None:
    each = count // len(CAUSES)
    await fleet.make_effects()
    plugin = fleet.plugin(PLUGIN)
    await fleet.start(plugin, WARREN_CIRCUIT="0")
    await publish(fleet, count)
    await fleet.until(lambda: known(fleet) == count, "all to have failed", 300)
    mend(fleet, 0, 1, 2)

    database = await Database.open(fleet.database)
    try:
        # Found and grouped: five causes, each whole.
        groups = await failures.groups(database, wanted(), limit=10, masking=UNMASKED)
        assert {group.latest.exception: group.total for group in groups} == dict.fromkeys(CAUSES, each)
        cause = {group.latest.exception: group.fingerprint for group in groups}

        # Filtered: by what they failed with, page by page, and by a field of the payload.
        page = await failures.page(database, wanted("exception:Timeout*"), limit=each // 2, masking=UNMASKED)
        assert (page.total, len(page.rows)) == (each, each // 2)
        assert page.after is not None
        rest = await failures.page(
            database, wanted("exception:Timeout*"), limit=each, masking=UNMASKED, after=page.after
        )
        assert len({row.id for row in (*page.rows, *rest.rows)}) == each
        [single] = (await failures.page(database, wanted("data.order_id=7"), limit=5, masking=UNMASKED)).rows
        assert single.exception == "KeyError"

        # Edited: what the payload model refused, all of the group in one patch that the model has checked.
        checker = Checker.load(fleet.settings(), [str(plugin)])
        refused = wanted(fingerprint=cause["DecodingError"])
        useless = patching.read_patch(["data.total=much"])
        plan = await patching.plan_patch(database, refused, useless, checker=checker, masking=UNMASKED)
        assert (plan.ids, plan.left.total()) == ((), each)
        patch = patching.read_patch(["data.total=9.50"])
        plan = await patching.plan_patch(database, refused, patch, checker=checker, masking=UNMASKED)
        assert len(plan.ids) == each
        saved = await patching.apply_patch(database, plan, checker=checker, operator=ANNA, why="a typo upstream")
        assert len(saved) == each

        # What is not mended costs its canaries, and not a message more.
        stopped = await ordered(fleet, database, wanted(fingerprint=cause["RuntimeError"]))
        assert (stopped.state, stopped.sent, stopped.failed_again, stopped.waiting) == (
            State.STOPPED,
            10,
            10,
            each - 10,
        )
        assert "RuntimeError" in stopped.note

        # The others are redriven with a canary, and each is verified; one cause from the command line.
        told = await from_the_terminal(fleet, "--cause", cause["KeyError"])
        assert (told["state"], told["outcomes"]["succeeded"]) == ("done", each)
        others = ("TimeoutError", "PermissionError", "DecodingError")
        for done in await asyncio.gather(
            *(ordered(fleet, database, wanted(fingerprint=cause[name])) for name in others)
        ):
            assert (done.state, done.succeeded, done.pending, done.failed) == (State.DONE, each, 0, 0)

        # The last cause is mended: all that is still open of it goes.
        mend(fleet, 4)
        assert {row.exception for row in await open_rows(database, count)} == {"RuntimeError"}
        done = await ordered(fleet, database, wanted())
        assert (done.state, done.succeeded) == (State.DONE, each)
        assert await failures.count(database, wanted()) == 0
    finally:
        await database.close()
    fleet.assert_once("charged", range(count))


def wanted(where: str | None = None, **more: Any) -> failures.Filter:
    return failures.make_filter(now=time.time(), where=where, **more)


async def open_rows(database: Database, most: int) -> list[failures.FailureRow]:
    return (await failures.page(database, wanted(), limit=most, masking=UNMASKED)).rows


async def ordered(fleet: Fleet, database: Database, of: failures.Filter) -> Operation:
    """Redrive these with a canary, and wait until the workers have verified them or stopped."""
    async with Engine(fleet.settings()) as engine:
        plan = await redrive.plan(database, engine.broker, of)
    start = await redrive.start(
        database, plan, app=fleet.app, operator=ANNA, why="mended", options=Options(canary=10, stop_after=10)
    )
    ended = f"SELECT 1 FROM warren_operations WHERE id = '{start.id}' AND state != 'running'"
    await fleet.until(lambda: bool(fleet.query(ended)), "the operation to end", 300)
    return await one(database, start.id)


async def from_the_terminal(fleet: Fleet, *which: str) -> dict[str, Any]:
    """The same with `warren redrive`; what it says."""
    call = await fleet.command("--json", "redrive", *which, "--canary", "10", "--wait", "5m", "--yes")
    assert await call.ended() == 0, call.said()
    told: dict[str, Any] = json.loads(call.said())
    return told


def mend(fleet: Fleet, *causes: int) -> None:
    for number in causes:
        (fleet.folder / f"mended-{number}").touch()


def known(fleet: Fleet) -> int:
    [(count,)] = fleet.query("SELECT count(*) FROM warren_failures")
    return int(count)


async def publish(fleet: Fleet, count: int) -> None:
    """Orders, a fifth of them with a total that the model refuses."""
    async with Engine(fleet.settings()) as engine:
        for first in range(0, count, 1000):
            await engine.publish_messages([order(number) for number in range(first, min(first + 1000, count))])


def order(number: int) -> tuple[str, Any]:
    from engine.model.message import Message

    total = "9,50" if number % 5 == 3 else "9.50"
    body = json.dumps(
        {"eventType": "order.placed", "eventId": f"o-{number}", "data": {"order_id": number, "total": total}}
    )
    return "order.placed", Message(body.encode(), message_id=f"o-{number}", type="order.placed")
