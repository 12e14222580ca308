"""What `warren db` does and prints."""

from __future__ import annotations

import time

from engine.cli.call import Call
from engine.cli.confirm import confirm
from engine.cli.output import Column, number
from engine.cli.progress import progress
from engine.operations import housekeeping
from engine.operations.durations import format_duration
from engine.storage.database import Database
from engine.storage.schema import REVISION, Standing, judge

SIZES = (Column("table", "TABLE"), number("rows", "ROWS"))


async def upgrade(call: Call, *, yes: bool) -> None:
    """Apply the missing migrations."""
    url = call.settings.database_url
    before = await Database.standing(url)
    if not before.outdated:
        problem = judge(before, url)
        if problem is not None:
            raise problem
        _print_standing(call, before, changed=False)
        return
    if before.revision is not None:
        confirm(call.output, f"Migrate the database from {before.revision} to {REVISION}?", yes=yes)
    _print_standing(call, await housekeeping.upgrade(url, operator=call.operator), changed=True)


def _print_standing(call: Call, standing: Standing, *, changed: bool) -> None:
    call.output.result({"revision": standing.revision, "program": REVISION, "changed": changed})
    call.output.line(f"The database is {'now ' if changed else ''}at revision {standing.revision}.")


async def check(call: Call) -> int:
    """Print where the database stands; the exit code."""
    url = call.settings.database_url
    standing = await Database.standing(url)
    problem = judge(standing, url)
    if problem is not None:
        raise problem
    async with call.database() as database:
        state = await housekeeping.look(database)
    rows = [{"table": table, "rows": count} for table, count in state.rows.items()]
    beside = {
        "url": database.url,
        "revision": standing.revision,
        "program": REVISION,
        "size_bytes": state.size,
        "outbox": state.outbox,
        "outbox_oldest": state.outbox_oldest,
    }
    call.output.items(rows, SIZES, "", **beside)
    out = call.output
    out.line()
    out.line(f"{database.url}, {state.size / 2**20:,.1f} MiB, revision {standing.revision} (this program: {REVISION})")
    waiting = f", the oldest for {format_duration(time.time() - state.outbox_oldest)}" if state.outbox_oldest else ""
    out.line(f"{state.outbox:,} messages wait to be published{waiting}.")
    return 0


async def prune(call: Call, older_than: float, *, dry_run: bool, yes: bool) -> None:
    """Forget what ended long ago."""
    before = time.time() - older_than
    async with call.database() as database:
        count = await housekeeping.prunable(database, before)
        if dry_run or not count:
            call.output.result({"pruned": 0, "would_prune": count})
            call.output.line(f"{count:,} records are older than {format_duration(older_than)}.")
            return
        confirm(
            call.output, f"Forget {count:,} records older than {format_duration(older_than)}?", yes=yes, count=count
        )
        with progress(call.output, "pruning", count) as advance:
            pruned = await housekeeping.prune(database, before, operator=call.operator, advance=advance)
    call.output.result({"pruned": pruned, "would_prune": count})
    call.output.line(f"Forgot {pruned:,} records.")
