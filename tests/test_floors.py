"""The floors: imports only run downwards, and what a program does not need is not imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {"aio_pika", "aiormq", "alembic", "psycopg", "sqlalchemy", "sqlmodel", "textual"}

#: Runs a snippet and prints the top-level modules that are loaded afterwards, as the last line.
MODULES = "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"


def loaded_by(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after running `code`."""
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}\n{MODULES}"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    return set(json.loads(ran.stdout.splitlines()[-1]))


def test_imports_only_run_downwards() -> None:
    """The contracts stand in pyproject.toml."""
    lint = Path(sys.executable).with_name("lint-imports")
    ran = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_writing_a_handler_imports_nothing_heavy() -> None:
    code = "from engine import Context, Event, EventData, handler"
    assert loaded_by(code) & HEAVY == set()


def test_an_event_of_ones_own_imports_nothing_heavy() -> None:
    code = (
        "from engine import EventData, handler\n"
        "class Seen(EventData, type='seen.once'):\n"
        "    name: str\n"
        "@handler(Seen)\n"
        "async def look(event): ...\n"
    )
    assert loaded_by(code) & HEAVY == set()


@pytest.mark.parametrize("arguments", [["--help"], ["worker", "--help"], ["demo", "--help"], ["failures", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from engine.cli import main\n"
        f"sys.argv = ['warren', *{arguments!r}]\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
    )
    assert loaded_by(code) & HEAVY == set()


def test_the_worker_and_the_broker_import_no_textual() -> None:
    code = "import engine.runtime.worker, engine.brokers.rabbitmq, engine.storage, engine.operations"
    assert "textual" not in loaded_by(code)
