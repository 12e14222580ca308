"""The monitor over 100,000 and a million failures: first paint, keys, pages, what it costs to leave it open."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.filling import fill_in_bulk, furnish, queue_names
from benchmarks.table import against, contest, table
from benchmarks.terminal import Terminal
from engine.brokers import open_broker
from engine.brokers.base import Broker
from engine.model.topology import Route, delay_topology, handler_topology, merge

#: Failures in the databases that are watched.
NUMBERS = (100_000, 1_000_000)
APP = "bench"
#: What is pressed on a list of failures.
KEYS = {"j": "j", "ctrl+d": "\x04", "page down": "\x1b[6~", "G, to the last row": "G", "g, to the first": "g"}
#: How often each key is pressed; the median counts.
TIMES = 7


def monitor(url: str, runs: int, count: int) -> None:
    """On SQLite. WARREN_BENCH_MILLION=0 leaves out the million, which takes minutes to write."""
    for number in NUMBERS[: 1 if os.environ.get("WARREN_BENCH_MILLION") == "0" else 2]:
        with tempfile.TemporaryDirectory() as folder:
            database, now = f"sqlite:///{Path(folder).resolve()}/warren.db", time.time()
            asyncio.run(fill_in_bulk(database, number, now))
            large = asyncio.run(furnish(database, APP, now))
            rows = [*_yardstick(), *_painting(database, folder, max(runs, 5)), *_typing(database, folder)]
            broker = url or f"embedded://{folder}/broker.db"
            with standing(broker):
                found = contest("contestants.watching", database, broker, APP, "traced", str(large))
            table(
                f"The monitor over {number:,} failures, milliseconds unless said otherwise", [*rows, *_figures(found)]
            )


@contextmanager
def standing(url: str) -> Iterator[None]:
    """The queues that the database speaks of, on the broker while this lasts."""
    routes = [Route(name, f"{APP}.events", ["order.#"]) for name in queue_names(APP)]
    topology = merge(handler_topology(APP, routes), delay_topology(APP))

    async def declare(broker: Broker) -> None:
        await broker.declare(topology)

    async def delete(broker: Broker) -> None:
        for queue in topology.queues:
            await broker.delete_queue(queue.name)
        for exchange in topology.exchanges:
            await broker.delete_exchange(exchange.name)

    asyncio.run(_connected(url, declare))
    try:
        yield
    finally:
        asyncio.run(_connected(url, delete))


async def _connected(url: str, work: Callable[[Broker], Awaitable[None]]) -> None:
    broker = open_broker(url, app=APP)
    await broker.connect()
    try:
        await work(broker)
    finally:
        await broker.close()


def _started(database: str, folder: str) -> Terminal:
    return Terminal(["monitor", "--read-only", "--database", database, "--broker", f"embedded://{folder}/broker.db"])


def _yardstick() -> list[tuple[str, str]]:
    """What a bare dashboard takes, as the machine is at this moment: the targets are absolute, the machine is not."""
    taken = []
    for _ in range(3):
        with closing(Terminal([], module="benchmarks.contestants.dashboard")) as terminal:
            taken.append(terminal.until("Dashboard"))
    share = contest("contestants.dashboard", "rest")["share"]
    return [
        ("first paint of a bare Textual app", f"{statistics.median(taken):.2f}"),
        ("% of a core: a bare Textual app", f"{share:.2f}"),
    ]


def _painting(database: str, folder: str, runs: int) -> list[tuple[str, str]]:
    taken = []
    for _ in range(runs):
        with closing(_started(database, folder)) as terminal:
            taken.append(terminal.until("Overview"))
    return [("first paint", against(statistics.median(taken), 400, at_most=True))]


def _typing(database: str, folder: str) -> list[tuple[str, str]]:
    """From a key to what it changes, on the failures of the largest cause; the refreshing is paused."""
    rows = []
    with closing(_started(database, folder)) as terminal:
        terminal.until("Exc")
        time.sleep(1)
        rows.append(("3, the causes, first time", f"{terminal.press('3'):.2f}"))
        terminal.type("p")
        rows.append(("enter, a cause's failures, first time", f"{terminal.press(chr(13)):.2f}"))
        for name, key in KEYS.items():
            pressed = []
            for _ in range(TIMES):
                if name.startswith("G"):
                    terminal.type("g")
                elif name.startswith("g"):
                    terminal.type("G")
                pressed.append(terminal.press(key))
            rows.append((f"key: {name}", against(statistics.median(pressed), 50, at_most=True)))
    return rows


def _figures(found: Mapping[str, float]) -> list[tuple[str, str]]:
    """What the monitor without a terminal told."""
    rows = [
        ("first rows of a list", against(found["first rows"], 100, at_most=True)),
        *((f"filter by {name}", against(found[name], 50, at_most=True)) for name in ("handler", "field", "text")),
        (f"jump among {found['rows']:,.0f} rows", against(found["jump, median"], 50, at_most=True)),
    ]
    shares = ("overview", "list", "causes", "large", "trace")
    rows += [(f"% of a core: {name}", against(found[f"share, {name}"], 2, at_most=True)) for name in shares]
    blocked = [name for name in found if name.startswith("blocked by ")]
    rows += [(name, against(found[name], 50, at_most=True)) for name in blocked]
    return [*rows, ("seconds between HTTP requests", against(found["seconds between requests"], 5))]
