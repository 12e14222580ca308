"""What `warren events export` and `import` do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO

from engine.cli.call import Call
from engine.cli.confirm import confirm
from engine.cli.views.exporting import opened
from engine.errors import UsageError
from engine.operations import event_files
from engine.operations.events import EventFilter
from engine.operations.masking import UNMASKED


async def export(call: Call, wanted: EventFilter, *, output: str, unmasked: bool, yes: bool) -> None:
    """Write events as lines of JSON. Asks where secrets are written, or a file is written over."""
    out, path = call.output, None if output == "-" else Path(output)
    if path is not None and path.is_dir():
        raise UsageError(f"{path} is a folder", hint=f"Name a file: --output {path}/events.jsonl")
    masking = UNMASKED if unmasked else call.masking
    if unmasked:
        confirm(out, "Write events with their secrets?", yes=yes)
    elif path is not None and path.exists():
        confirm(out, f"Write over {path}?", yes=yes)
    count = 0
    async with call.database() as database:
        with opened(path) as file:
            async for lines in event_files.export(database, wanted, operator=call.operator, masking=masking):
                file.write(lines)
                count += lines.count(b"\n")
    if path is not None:
        out.result({"exported": count, "file": str(path), "masked": masking.on})
        out.line(f"Wrote {count:,} events to {path}.")


async def take(call: Call, file: str, *, yes: bool) -> None:
    """Take exported events into the log."""
    out = call.output
    with _source(file) as source:
        confirm(out, f"Import the events of {file} into {call.settings.database_shown}?", yes=yes)
        async with call.database() as database:
            done = await event_files.take(database, source, operator=call.operator, name=file)
    out.result({"lines": done.lines, "imported": done.events})
    out.line(f"Imported {done.events:,} events; {done.lines - done.events:,} were in the log already.")


def _source(file: str) -> BinaryIO:
    try:
        return sys.stdin.buffer if file == "-" else Path(file).open("rb")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
