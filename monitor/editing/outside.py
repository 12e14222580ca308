"""Editing in the operator's own editor, with the monitor out of its way meanwhile."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from textual.app import App

from engine import UsageError


def can_suspend(app: App[Any]) -> bool:
    """Whether the terminal can be handed over: not in a browser, nor where there is none."""
    return not (app.is_web or app.is_headless)


def editor() -> list[str]:
    """The command of `$VISUAL`, `$EDITOR`, or what is commonly there. Raises `UsageError`."""
    for name in ("VISUAL", "EDITOR"):
        command = shlex.split(os.environ.get(name, ""))
        if command:
            return command
    found = next((name for name in ("sensible-editor", "vi", "nano") if shutil.which(name)), None)
    if found is None:
        raise UsageError("there is no editor", hint="Set EDITOR to the command of one, then open the monitor again.")
    return [found]


async def edit_outside(app: App[Any], text: str, suffix: str) -> str | None:
    """The text as the editor left it; None when it did not change it, or ended with an error.

    It lies in a file that only its owner can read, and is removed at once. Raises `UsageError`.
    """
    command = editor()
    with tempfile.TemporaryDirectory(prefix="warren-") as folder:
        path = Path(folder) / f"body{suffix}"
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        # What the monitor has under way goes on meanwhile, but nothing of it may be drawn.
        with app.batch_update(), app.suspend():
            try:
                ended = await asyncio.to_thread(subprocess.run, [*command, str(path)], check=False)
            except OSError as error:
                raise UsageError(
                    f"the editor {command[0]!r} does not start: {error.strerror}", hint="EDITOR names its command."
                ) from None
        if ended.returncode:
            raise UsageError(f"{command[0]} ended with {ended.returncode}", hint="The body stays as it was.")
        # An editor ends a file with a line feed of its own.
        edited = path.read_bytes().decode("utf-8", "surrogateescape")
    edited = edited if text.endswith("\n") else edited.removesuffix("\n")
    return None if edited == text else edited
