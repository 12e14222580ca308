"""Where something is declared, as a value and in words."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple


class Place(NamedTuple):
    """Where something is declared: the names of its module, those around it, its file and line; `at` in words."""

    scope: dict[str, Any]
    nearby: dict[str, Any]
    file: str
    line: int
    decorator: str

    @classmethod
    def above(cls, decorator: str) -> Place:
        """The place of the decorator whose function calls this: a wrapped function would name the file of its wrapper."""
        frame = sys._getframe(2)  # noqa: SLF001
        scope = frame.f_globals
        # A copy, for a frame that is kept keeps all its locals.
        nearby = dict(frame.f_locals) if frame.f_locals is not scope else {}
        return cls(scope, nearby, str(scope.get("__file__") or frame.f_code.co_filename), frame.f_lineno, decorator)

    @property
    def at(self) -> str:
        return f"{shown_path(self.file)}:{self.line}: @{self.decorator}"


def shown_path(file: str) -> str:
    """The path as one would type it here: relative where that is shorter."""
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return file


def stem_of(scope: Mapping[str, Any], file: str) -> str:
    """The name of the file, or package, in which something was declared."""
    path = Path(file)
    if path.suffix not in (".py", ".pyc"):  # a notebook or an interactive session
        return str(scope.get("__name__", "__main__")).rpartition(".")[2]
    return path.parent.name if path.stem == "__init__" else path.stem
