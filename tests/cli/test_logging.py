"""Logging, as the command line sets it up: one form for all, nothing raw, no bodies."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest

PROGRAM = """
import logging, structlog
from engine.cli.logging import configure_logging
configure_logging({level!r}, {style!r})
logging.getLogger("warren.handler").info("charge failed on %s", "e-1\\x1b[2J", extra={{"queue": "q"}})
structlog.get_logger("user").info("from structlog", order="42")
logging.getLogger("aio_pika").debug("body of a message")
logging.getLogger("aiormq.connection").info("chatter")
try: 1 / 0
except ZeroDivisionError: logging.getLogger("warren").exception("it broke")
"""


def log(level: str, style: str) -> str:
    code = PROGRAM.format(level=level, style=style)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stderr


def test_json_is_one_object_a_line() -> None:
    lines = [json.loads(line) for line in log("debug", "auto").splitlines()]
    assert [line["event"] for line in lines] == ["charge failed on e-1\x1b[2J", "from structlog", "it broke"]
    assert lines[0]["logger"] == "warren.handler"
    assert lines[0]["queue"] == "q"
    assert lines[1]["order"] == "42"
    assert "ZeroDivisionError" in lines[2]["exception"]
    assert all(line["timestamp"].endswith("Z") for line in lines)


def test_for_people_it_is_printable() -> None:
    text = log("info", "console")
    assert "charge failed on e-1␛[2J" in text
    assert "\x1b" not in text
    assert "ZeroDivisionError: division by zero" in text


def test_a_level_is_kept() -> None:
    assert "charge failed" not in log("warning", "json")


@pytest.mark.parametrize("level", ["debug", "info"])
def test_the_brokers_client_never_logs_bodies(level: str) -> None:
    text = log(level, "json")
    assert "body of a message" not in text
    assert "chatter" not in text


def test_importing_the_engine_configures_nothing() -> None:
    code = "import logging, engine.cli.app, engine.runtime.worker\nprint(logging.getLogger().handlers)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() in ("[]", ""), done.stderr
    assert logging.getLogger("warren").handlers == []
