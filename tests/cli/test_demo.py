"""`warren demo` without a terminal, as a build server calls it: small, and to the end."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Warren

PROMISED = {"published", "handled", "retried", "dead_lettered", "redriven", "duplicates_skipped", "duration_s"}


@pytest.mark.parametrize("broker", ["embedded", "rabbitmq"])
def test_the_story_is_told_and_proven(warren: Warren, broker: str, request: pytest.FixtureRequest) -> None:
    where = ("--broker", request.getfixturevalue("amqp_url")) if broker == "rabbitmq" else ()
    result = warren("demo", "--json", "--orders", "24", *where)
    assert result.code == 0, result.err
    said = result.json
    assert said.keys() >= PROMISED
    assert (said["lost"], said["double_effects"], said["ok"]) == (0, 0, True)
    assert said["published"] == 24 + said["duplicates_skipped"]
    assert said["handled"] == 4 * 24
    assert said["redriven"] == said["dead_lettered"]
    assert not (warren.project / ".warren").exists()


def test_what_is_set_for_a_project_does_not_reach_it(warren: Warren) -> None:
    """Zero set-up: neither a broken file of settings nor a variable of one's own application gets in the way."""
    warren.write("warren.toml", "this is no TOML")
    mine = {"WARREN_MAX_BODY": "10", "WARREN_BROKER": "amqp://127.0.0.1:1/", "WARREN_LOG_FORMAT": "console"}
    result = warren("demo", "--headless", "--orders", "40", environ=mine)
    assert result.code == 0, result.err
    assert "lost                     0" in result.out
    assert "dead letters   0" in result.out
    if "dead-lettered            0" not in result.out:  # which orders fail goes by their ids
        assert "attempt 1: GatewayDown; next in" in result.out
        assert "attempt 3 (attempts exhausted): GatewayDown" in result.out


def said(warren: Warren, words: str) -> Path:
    """The folder of the demo, once its worker has said these words."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for log in warren.project.glob("warren-demo-*/worker.log"):
            if words in log.read_text():
                return log.parent
        time.sleep(0.05)
    raise AssertionError(f"the worker did not say {words!r}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_demo_that_is_ended_leaves_nothing_behind(warren: Warren, number: signal.Signals) -> None:
    warren.environ["TMPDIR"] = str(warren.project)
    demo = warren.start("demo", "--headless")
    folder = said(warren, "is ready")
    demo.send_signal(number)
    assert demo.wait(60) == 130
    assert not folder.exists()


def test_the_worker_of_a_demo_that_is_killed_ends_by_itself(warren: Warren) -> None:
    warren.environ["TMPDIR"] = str(warren.project)
    demo = warren.start("demo", "--headless")
    said(warren, "is ready")
    demo.kill()
    said(warren, "is drained")
