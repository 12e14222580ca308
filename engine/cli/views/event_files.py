"""What `warren events export`, `import` and `archive` do."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import BinaryIO

from engine.cli.call import Call
from engine.cli.confirm import confirm
from engine.cli.views.exporting import opened
from engine.errors import UsageError
from engine.operations import event_files, stream_archive
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


async def archive(call: Call, stream: str, *, idle: str | None, output: str, yes: bool) -> None:
    """Write streams to a new file, and then take them out of the log."""
    out, path = call.output, _new(output)
    async with call.database() as database:
        found = await stream_archive.plan(database, stream, idle=idle, now=time.time())
        if not found:
            out.result({"archived": 0, "file": None})
            out.line("There are no such streams.")
            return
        events = sum(each.events for each in found)
        question = f"Move {len(found):,} streams with {events:,} events out of the log, into {path}?"
        confirm(out, question, yes=yes, count=len(found))
        with opened(path) as file:
            async for lines in stream_archive.export(database, found):
                file.write(lines)
        gone = await stream_archive.remove(database, found, operator=call.operator, file=str(path))
    out.result({"archived": len(gone), "file": str(path)})
    out.line(f"Moved {len(gone):,} streams to {path}.")
    if len(gone) < len(found):
        out.note(f"{len(found) - len(gone):,} were appended to meanwhile; they stay in the log.")


def _new(file: str) -> Path:
    path = Path(file)
    if path.exists():
        raise UsageError(f"{path} is there already", hint="Name a new file: an archive is not written over.")
    return path


def _source(file: str) -> BinaryIO:
    try:
        return sys.stdin.buffer if file == "-" else Path(file).open("rb")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
