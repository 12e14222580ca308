"""What `warren topology move`, `migrate` and `delete` do and print."""

from __future__ import annotations

from collections.abc import Sequence

from engine.cli.call import Call
from engine.cli.confirm import confirm
from engine.cli.progress import progress
from engine.errors import UsageError
from engine.operations import migrating, moving, orphans
from engine.operations.topology import wanted


async def move(call: Call, source: str, target: str, *, why: str, yes: bool) -> None:
    """Plan, ask, move."""
    out = call.output
    async with call.database() as database, call.broker() as broker:
        planned = await moving.plan(broker, source, target)
        out.line(f"{planned.waiting:,} messages wait in {source}; they would go to {target}.")
        done = moving.Moved()
        if planned.waiting:
            confirm(out, f"Move {planned.waiting:,} messages?", yes=yes, count=planned.waiting)
            with progress(out, "moving", planned.waiting) as advance:
                done = await moving.move(database, broker, planned, operator=call.operator, why=why, advance=advance)
        left = (await broker.depths([source]))[source]
    out.result({"from": source, "to": target, **done._asdict(), "waiting": 0 if left is None else left.ready})
    out.line(f"Moved: {done.moved:,}.")
    if done.skipped:
        out.line(f"Taken off, since they were handled before or have a successor: {done.skipped:,}.")
    if done.left:
        out.note(f"{done.left:,} messages have headers that cannot be read; they stay in {source}.")
    if left is not None and left.ready > done.left:
        out.note(f"{left.ready:,} messages are in {source}, which is still bound: move again, or delete it.")
    else:
        out.note(f"Events still flow into {source} until `warren topology delete {source}`.")


async def migrate(call: Call, queue: str, plugins: Sequence[str], *, why: str, yes: bool) -> None:
    """Plan, ask, make the queue anew."""
    out, settings = call.output, call.settings
    topology = wanted(settings.app, call.specs(plugins), settings.exchange, settings.journal, settings.stream)
    async with call.database() as database, call.broker() as broker:
        planned = await migrating.plan(database, broker, settings.app, topology, queue)
        if not planned.needed:
            out.result({"queue": queue, "migrated": False, "moved": 0})
            out.line(f"{queue} is as the handlers ask for it.")
            return
        out.line(f"{queue}: {planned.detail.rstrip('.')}.")
        out.line(
            f"It is deleted and declared again; {planned.waiting + planned.beside:,} messages are set aside and moved back."
        )
        confirm(out, f"Migrate {queue}?", yes=yes, count=planned.waiting + planned.beside)
        with progress(out, "migrating", 2 * planned.waiting + planned.beside) as advance:
            done = await migrating.migrate(
                database, broker, planned, topology, operator=call.operator, why=why, advance=advance
            )
    out.result({"queue": queue, "migrated": True, "moved": done.moved})
    out.line(f"Migrated {queue}; {done.moved:,} messages are in it again.")


async def delete(call: Call, queue: str, *, drop: int | None, why: str, yes: bool) -> None:
    """Say what would be lost, ask, delete."""
    out = call.output
    async with call.database() as database, call.broker() as broker:
        planned = await orphans.plan_deletion(broker, queue)
        out.line(f"{queue} holds {planned.ready:,} messages, and {planned.dead_letters:,} dead letters beside it.")
        if drop is not None and drop != planned.lost:
            raise UsageError(
                f"{planned.lost:,} messages would be lost, not {drop:,}",
                hint="Look at them first, then say the number.",
            )
        if yes and planned.lost and drop is None:
            raise UsageError(
                f"{planned.lost:,} messages would be lost",
                hint=f"Move them (`warren topology move {queue} NEW`), or say --drop {planned.lost}.",
            )
        confirm(out, f"Delete {queue}, and lose {planned.lost:,} messages?", yes=yes, count=planned.lost, large=1)
        lost = await orphans.delete(database, broker, planned, operator=call.operator, why=why)
    out.result({"deleted": queue, "lost": lost})
    out.line(f"Deleted {queue}." if not lost else f"Deleted {queue}, and {lost:,} messages with it.")
