"""How results are printed, and how a contestant is run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence


def contest(module: str, *arguments: str) -> dict[str, float]:
    """Run one contestant in a process of its own; what it reported."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=900,
    )
    if done.returncode:
        raise SystemExit(f"{module} {' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    lines = done.stdout.strip().splitlines()
    return dict(json.loads(lines[-1])) if lines else {}


def table(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Print a result."""
    print(f"\n{title}")
    for name, value in rows:
        print(f"  {name:<32} {value}")
    print(flush=True)


def against(value: float, target: float, *, at_most: bool = False) -> str:
    """A figure beside its target, and whether it is met."""
    met = value <= target if at_most else value >= target
    return f"{value:.2f}  (target {'at most' if at_most else 'at least'} {target:g}: {'met' if met else 'NOT met'})"
