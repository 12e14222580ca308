"""An operator pauses and resumes queues, and moves, migrates and deletes them, on the embedded broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.cli.test_flow import ORDER, PLUGIN, QUEUE, start_worker, until

if TYPE_CHECKING:
    from tests.cli.conftest import Warren


def test_pause_is_asked_for_shown_audited_and_taken_back(warren: Warren) -> None:
    warren.write("handlers/orders.py", PLUGIN)
    start_worker(warren)
    refused = warren("queues", "pause", QUEUE)
    assert refused.code == 2
    assert "--yes" in refused.err
    unknown = warren("queues", "pause", "shop.orders.chagre", "--yes")
    assert (unknown.code, "Did you mean 'shop.orders.charge'?" in unknown.err) == (2, True)

    paused = warren("queues", "pause", QUEUE, "--why", "inventory", "--yes", "--json")
    assert (paused.code, paused.json) == (0, {"paused": [QUEUE]})
    until(lambda: "is paused by" in warren.log())
    assert warren("publish", "order.placed", ORDER % (1, 5)).code == 0
    queue = until(lambda: next((row for row in listed(warren) if row["consumers"] == 0 and row["ready"]), None))
    assert (queue["name"], queue["state"], queue["ready"]) == (QUEUE, "paused", 1)
    assert queue["paused"]["why"] == "inventory"
    shown = warren("queues")
    assert "was paused" in shown.out
    assert "inventory" in shown.out
    assert "paused" in warren("doctor").out
    assert warren("queues", "pause", QUEUE, "--yes", "--json").json == {"paused": []}

    assert warren("queues", "resume", QUEUE, "--yes", "--json").json == {"resumed": [QUEUE]}
    until(lambda: next((row for row in listed(warren) if row["consumers"] == 1 and not row["ready"]), None))
    assert warren("queues", "resume", QUEUE, "--yes", "--json").json == {"resumed": []}


def test_how_queues_move_is_watched_for_a_while(warren: Warren) -> None:
    warren.write("handlers/orders.py", PLUGIN)
    start_worker(warren)
    assert warren("queues", "pause", QUEUE, "--yes").code == 0
    until(lambda: "is paused by" in warren.log())
    assert warren("publish", "order.placed", ORDER % (1, 5), "--count", "3").code == 0
    shown = warren("queues", "--rates", "2s")
    assert shown.code == 0, shown.err
    assert {"IN/S", "OUT/S", "LAG", "OLDEST"} <= set(shown.out.split())
    [row] = warren("queues", "--rates", "2s", "--json").json["items"]
    assert (row["ready"], row["stuck"], row["lag_s"], row["oldest_at_least"]) == (3, True, None, True)
    assert row["oldest_s"] >= 2
    assert (row["in_per_second"], row["out_per_second"]) == (0, 0)
    assert warren("queues", "--rates", "soon").code == 2


def test_a_renamed_handlers_queue_is_named_moved_and_deleted(warren: Warren) -> None:
    warren.write("handlers/orders.py", PLUGIN)
    assert start_worker(warren).terminate() is None
    until(lambda: warren.started[0].poll() is not None)
    assert warren("publish", "order.placed", ORDER % (1, 5)).code == 0
    (warren.project / "handlers/orders.py").unlink()
    warren.write("handlers/billing.py", PLUGIN)
    assert warren("topology", "apply", "--yes").code == 0

    diff = warren("topology", "diff")
    assert diff.code == 1
    assert f"warren topology move {QUEUE} shop.billing.charge" in diff.out
    [orphan] = warren("topology", "diff", "--json").json["orphans"]
    assert (orphan["queue"], orphan["ready"], orphan["heir"]) == (QUEUE, 1, "shop.billing.charge")
    assert f"{QUEUE} has 1 messages and no handler" in warren("doctor").out
    lossy = warren("topology", "delete", QUEUE, "--yes")
    assert (lossy.code, "1 messages would be lost" in lossy.err) == (2, True)

    moved = warren("topology", "move", QUEUE, "shop.billing.charge", "--yes", "--json")
    assert (moved.code, moved.json["moved"], moved.json["waiting"]) == (0, 1, 0)
    assert warren("topology", "delete", QUEUE, "--yes", "--json").json == {"deleted": QUEUE, "lost": 0}
    assert warren("topology", "diff").code == 0
    start_worker(warren)
    until(lambda: [row["ready"] for row in listed(warren)] == [0])


def test_a_queue_with_other_arguments_is_made_anew(warren: Warren) -> None:
    warren.write("handlers/orders.py", PLUGIN)
    warren.write(
        "drift.py",
        "import asyncio\n"
        "from engine.brokers import open_broker\n"
        "from engine.model.topology import Queue, Topology\n"
        "async def main():\n"
        "    broker = open_broker('embedded://.warren/broker.db', app='shop')\n"
        "    await broker.connect()\n"
        f"    await broker.declare(Topology(queues=(Queue('{QUEUE}', {{'x-queue-type': 'quorum'}}),)))\n"
        "    await broker.close()\n"
        "asyncio.run(main())\n",
    )
    assert warren("queues").code == 0  # makes the folder
    run(warren, "drift.py")
    diff = warren("topology", "diff")
    assert (diff.code, f"warren topology migrate {QUEUE}" in " ".join(diff.out.split())) == (1, True)
    assert warren("topology", "migrate", QUEUE, "--yes", "--json").json["migrated"] is True
    assert warren("topology", "migrate", QUEUE, "--yes", "--json").json["migrated"] is False
    assert not [row for row in warren("topology", "diff", "--json").json["items"] if row["problem"] == "mismatch"]


def run(warren: Warren, script: str) -> None:
    import subprocess
    import sys

    subprocess.run([sys.executable, script], cwd=warren.project, env=warren.environ, check=True, timeout=30)


def listed(warren: Warren) -> list[dict[str, object]]:
    return warren("queues", "--json").json["items"]  # type: ignore[no-any-return]
