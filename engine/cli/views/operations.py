"""What `warren operations` does and prints."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, TypeVar

from engine.cli.call import Call
from engine.cli.confirm import confirm
from engine.cli.output import Column, number
from engine.cli.progress import progress
from engine.cli.views.failures import age, moment
from engine.errors import UsageError
from engine.model.names import nearest
from engine.operations import steering
from engine.operations.durations import format_duration
from engine.operations.performing import perform_alone
from engine.operations.progress import (
    Item,
    ItemState,
    Operation,
    State,
    as_dict,
    counts,
    follow,
    item_dict,
    items,
    list_operations,
    one,
)
from engine.operations.workers import living
from engine.storage.database import Database

T = TypeVar("T", bound=StrEnum)

LIST = (
    Column("id", "ID"),
    Column("created", "AGE", True, age),
    Column("kind", "KIND"),
    Column("state", "STATE"),
    number("total", "TOTAL"),
    number("sent", "SENT"),
    number("succeeded", "SUCCEEDED"),
    number("failed", "FAILED"),
    number("pending", "PENDING"),
    Column("who", "WHO"),
    Column("why", "WHY"),
)

ITEMS = (
    number("position", "NUMBER"),
    number("subject", "FAILURE", str),
    Column("state", "STATE"),
    Column("verdict", "VERDICT"),
    number("run", "RUN"),
)


async def show_list(call: Call, *, state: str | None, kind: str | None, limit: int) -> None:
    """List operations."""
    wanted = None if state is None else _word(State, state)
    async with call.database() as database:
        found = await list_operations(database, call.settings.app, kind=kind, state=wanted, limit=limit)
    rows = [{**as_dict(each), "failed": each.failed} for each in found]
    call.output.items(rows, LIST, "There are no such operations.")


async def show_one(call: Call, reference: str, *, follow: bool, state: str | None, limit: int) -> None:
    """Show an operation whole, at once or when it has ended, and some of its messages."""
    out = call.output
    wanted = None if state in (None, "all") else _word(ItemState, state or "")
    async with call.database() as database:
        stands = await one(database, reference)
        if follow:
            stands = await _followed(call, database, stands)
        verdicts = await counts(database, stands.id)
        found: list[Item] = []
        if state is not None:
            found = await items(database, stands.id, state=wanted, limit=limit)
    skipped = {verdict: count for (each, verdict), count in verdicts.items() if each is ItemState.SKIPPED}
    if stands.cursor is not None:
        skipped |= stands.cursor.skipped
    listed = {"items": [item_dict(item) for item in found]} if state is not None else {}
    out.result({**as_dict(stands), "verdicts": skipped, **listed})
    if out.as_json:
        return
    out.fields(_fields(stands, skipped))
    if state is not None:
        out.line()
        _list_items(call, stands, found)


async def steer(call: Call, wish: str, reference: str, *, why: str, yes: bool) -> int:
    """Ask, pause, resume or cancel, and perform what is resumed where no worker lives; the exit code."""
    out, app = call.output, call.settings.app
    act = {"pause": steering.pause, "resume": steering.resume, "cancel": steering.cancel}[wish]
    async with call.database() as database:
        stands = await one(database, reference)
        alive = await living(database, app)
        out.line(f"{_named(stands)}: {stands.sent:,} sent, {stands.waiting:,} not yet.")
        # What runs, but is performed by nobody, is only to be performed.
        if not (wish == "resume" and stands.state is State.RUNNING and not alive):
            confirm(out, f"{wish.capitalize()} it?", yes=yes, count=stands.waiting if wish == "resume" else 0)
            stands = await act(database, stands.id, operator=call.operator, why=why)
        performed = None
        if wish == "resume" and not alive:
            async with call.broker() as broker:
                performed = await perform_alone(database, broker, app, stands.id, operator=call.operator)
            stands = await one(database, stands.id)
    out.result({**as_dict(stands), "relayed_here": None if performed is None else performed.sent})
    out.line(f"It is {stands.state}.")
    if performed is not None:
        out.line(f"No worker is alive, so {performed.sent:,} messages were published from here.")
        if performed.left:
            out.note(f"{performed.left:,} messages wait for a worker. {performed.why}")
    return 1 if performed is not None and performed.left else 0


async def _followed(call: Call, database: Database, stands: Operation) -> Operation:
    shown = sys.stderr.isatty()
    with progress(call.output, f"{stands.kind} {stands.id}", stands.total) as advance:
        dealt = 0
        async for now in follow(database, stands.id, until_verified=True):
            advance(now.verified + now.skipped - dealt if shown else 0)
            dealt, stands = now.verified + now.skipped, now
    return stands


def _fields(stands: Operation, skipped: dict[str, int]) -> Sequence[tuple[str, object]]:
    running = stands.state is State.RUNNING
    options = stands.options
    return (
        ("operation", _named(stands)),
        ("state", f"{stands.state}, {stands.stage}" if running else stands.state),
        ("note", stands.note),
        ("by", f"{stands.who}, {age(stands.created)} ago" + (f": {stands.why}" if stands.why else "")),
        ("to", stands.target or ", ".join(sorted(stands.asked.get("queues", ())))),
        ("stream", "" if stands.cursor is None else f"{stands.asked['stream']}, goes on at {stands.cursor.next:,}"),
        ("messages", f"{stands.total:,}: {stands.sent:,} sent, {stands.waiting:,} not yet, {stands.skipped:,} skipped"),
        ("outcomes", _outcomes(stands) if stands.sent else ""),
        ("skipped", ", ".join(f"{verdict}: {count:,}" for verdict, count in sorted(skipped.items()))),
        ("canaries", options.canary or ""),
        ("rate", "" if options.rate is None else f"{options.rate:g} a second"),
        ("pace", f"{stands.pace:,.0f} a second" if running and stands.pace else ""),
        ("ready in", "" if stands.eta is None else format_duration(stands.eta)),
        ("performed by", stands.owner or ("nobody at the moment" if running else "")),
        ("ended", "" if stands.ended is None else f"{moment(stands.ended)}, after {_took(stands)}"),
    )


def _outcomes(stands: Operation) -> str:
    found = {
        "succeeded": stands.succeeded,
        "failed again": stands.failed_again,
        "failed otherwise": stands.failed_otherwise,
        "pending": stands.pending,
    }
    return ", ".join(f"{count:,} {name}" for name, count in found.items() if count)


def _took(stands: Operation) -> str:
    return format_duration((stands.ended or time.time()) - stands.created)


def _named(stands: Operation) -> str:
    return f"{stands.kind} {stands.id}"


def _list_items(call: Call, stands: Operation, found: Sequence[Item]) -> None:
    rows: list[dict[str, Any]] = [item_dict(item) for item in found]
    if not rows:
        call.output.line("It has no such messages.")
    else:
        subject = {"redrive": ITEMS[1], "replay": number("subject", "EVENT", str)}
        streamed = number("subject", "OFFSET", str)
        call.output.table(rows, (ITEMS[0], subject.get(stands.kind, streamed), *ITEMS[2:]))


def _word(kind: type[T], word: str) -> T:
    known = [each.value for each in kind]
    if word not in known:
        raise UsageError(f"not a state: {word!r}", hint=nearest(word, known) or f"There are: {', '.join(known)}.")
    return kind(word)
