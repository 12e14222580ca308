from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Reject
from engine.model import headers
from engine.model.deadletter import BY_BROKER, DeadLetter, describe, fingerprint
from engine.model.describe import MAX_MESSAGE, MAX_TRACEBACK

LETTER = DeadLetter(
    reason="No attempts left",
    exception="ValueError",
    message="too much",
    traceback="Traceback …",
    attempts=4,
    run=5,
    first_failed=1_800_000_000.125,
    last_failed=1_800_000_060.5,
    queue="shop.orders.reserve",
    handler="reserve",
    worker="host:1:abcdef",
    exchange="events",
    routing_key="order.placed",
    fingerprint="0123456789ab",
)


def failure(function: Callable[..., Any], *arguments: Any) -> BaseException:
    try:
        function(*arguments)
    except BaseException as error:
        return error
    raise AssertionError("it did not fail")


def test_a_dead_letter_travels_in_headers() -> None:
    carried = LETTER.to_headers()
    assert all(name.startswith(headers.PREFIX) for name in carried)
    assert DeadLetter.from_headers({**carried, "tenant": "a"}) == LETTER
    assert DeadLetter.from_headers(DeadLetter("undecodable").to_headers()) == DeadLetter("undecodable")


def test_a_message_without_a_reason_is_no_dead_letter_of_ours() -> None:
    assert DeadLetter.from_headers({}) is None
    assert DeadLetter.from_headers({headers.REASON: 3, headers.RUN: 1}) is None


anything: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.lists(st.text())
)


@given(st.dictionaries(st.sampled_from(sorted(LETTER.to_headers())), anything))
def test_forged_headers_are_read_as_far_as_they_make_sense(forged: dict[str, Any]) -> None:
    letter = DeadLetter.from_headers({headers.REASON: "r" * 100_000, **forged})
    if letter is not None:
        assert DeadLetter.from_headers(letter.to_headers()) == letter
        assert sum(len(str(value)) for value in letter) < 64 * 1024


def test_what_the_broker_gave_up_is_explained_from_its_own_headers() -> None:
    death: dict[str, Any] = {
        "queue": "q",
        "reason": "delivery_limit",
        "exchange": "events",
        "routing-keys": ["a.b"],
        "count": 1,
    }
    other: dict[str, Any] = {"queue": "rung", "reason": "expired"}
    letter = DeadLetter.from_broker(
        "q", {"x-death": [other, death], "x-first-death-reason": "expired", headers.RUN: 3}, 9.0
    )
    assert (letter.reason, letter.message) == (BY_BROKER, "delivered too often without being acknowledged")
    assert (letter.exchange, letter.routing_key, letter.queue, letter.run) == ("events", "a.b", "q", 3)
    assert letter.first_failed == letter.last_failed == 9.0


@pytest.mark.parametrize(
    "death", ["forged", None, 7, [], ["x"], [{"queue": 7}], [{"queue": "q", "routing-keys": 1, "reason": []}]]
)
def test_a_forged_death_explains_nothing_and_breaks_nothing(death: Any) -> None:
    letter = DeadLetter.from_broker("q", {"x-death": death, "x-first-death-reason": 10**12}, 9.0)
    assert (letter.reason, letter.exchange, letter.routing_key) == (BY_BROKER, "", "")


def test_a_fingerprint_is_short_stable_and_tells_causes_apart() -> None:
    known = fingerprint("ValueError", "reserve", "orders:reserve")
    assert known == fingerprint("ValueError", "reserve", "orders:reserve")
    assert re.fullmatch("[0-9a-f]{12}", known)
    others = {
        fingerprint("KeyError", "reserve", "orders:reserve"),
        fingerprint("ValueError", "capture", "orders:reserve"),
        fingerprint("ValueError", "reserve", "orders:stock"),
        fingerprint("ValueError", "reserve\x00orders:reserve", ""),
    }
    assert len(others | {known}) == 5


def test_an_exception_is_described_with_the_innermost_frame_of_the_user() -> None:
    def parse() -> None:
        json.loads("{")

    told = describe(failure(parse))
    assert told.exception == "JSONDecodeError"
    assert told.message.startswith("Expecting property name")
    assert told.traceback.startswith("Traceback (most recent call last):")
    assert told.traceback.rstrip().endswith(told.message)
    assert told.top_frame == "test_deadletter:parse"


def test_the_frame_does_not_move_with_the_lines() -> None:
    def load(source: str) -> ModuleType:
        module = ModuleType("orders")
        exec(compile(source, "/home/shop/orders.py", "exec"), module.__dict__)
        return module

    source = "def reserve():\n    raise ValueError('none left')\n"
    assert describe(failure(load(source).reserve)).top_frame == "orders:reserve"
    assert describe(failure(load("\n\n" + source).reserve)).top_frame == "orders:reserve"


