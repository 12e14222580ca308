"""The real command line in a process of its own, in a project of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
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
        self.started: list[subprocess.Popen[str]] = []

    def __call__(self, *arguments: str, stdin: str = "", environ: Mapping[str, str] | None = None) -> Result:
        done = subprocess.run(
            [sys.executable, "-m", "engine.cli", *arguments],
            cwd=self.project,
            env={**self.environ, **(environ or {})},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a call that goes on; it is ended with the test."""
        log = (self.project / f"process-{len(self.started)}.log").open("w")
        process = subprocess.Popen(
            [sys.executable, "-m", "engine.cli", *arguments],
            cwd=self.project,
            env=self.environ,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
        )
        log.close()
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
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()


@pytest.fixture
def warren(tmp_path: Path) -> Iterator[Warren]:
    """The command line in an empty project."""
    call = Warren(tmp_path)
    call.write("pyproject.toml", '[project]\nname = "shop"\nversion = "1"\n')
    yield call
    call.end()
