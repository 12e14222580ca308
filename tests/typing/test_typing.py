"""What users write passes strict type checkers, and what is wrong does not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
USAGE = Path(__file__).with_name("usage.py")


def expected() -> set[int]:
    """The lines that a checker must refuse."""
    lines = USAGE.read_text(encoding="utf-8").splitlines()
    return {number for number, line in enumerate(lines, 1) if line.endswith("# error")}


def test_mypy_strict_agrees(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context", "--no-pretty",
         "--cache-dir", str(tmp_path / "cache"), str(USAGE)],
        cwd=ROOT, capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    errors = [line for line in ran.stdout.splitlines() if ": error:" in line]
    assert all(line.startswith("tests/typing/usage.py:") for line in errors), ran.stdout
    assert {int(line.split(":")[1]) for line in errors} == expected(), ran.stdout + ran.stderr


PYRIGHT = shutil.which("pyright", path=str(Path(sys.executable).parent))


@pytest.mark.skipif(PYRIGHT is None, reason="pyright is not installed")
def test_pyright_strict_agrees(tmp_path: Path) -> None:
    # A project of its own, for the repository's would leave the tests out.
    shutil.copy(USAGE, tmp_path)
    settings = {
        "include": [USAGE.name],
        "extraPaths": [str(ROOT)],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    ran = subprocess.run(
        [str(PYRIGHT), "--project", str(tmp_path), "--pythonpath", sys.executable, "--outputjson"],
        capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    found = json.loads(ran.stdout)["generalDiagnostics"]
    lines = {item["range"]["start"]["line"] + 1 for item in found if item["severity"] == "error"}
    assert lines == expected(), "\n".join(f"{item['range']['start']['line'] + 1}: {item['message']}" for item in found)
