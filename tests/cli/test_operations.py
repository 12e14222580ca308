"""`warren redrive` as a recorded operation, and `warren operations`, in processes of their own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.storage.database import Database
from tests.support.failing import bury_many

if TYPE_CHECKING:
    from tests.cli.conftest import Warren

QUEUE = "shop.orders.charge"
PLUGIN = """\
from pathlib import Path
from engine import Event, EventData, RetryPolicy, handler

class OrderPlaced(EventData, type="order.placed"):
    order_id: str

@handler(OrderPlaced, retry=RetryPolicy(max_attempts=1))
async def charge(event: Event[OrderPlaced]) -> None:
    if event.data.order_id == "3" and Path("broken").exists():
        raise ConnectionError("the provider is away")
"""


@pytest.fixture
def shop(warren: Warren) -> Warren:
    """A project with one handler, whose queue is there."""
    warren.write("handlers/orders.py", PLUGIN)
    assert warren("topology", "apply", "--yes").code == 0
    return warren


async def bury(shop: Warren, count: int) -> list[int]:
    database = await Database.open(f"sqlite:///{Path(shop.project, '.warren', 'warren.db')}", migrate=True)
    try:
        return await bury_many(database, count, queue=QUEUE)
    finally:
        await database.close()


def ready(shop: Warren) -> Any:
    return shop("queues", "--json").json["items"][0]["ready"]


async def test_without_a_worker_only_the_canaries_are_sent(shop: Warren) -> None:
    await bury(shop, 150)
    plan = shop("redrive", "--all", "--dry-run")
    assert "10 canaries first, the rest once all of them have succeeded" in plan.out

    begun = shop("redrive", "--all", "--yes", "--json", "--reason", "the provider is back")
    assert begun.code == 0, begun.err
    assert (begun.json["redriven"], begun.json["waiting"], begun.json["relayed_here"]) == (10, 140, 10)
    assert len(begun.json["redriven_ids"]) == 10
    assert ready(shop) == 10
    operation = begun.json["operation"]

    [listed] = shop("operations", "list", "--json").json["items"]
    assert (listed["id"], listed["state"], listed["why"]) == (operation, "running", "the provider is back")
    assert shop("operations", "list", "--state", "done").out == "There are no such operations.\n"
    shown = shop("operations", "show", operation[:6], "--items", "sent")
    assert "150: 10 sent, 140 not yet, 0 skipped" in shown.out
    assert "nobody at the moment" in shown.out
    assert shown.out.count("ready") == 10
    whole = shop("operations", "show", operation, "--json").json
    assert (whole["pending"], whole["options"]["canary"], whole["stage"]) == (10, 10, "canary")

    assert shop("operations", "pause", operation).code == 2
    assert shop("operations", "pause", operation, "--yes", "--json").json["state"] == "paused"
    again = shop("operations", "pause", operation, "--yes")
    assert (again.code, again.err.splitlines()[0]) == (
        2,
        f"error: operation {operation} is paused, it cannot be paused",
    )
    # Another failure of the same set is not sent twice by a second operator.
    other = shop("redrive", "--all", "--yes", "--canary", "0", "--json")
    assert (other.json["matched"], other.json["redriven"]) == (140, 140)
    assert ready(shop) == 150
    resumed = shop("operations", "resume", operation, "--yes", "--json")
    assert (resumed.json["sent"], resumed.json["skipped"], resumed.json["state"]) == (10, 140, "running")
    assert shop("operations", "cancel", operation, "--yes", "--why", "done otherwise").out.endswith(
        "It is cancelled.\n"
    )
    assert ready(shop) == 150


async def test_a_worker_performs_what_was_only_ordered(shop: Warren) -> None:
    await bury(shop, 20)
    shop.write("broken", "")
    ordered = shop("redrive", "--all", "--yes", "--detach", "--canary", "5", "--rate", "100", "--json")
    assert (ordered.code, ordered.json["workers"]) == (0, 0)
    assert ready(shop) == 0
    operation = ordered.json["operation"]
    shop.start("worker")

    stopped = shop("operations", "show", operation, "--follow", "--json").json
    assert (stopped["state"], stopped["failed_otherwise"], stopped["sent"]) == ("stopped", 1, 5)
    assert stopped["note"] == "1 of 5 canaries failed again; 1 of them with ConnectionError: the provider is away"
    [failed] = shop("operations", "show", operation, "--items", "failed otherwise", "--json").json["items"]
    assert (failed["position"], failed["verdict"]) == (4, "ready")

    (shop.project / "broken").unlink()
    assert shop("operations", "resume", operation, "--yes", "--json").json["relayed_here"] is None
    done = shop("operations", "show", operation, "--follow", "--json").json
    assert (done["state"], done["succeeded"], done["waiting"]) == ("done", 19, 0)
    rest = shop("redrive", "--all", "--yes", "--wait", "30s")
    assert rest.out.endswith(
        f"as operation {shop('operations', 'list', '--json').json['items'][0]['id']}.\nsucceeded: 1\n"
    )


async def test_a_redrive_understands_the_filters_of_the_list(shop: Warren) -> None:
    await bury(shop, 20)
    where = "type:order.placed data.order_id=7"
    [listed] = shop("failures", "list", "--where", where, "--json").json["items"]
    plan = shop("redrive", "--where", where, "--dry-run", "--json").json
    assert (plan["matched"], plan["to_redrive"]) == (1, 1)
    done = shop("redrive", "--where", where, "--yes", "--json").json
    assert (done["redriven"], done["redriven_ids"]) == (1, [listed["id"]])
    assert shop("redrive", "--where", "handlr:charge", "--yes").code == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("operations", "show", "rd-nothing"), "there is no operation rd-nothing"),
        (("operations", "list", "--state", "runing"), "Did you mean 'running'?"),
        (("operations", "cancel", "rd-nothing", "--yes"), "there is no operation rd-nothing"),
        (("redrive", "--all", "--rate", "0", "--yes"), "sends nothing"),
        (("redrive", "--all", "--canary", "-1"), "--canary"),
    ],
)
async def test_what_cannot_be_is_refused(shop: Warren, arguments: tuple[str, ...], says: str) -> None:
    await bury(shop, 1)
    done = shop(*arguments)
    assert done.code == 2
    assert says in done.err
    assert "Traceback" not in done.err
