"""What `warren queues pause` and `resume` do and print."""

from __future__ import annotations

from collections.abc import Sequence

from engine.cli.call import Call
from engine.cli.confirm import confirm
from engine.operations import pausing
from engine.operations.queues import declared
from engine.operations.workers import living
from engine.storage.database import Database


async def pause(call: Call, queues: Sequence[str], *, why: str, yes: bool) -> None:
    """Ask, and pause."""
    async with call.database() as database:
        await _check(call, database, queues)
        found, alive = await pausing.shut(database), await living(database, call.settings.app)
        fresh = [queue for queue in dict.fromkeys(queues) if queue not in found.paused]
        for queue in queues:
            if queue in found.paused:
                call.output.line(f"{queue} is paused already, by {found.paused[queue].who}.")
        changed: list[str] = []
        if fresh:
            for queue in fresh:
                call.output.line(f"{queue} will not be consumed until it is resumed; {len(alive)} workers live.")
            confirm(call.output, f"Pause {_count(fresh)}?", yes=yes)
            changed = await pausing.pause(database, fresh, operator=call.operator, why=why)
    call.output.result({"paused": changed})
    for queue in changed:
        call.output.line(f"Paused {queue}. `warren queues resume {queue}` has it consumed again.")


async def resume(call: Call, queues: Sequence[str], *, why: str, yes: bool) -> None:
    """Ask, and resume."""
    async with call.database() as database:
        found = await pausing.shut(database)
        queues = list(dict.fromkeys(queues))
        held = [queue for queue in queues if pausing.state_of(queue, found)]
        if len(held) < len(queues):
            await _check(call, database, [queue for queue in queues if queue not in held])
        for queue in queues:
            call.output.line(f"{queue} is {pausing.state_of(queue, found) or 'not paused'}.")
        changed: list[str] = []
        if held:
            confirm(call.output, f"Resume {_count(held)}?", yes=yes)
            changed = await pausing.resume(database, held, operator=call.operator, why=why)
    call.output.result({"resumed": changed})
    for queue in changed:
        call.output.line(f"Resumed {queue}.")


async def _check(call: Call, database: Database, queues: Sequence[str]) -> None:
    app = call.settings.app
    known = [queue.queue for queue in await declared(database, app)]
    pausing.check_known(queues, [*known, *(spec.queue_for(app) for spec in call.specs_if_any())])


def _count(queues: Sequence[str]) -> str:
    return queues[0] if len(queues) == 1 else f"{len(queues)} queues"