def test_an_installed_handler_counts_as_user_code_but_what_it_calls_does_not() -> None:
    def load(name: str, path: str, source: str, **known: Any) -> ModuleType:
        module = ModuleType(name)
        module.__dict__.update(known)
        exec(compile(source, path, "exec"), module.__dict__)
        return module

    client = load("client.http", "/v/site-packages/client/http.py", "def get():\n    raise OSError('down')\n")
    plugin = load("acme.tasks", "/v/site-packages/acme/tasks.py", "def pay():\n    get()\n", get=client.get)
    catch = "def run():\n    try:\n        pay()\n    except OSError as error:\n        return error\n"
    runtime = load("engine.runtime.job", "/v/site-packages/engine/runtime/job.py", catch, pay=plugin.pay)
    assert describe(runtime.run()).top_frame == "tasks:pay"


def test_an_error_of_the_engine_has_no_frame_of_the_user() -> None:
    assert describe(Reject("no")).top_frame == ""
    assert describe(Reject("no")).exception == "Reject"


def test_a_group_names_its_members_and_the_frame_of_the_first() -> None:
    async def reserve() -> None:
        raise LookupError("no such shelf")

    async def handler() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(reserve())

    told = describe(failure(asyncio.run, handler()))
    assert told.exception == "ExceptionGroup"
    assert "LookupError: no such shelf" in told.message
    assert told.top_frame == "test_deadletter:reserve"
    assert "no such shelf" in told.traceback


def test_chained_causes_are_told() -> None:
    def chained() -> None:
        try:
            [].pop()
        except IndexError as error:
            raise ValueError("outer") from error

    told = describe(failure(chained))
    assert told.exception == "ValueError"
    assert "IndexError: pop from" in told.traceback


def test_an_exception_that_cannot_be_told_is_told_all_the_same() -> None:
    class Silent(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

        __repr__ = __str__

    loop = ValueError("round")
    loop.__cause__ = loop.__context__ = loop
    for error in (Silent(), ExceptionGroup("g", [Silent()]), loop, failure(lambda: (_ for _ in ()).throw(Silent()))):
        told = describe(error)
        assert told.exception in ("Silent", "ExceptionGroup", "ValueError")
        assert told.traceback
    assert describe(Silent()).message == "(its str() raised RuntimeError)"


def test_deep_groups_and_endless_recursion_are_told() -> None:
    group: Exception = ValueError("inner")
    for _ in range(500):
        group = ExceptionGroup("g", [group])

    def recurse() -> None:
        recurse()

    assert describe(group).exception == "ExceptionGroup"
    assert describe(failure(recurse)).top_frame == "test_deadletter:recurse"


@pytest.mark.parametrize("text", ["x" * 1_000_000, "é" * 100_000, "\ud800" * 9000, "\x00" * 9000])
def test_what_is_too_long_is_cut_and_what_no_database_holds_is_spelt_out(text: str) -> None:
    def explode() -> None:
        raise ValueError(text)

    told = describe(failure(explode))
    assert len(told.message.encode()) <= MAX_MESSAGE
    assert len(told.traceback.encode()) <= MAX_TRACEBACK
    assert "left out" in told.message
    assert "in explode" in told.traceback
    assert "\x00" not in told.message + told.traceback


def test_frames_of_libraries_make_room_before_those_of_the_user(tmp_path: Path) -> None:
    library = tmp_path / "site-packages" / "lib.py"
    library.parent.mkdir()
    steps = "\n".join(f"def step_{n}(act):\n    return step_{n + 1}(act)  # {'-' * 60}" for n in range(100))
    library.write_text(f"{steps}\ndef step_100(act):\n    return act()\n")
    module = ModuleType("lib")
    exec(compile(library.read_text(), str(library), "exec"), module.__dict__)

    def handle() -> None:
        module.step_0(inner)

    def inner() -> None:
        raise ValueError("at the bottom")

    told = describe(failure(handle))
    assert len(told.traceback.encode()) <= MAX_TRACEBACK
    assert "101 frames of libraries left out" in told.traceback
    assert "in handle" in told.traceback
    assert "in inner" in told.traceback
    assert told.traceback.endswith("ValueError: at the bottom\n")


def test_the_name_that_a_plugins_folder_is_imported_by_is_not_told() -> None:
    declined = type("Declined", (Exception,), {"__module__": "_warren_plugins_0123456789ab.shop"})
    assert describe(declined("no")).traceback.rstrip() == "shop.Declined: no"
