"""A worker, a publisher and an operator in processes of their own, on the embedded broker."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Warren
    from tests.support.amqp import Leftovers

QUEUE = "shop.orders.charge"
PLUGIN = """\
from decimal import Decimal
from pathlib import Path

from engine import Event, EventData, RetryPolicy, handler


class OrderPlaced(EventData, type="order.placed", aggregate="order", key="order_id"):
    order_id: str
    total: Decimal


@handler(OrderPlaced, retry=RetryPolicy(max_attempts=1))
async def charge(event: Event[OrderPlaced]) -> None:
    if Path("broken").exists() and event.data.total > 10:
        raise ConnectionError("the provider \\x1b[2J is away")
"""
ORDER = '{"order_id": "%s", "total": "%s"}'


@pytest.fixture
def shop(warren: Warren) -> Warren:
    """A project with one handler."""
    warren.write("handlers/orders.py", PLUGIN)
    return warren


def until(condition: Callable[[], Any], seconds: float = 30) -> Any:
    """What the condition gives once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)
    return found


def start_worker(shop: Warren, *arguments: str) -> Any:
    number = len(shop.started)
    process = shop.start("worker", "--log-level", "info", *arguments)
    until(lambda: "is ready" in shop.log(number) or process.poll() is not None)
    assert process.poll() is None, shop.log(number)
    return process


def counters(shop: Warren) -> Any:
    [worker] = shop("workers", "--json").json["items"]
    [handler] = worker["handlers"] or [None]
    return handler or {"handled": 0, "failed": 0, "dead": 0}


def test_fail_find_fix_redrive_embedded(shop: Warren) -> None:
    tell_the_story(shop, QUEUE)


async def test_fail_find_fix_redrive_on_rabbitmq_and_postgresql(
    shop: Warren, app: str, amqp_url: str, leftovers: Leftovers, postgres_url: str
) -> None:
    exchange = f"{app}.events"
    shop.environ |= {
        "WARREN_APP": app,
        "WARREN_BROKER": amqp_url,
        "WARREN_EXCHANGE": exchange,
        "WARREN_DATABASE": postgres_url,
    }
    refused = await asyncio.to_thread(shop, "queues")
    assert (refused.code, "warren db upgrade" in refused.err) == (1, True)
    assert (await asyncio.to_thread(shop, "db", "upgrade", "--json")).json["changed"] is True
    wanted = (await asyncio.to_thread(shop, "topology", "show", "--all", "--json")).json
    leftovers.queues(*(queue["name"] for queue in wanted["queues"]))
    leftovers.exchanges(*(each["name"] for each in wanted["exchanges"]))
    try:
        await asyncio.to_thread(tell_the_story, shop, f"{app}.orders.charge")
    finally:
        shop.end()


def tell_the_story(shop: Warren, queue_name: str) -> None:
    shop.write("broken", "")
    worker = start_worker(shop)

    for number, total in enumerate((5, 50, 500)):
        published = shop(
            "publish", "order.placed", ORDER % (number, total), "--correlation-id", f"c-{number}", "--json"
        )
        assert (published.code, published.json["unrouted"]) == (0, 0), published.err
    until(lambda: shop("failures", "list", "--json").json["total"] == 2)

    listed = shop("failures", "list", "--exception", "ConnectionError", "--handler", "charge")
    assert listed.code == 0
    assert "ConnectionError: the provider ␛[2J is away" in listed.out
    assert "\x1b" not in listed.out
    [group] = shop("failures", "list", "--groups", "--json").json["items"]
    assert (group["count"], group["open"], group["exception"]) == (2, 2, "ConnectionError")
    failure = shop("failures", "list", "--correlation-id", "c-2", "--json").json["items"][0]
    shown = shop("failures", "show", str(failure["id"]))
    assert '"order_id": "2"' in shown.out
    assert "Traceback" in shown.out
    assert "\x1b" not in shown.out
    whole = shop("failures", "show", str(failure["id"]), "--json").json
    assert (whole["queue"], whole["status"], whole["attempts"]) == (queue_name, "open", 1)

    until(lambda: counters(shop)["dead"] == 2)
    assert counters(shop)["handled"] == 1
    [queue] = shop("queues", "--json").json["items"]
    assert (queue["name"], queue["ready"], queue["consumers"], queue["dead"]) == (queue_name, 0, 1, 2)

    plan = shop("redrive", "--all", "--dry-run", "--json")
    assert (plan.code, plan.json["to_redrive"], plan.json["queues"]) == (0, 2, {queue_name: 2})
    refused = shop("redrive", "--all")
    assert refused.code == 2
    assert "--yes" in refused.err
    again = shop("redrive", str(failure["id"]), "--yes", "--wait", "30s", "--json")
    assert (again.code, again.json["outcomes"]["failed_again"]) == (1, 1), again.err

    (shop.project / "broken").unlink()
    mended = shop("redrive", "--all", "--yes", "--wait", "30s", "--reason", "the provider is back", "--json")
    assert (mended.code, mended.json["redriven"], mended.json["outcomes"]["succeeded"]) == (0, 2, 2), mended.err
    assert mended.json["relayed_here"] is None
    nothing = shop("redrive", "--all", "--yes")
    assert (nothing.code, nothing.out) == (0, "There are no such failures.\n")

    assert shop("workers", "--check").code == 0
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0, shop.log()
    assert shop("workers", "--check").code == 1
    assert shop("workers", "--all", "--json").json["items"][0]["state"] == "stopped"


