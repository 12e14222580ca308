"""What `warren failures export` does."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from engine.cli.call import Call
from engine.cli.confirm import confirm
from engine.cli.progress import progress
from engine.cli.views.archiving import Request
from engine.errors import UsageError
from engine.operations import exporting
from engine.operations.masking import UNMASKED


async def export(call: Call, request: Request, *, output: str, unmasked: bool) -> None:
    """Write the failures as lines of JSON. Asks where secrets are written, or a file is written over."""
    out, path = call.output, None if output == "-" else Path(output)
    if path is not None and path.is_dir():
        raise UsageError(f"{path} is a folder", hint=f"Name a file: --output {path}/failures.jsonl")
    masking = UNMASKED if unmasked else call.masking
    async with call.database() as database:
        selection = await exporting.plan_export(database, request.wanted)
        count = len(selection.ids)
        for why, number in selection.left.items():
            out.note(f"{number:,} {why}")
        if unmasked:
            confirm(out, f"Write {count:,} failures with their secrets?", yes=request.yes)
        elif path is not None and path.exists():
            confirm(out, f"Write over {path}?", yes=request.yes)
        with opened(path) as file, progress(out, "exporting", count) as advance:
            async for lines in exporting.export(
                database, selection, operator=call.operator, masking=masking, why=request.why
            ):
                file.write(lines)
                advance(lines.count(b"\n"))
    if path is not None:
        out.result({"exported": count, "file": str(path), "masked": masking.on})
        out.line(f"Wrote {count:,} failures to {path}.")


@contextlib.contextmanager
def opened(path: Path | None) -> Iterator[BinaryIO]:
    """The file, readable by its owner only and whole or not at all; or standard output."""
    if path is None:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    unfinished = path.with_name(path.name + ".part")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # some delete what was exported
        unfinished.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", hint="Nothing was exported.") from None
    finally:
        unfinished.unlink(missing_ok=True)
