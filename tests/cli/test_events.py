"""`warren events`, `trace` and `replay`, as an operator uses them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable

import pytest

from tests.cli.conftest import Warren

PLUGIN = """
from engine import Context, Event, EventData, RetryPolicy, handler

class Placed(EventData, type="order.placed", aggregate="order", key="order_id"):
    order_id: str
    password: str = "hunter2"

class Reserved(EventData, type="goods.reserved", aggregate="order", key="order_id"):
    order_id: str

@handler(Placed)
async def reserve(event: Event[Placed], ctx: Context) -> None:
    ctx.emit(Reserved(order_id=event.data.order_id))

@handler(Reserved, retry=RetryPolicy(max_attempts=1))
async def charge(event: Event[Reserved]) -> None:
    if event.data.order_id == "bad":
        raise RuntimeError("the card is \\x1b[31mdeclined\\x1b[0m")
"""


@pytest.fixture
def shop(warren: Warren) -> Warren:
    """A project with two handlers, whose foreign orders are journalled."""
    warren.write("handlers/shop.py", PLUGIN)
    warren.write(
        "pyproject.toml", '[project]\nname = "shop"\nversion = "1"\n[tool.warren]\njournal = ["order.*"]\n'
    )  # fmt: skip
    return warren


def until(reached: Callable[[], bool], shop: Warren) -> None:
    deadline = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < deadline, shop.log()
        time.sleep(0.1)


def test_events_are_listed_traced_and_replayed(shop: Warren) -> None:
    worker = shop.start("worker")
    until(lambda: "is ready" in shop.log(), shop)
    for number, order in enumerate(("o-1", "bad"), 1):
        data = json.dumps({"order_id": order, "password": "hunter2"})
        assert shop("publish", "order.placed", data, "--correlation-id", f"visit-{number}").code == 0
    until(lambda: ", 2 handled" in shop("trace", "visit-1").out, shop)
    until(lambda: shop("failures", "list", "--json").json["items"] != [], shop)

    listed = shop("events", "list", "--type", "goods.*", "--since", "1h")
    assert re.search(r"\n +\d+ .* goods\.reserved  order/o-1  emitted +[0-9a-f-]{36}  visit-1\n", listed.out)
    assert "order.placed" not in listed.out
    [item] = shop("events", "list", "--aggregate", "order/bad", "--origin", "journalled", "--json").json["items"]
    assert (item["event_type"], item["data"]["password"], item["origin"]) == ("order.placed", "•••", "journalled")
    shown = shop("events", "show", str(item["position"]))
    assert "hunter2" not in shown.out
    assert re.search(r"correlation +visit-2\n", shown.out)
    tailed = shop("events", "tail", "--count", "2", "--json").out.splitlines()
    assert [json.loads(line)["position"] for line in tailed] == [1, 2]

    traced = shop("trace", "visit-1").out.splitlines()
    assert traced[0].startswith("correlation visit-1: 2 events, 2 handled, ")
    assert [re.sub(r"  .*", "", line.lstrip(" └─")) for line in traced[1:]] == [
        "order.placed",
        "reserve",
        "goods.reserved",
        "charge",
    ]
    failed = shop("trace", "#1")
    assert "failure 1  RuntimeError: the card is ␛[31mdeclined␛[0m" in failed.out
    assert shop("trace", "1", "--json").json["correlation_id"] == "visit-2"
    assert re.search(r"order\.placed +2 +1  visit-2\n", shop("trace").out)

    planned = shop("replay", "--to", "charge", "--type", "#", "--dry-run", "--json").json
    assert planned["verdicts"] == {"handled": 1, "failed before": 1, "not subscribed": 2}
    refused = shop("replay", "--to", "charge", "--correlation-id", "visit-1")
    assert (refused.code, "--yes" in refused.err) == (2, True)
    done = shop("replay", "--to", "charge", "--correlation-id", "visit-1", "--yes", "--wait", "20s", "--reason", "test")
    assert done.code == 0, done.err
    assert "      1  were handled before and will be handled once more\n" in done.out
    assert "Replayed: 1, as operation rp-" in done.out
    assert "succeeded: 1" in done.out
    assert "“test”" in shop("trace", "visit-1").out
    worker.terminate()
    assert worker.wait(20) == 0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (["events", "list", "--type", "ord*"], "no wildcard"),
        (["events", "list", "--aggregate", "/42"], "not an aggregate"),
        (["events", "list", "--since", "yesterday"], "not a time"),
        (["events", "list", "--where", "tpye:a"], "there is no term 'tpye'"),
        (["events", "list", "--origin", "emited"], "emitted"),
        (["events", "show", "17"], "the log has no event 17"),
        (["trace", "nobody"], "nothing is known of 'nobody'"),
        (["replay", "--to", "charge"], "which events?"),
        (["replay", "--to", "chrage", "--all"], "'charge'"),
        (["--read-only", "replay", "--to", "charge", "--all", "--yes"], "There are no such events"),
    ],
)
def test_what_cannot_be_is_said(shop: Warren, call: list[str], said: str) -> None:
    shop("events", "list")  # makes the database
    result = shop(*call)
    assert said in result.err + result.out
    assert "Traceback" not in result.err
    assert result.code == (0 if "There are" in said else 2)


def test_the_journals_stream_is_searched_followed_and_replayed(shop: Warren) -> None:
    settings = 'journal = ["order.*"]\njournal_to = "stream"\nevent_log = false\n'
    shop.write("pyproject.toml", f'[project]\nname = "shop"\nversion = "1"\n[tool.warren]\n{settings}')
    shop.start("worker")
    until(lambda: "is ready" in shop.log(), shop)
    data = json.dumps({"order_id": "o-1", "password": "hunter2"})
    assert shop("publish", "order.placed", data, "--correlation-id", "visit-1", "--count", "3").code == 0

    listed = shop("events", "list", "--from-stream", "--limit", "2", "--aggregate", "order/o-1")
    assert re.findall(r"^ +(\d) .*  order\.placed  order/o-1 ", listed.out, re.MULTILINE) == ["2", "1"]
    assert "--before 1" in listed.err
    found = shop("events", "list", "--from-stream", "--before", "2", "--offset", "1", "--json").json
    assert found["span"] == {"first": 1, "next": 2}
    [item] = found["items"]
    assert (item["position"], item["correlation_id"], item["data"]["password"]) == (1, "visit-1", "•••")
    tailed = shop("events", "tail", "--from-stream", "--offset", "1", "--count", "2", "--json").out.splitlines()
    assert [json.loads(line)["position"] for line in tailed] == [1, 2]
    assert "has the offsets 0 to 3" in shop("queues").out

    dry = ("replay", "--to", "reserve", "--from-stream", "--all", "--dry-run", "--json")
    until(lambda: shop(*dry).json["verdicts"] == {"handled": 3}, shop)
    done = shop("replay", "--to", "reserve", "--from-stream", "--offset", "1", "--yes", "--wait", "20s", "--json").json
    assert (done["span"], done["to_replay"], done["outcomes"]["succeeded"]) == ({"first": 1, "next": 3}, 2, 2)
    told = shop("operations", "show", done["operation"]).out
    assert re.search(r"operation +stream-replay sr-", told)
    assert re.search(r"stream +shop\.journal\.stream, goes on at 3\n", told)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("events", "list", "--offset", "3"), "--offset is a place in the journal's stream"),
        (("events", "list", "--from-stream"), "There is no stream 'shop.journal.stream'"),
        (("replay", "--to", "reserve", "--offset", "3"), "--offset is a place in the journal's stream"),
        (("replay", "--to", "reserve", "--from-stream"), "which events?"),
        (("replay", "--to", "reserve", "--from-stream", "--all"), "There is no stream 'shop.journal.stream'"),
    ],
)
def test_what_cannot_be_asked_of_a_stream(shop: Warren, arguments: tuple[str, ...], said: str) -> None:
    refused = shop(*arguments)
    assert refused.code != 0
    assert said in refused.err
    assert "Traceback" not in refused.err
