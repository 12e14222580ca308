"""How long `warren --help` takes, and how long until a worker is ready."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.table import against, table

PLUGIN = """
from engine import Event, EventData, handler


class Placed(EventData, type="bench.placed"):
    n: int


@handler(Placed)
async def handle(event: Event[Placed]) -> None:
    pass
"""


def startup(url: str, runs: int, count: int) -> None:
    """Whole processes, from the start to the first use."""
    helps = [_help() for _ in range(max(runs, 5))]
    with tempfile.TemporaryDirectory() as folder:
        plugin = Path(folder) / "plugin.py"
        plugin.write_text(PLUGIN)
        ready = [_until_ready(folder, plugin) for _ in range(max(runs, 5))]
    table(
        "Starting, in milliseconds",
        [
            ("warren --help", against(statistics.median(helps) * 1000, 400, at_most=True)),
            ("a worker is ready (embedded)", against(statistics.median(ready) * 1000, 1500, at_most=True)),
        ],
    )


def _help() -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", "engine.cli", "--help"], capture_output=True, check=True)
    return time.perf_counter() - begun


def _until_ready(folder: str, plugin: Path) -> float:
    begun = time.perf_counter()
    worker = subprocess.Popen(
        [sys.executable, "-m", "engine.cli", "worker", str(plugin)], cwd=folder, stderr=subprocess.PIPE, text=True
    )
    assert worker.stderr is not None
    try:
        for line in worker.stderr:
            if "is ready" in line:
                return time.perf_counter() - begun
        raise SystemExit("the worker ended before it was ready")
    finally:
        worker.terminate()
        worker.communicate(timeout=20)