def test_a_worker_that_was_killed_is_dead(shop: Warren) -> None:
    worker = start_worker(shop)
    assert shop("workers", "--check", "--json").json["alive"] == 1
    worker.kill()
    worker.wait()
    assert shop("workers", "--check").code == 1
    assert shop("workers", "--all", "--json").json["items"][0]["state"] == "dead"


def test_without_a_worker_a_redrive_publishes_by_itself(shop: Warren) -> None:
    shop.write("broken", "")
    worker = start_worker(shop)
    shop("publish", "order.placed", ORDER % (1, 50))
    until(lambda: shop("failures", "list", "--json").json["total"] == 1)
    worker.send_signal(signal.SIGTERM)
    worker.wait(30)
    (shop.project / "broken").unlink()

    done = shop("redrive", "--exception", "ConnectionError", "--yes")
    assert done.code == 0, done.err
    assert "published from here" in done.out
    assert shop("queues", "--json").json["items"][0]["ready"] == 1
    assert shop("redrive", "1", "--yes").out.strip().endswith("left alone")

    start_worker(shop)
    until(lambda: shop("failures", "list", "--status", "redriven", "--json").json["items"][0]["outcome"] == "succeeded")


def test_an_event_that_nobody_takes_is_said(shop: Warren) -> None:
    shop.start("topology", "apply", "--yes").wait(30)
    done = shop("publish", "order.plcaed", "{}")
    assert done.code == 0
    assert "Did you mean 'order.placed'?" in done.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("order.placed", '{"order_id": "1", "total": "much"}'), "data.total"),
        (("order.placed", '{"order_id": '), "character"),
        (("order.placed", "@missing.json"), "missing.json"),
        (("order.placed", ORDER % (1, 1), "--delay", "5 apples"), "5 apples"),
        (("order.placed", ORDER % (1, 1), "--id", "x", "--count", "2"), "--id"),
    ],
)
def test_a_publish_that_cannot_be_is_refused(shop: Warren, arguments: tuple[str, ...], says: str) -> None:
    done = shop("publish", *arguments)
    assert done.code == 2
    assert says in done.err
    assert "Traceback" not in done.err


def test_payloads_come_from_files_and_stdin(shop: Warren) -> None:
    shop.start("topology", "apply", "--yes").wait(30)
    shop.write("order.json", ORDER % (1, 1))
    assert shop("publish", "order.placed", "@order.json").code == 0
    assert shop("publish", "order.placed", "-", stdin=ORDER % (2, 2)).code == 0
    assert shop("publish", "order.placed", ORDER % (3, 3), "--count", "600", "--json").json["published"] == 600
    assert shop("publish", "order.placed", ORDER % (3, 3), "--delay", "1h", "--json").json["delay_s"] == 3600
    listed = shop("queues", "--json").json
    assert (listed["items"][0]["ready"], listed["delayed"]) == (602, 1)


def test_topology_is_shown_compared_and_declared(shop: Warren) -> None:
    shown = shop("topology", "show").out
    assert QUEUE in shown
    assert "order.placed" in shown
    assert "delay" not in shown
    assert any(queue["name"] == "shop.delay.1s" for queue in shop("topology", "show", "--all", "--json").json["queues"])

    missing = shop("topology", "diff", "--json")
    assert missing.code == 1
    assert {item["problem"] for item in missing.json["items"]} == {"missing"}
    assert shop("topology", "apply").code == 2
    assert shop("topology", "apply", "--yes").code == 0
    same = shop("topology", "diff")
    assert (same.code, same.out) == (0, "The broker has all that the handlers ask for.\n")


def test_doctor_finds_what_is_wrong_and_only_that(shop: Warren) -> None:
    shop("topology", "apply", "--yes")
    well = shop("doctor", "--json")
    assert (well.code, well.json["fail"]) == (0, 0), well.out
    topics = {item["topic"] for item in well.json["items"]}
    assert {"folder", "plugins", "database", "broker", "permissions", "topology", "workers"} <= topics

    shop.write("handlers/broken.py", "import shoop\n")
    ill = shop("doctor")
    assert ill.code == 1
    assert "shoop" in ill.out
    assert "✗ fail" in ill.out


def test_the_database_is_checked_and_pruned(shop: Warren) -> None:
    start_worker(shop)
    shop("publish", "order.placed", ORDER % (1, 5))
    until(lambda: counters(shop)["handled"] == 1)
    checked = shop("db", "check", "--json")
    assert checked.code == 0
    rows = {item["table"]: item["rows"] for item in checked.json["items"]}
    assert rows["warren_records"] == 1
    assert shop("db", "upgrade", "--json").json["changed"] is False
    assert shop("db", "prune", "--older-than", "1h", "--json").json == {"pruned": 0, "would_prune": 0}
    assert shop("db", "prune", "--older-than", "0s", "--dry-run", "--json").json["would_prune"] == 1
    assert shop("db", "prune", "--older-than", "0s").code == 2
    assert shop("db", "prune", "--older-than", "0s", "--yes", "--json").json["pruned"] == 1
    with sqlite3.connect(Path(shop.project, ".warren", "warren.db")) as database:
        assert database.execute("SELECT count(*) FROM warren_records").fetchone() == (0,)
