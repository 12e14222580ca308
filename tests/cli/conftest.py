"""The real command line in a process of its own, in a project of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple

import pytest

from tests.support.nursery import ROOT, Process, start_warren

SECONDS = 60


class Result(NamedTuple):
    """How a call ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on stdout."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The one object on stderr of a call that failed."""
        return json.loads(self.err)["error"]


class Warren:
    """Calls `warren` in a project folder."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("WARREN_")}
        self.environ |= {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "HOME": str(project)}
        self.started: list[Process] = []

    def __call__(self, *arguments: str, stdin: str = "", environ: Mapping[str, str] | None = None) -> Result:
        with TemporaryFile("w+") as given, TemporaryFile("w+") as out, TemporaryFile("w+") as err:
            given.write(stdin)
            given.seek(0)
            process = start_warren(
                arguments,
                folder=self.project,
                environ={**self.environ, **(environ or {})},
                stdin=given.fileno(),
                stdout=out.fileno(),
                stderr=err.fileno(),
            )
            try:
                code = process.wait(SECONDS)
            finally:
                process.kill()
            out.seek(0)
            err.seek(0)
            return Result(code, out.read(), err.read())

    def start(self, *arguments: str) -> Process:
        """Start a call that goes on; it is ended with the test."""
        with (self.project / f"process-{len(self.started)}.log").open("w") as log:
            process = start_warren(
                arguments,
                folder=self.project,
                environ=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log.fileno(),
                stderr=log.fileno(),
            )
        self.started.append(process)
        return process

    def log(self, number: int = 0) -> str:
        """What a started call wrote so far."""
        return (self.project / f"process-{number}.log").read_text()

    def write(self, name: str, text: str) -> Path:
        """Write a file of the project."""
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def end(self) -> None:
        """End all that was started."""
        for process in self.started:
            process.kill()
            process.wait()


@pytest.fixture
def warren(tmp_path: Path) -> Iterator[Warren]:
    """The command line in an empty project."""
    call = Warren(tmp_path)
    call.write("pyproject.toml", '[project]\nname = "shop"\nversion = "1"\n')
    yield call
    call.end()
