"""A text in the operator's own editor."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from engine.errors import UsageError


def editor() -> list[str]:
    """The command of `$VISUAL` or `$EDITOR`, or what is commonly there. Raises `UsageError`."""
    for name in ("VISUAL", "EDITOR"):
        try:
            command = shlex.split(os.environ.get(name, ""))
        except ValueError as error:
            raise UsageError(
                f"{name} cannot be read: {error}", hint=f"Set {name} to the command of an editor."
            ) from None
        if command:
            return command
    found = next((name for name in ("sensible-editor", "vi", "nano") if shutil.which(name)), None)
    if found is None:
        raise UsageError("there is no editor", hint="Set EDITOR, or say what it becomes with --set or --body.")
    return [found]


def edit_text(text: str, suffix: str) -> str | None:
    """The text as the editor left it; None where it ended with an error.

    It lies in a folder that only its owner can enter, and is removed at once. Raises `UsageError`.
    """
    command = editor()
    with tempfile.TemporaryDirectory(prefix="warren-") as folder:
        path = Path(folder) / f"body{suffix}"
        path.write_text(text, encoding="utf-8")
        try:
            done = subprocess.run([*command, str(path)], check=False)  # noqa: S603  # the operator's own command
            return path.read_text(encoding="utf-8") if done.returncode == 0 else None
        except OSError as error:
            raise UsageError(f"the editor {command[0]} does not start: {error.strerror}", hint="Set EDITOR.") from None
        except UnicodeDecodeError:
            raise UsageError("the editor left a file that is not UTF-8", hint="Nothing was saved.") from None
