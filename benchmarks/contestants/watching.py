"""The monitor on a database full of failures, without a terminal: what its event loop and its processor have to do.

Arguments: the database, the broker, the application, a correlation id to trace, the id of a large failure.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import sys
import threading
import time
import traceback
from asyncio.events import Handle
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

from textual.pilot import Pilot

from engine import Settings
from monitor.app import Monitor, make
from monitor.failures.messages import MessagesPage
from monitor.failures.whole import MessagePage
from monitor.reading.pager import Pager
from monitor.table.table import Table

#: Columns and lines of the terminal.
SIZE = (200, 60)
#: Seconds over which a screen's refreshing is measured, and those before that in which it comes to rest.
WHILE, SETTLING = 10.0, 3.0
#: How often each filter is set; the median counts.
TIMES = 5
#: Seconds that all of it may take.
PATIENCE = 300.0
#: Rows that are jumped to, anywhere in the listing.
JUMPS = 40

#: Milliseconds of work in the longest callback of the event loop, by what it was part of. Not of the clock: on a busy
#: machine other programs take their share of that.
longest: dict[str, float] = {}


class Questions(BaseHTTPRequestHandler):
    """A management API that has no queues, and counts what it is asked."""

    at: ClassVar[list[float]] = []

    def do_GET(self) -> None:
        """Answer a page without queues."""
        self.at.append(time.monotonic())
        body = json.dumps({"items": [], "page": 1, "page_count": 1}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def stopwatch(what: str) -> Iterator[None]:
    """Measure the longest callback while this lasts."""
    run, most = Handle._run, 0.0

    def measured(self: Handle) -> None:
        nonlocal most
        used = time.thread_time()
        run(self)
        most = max(most, time.thread_time() - used)

    Handle._run = measured  # type: ignore[method-assign]
    try:
        yield
    finally:
        Handle._run = run  # type: ignore[method-assign]
        longest[what] = most * 1000


async def until(there: Callable[[], Any]) -> float:
    """Milliseconds until it is so."""
    begun = time.perf_counter()
    while not there():
        if time.perf_counter() - begun > 30:
            raise TimeoutError("the monitor did not come to show it")
        await asyncio.sleep(0.0005)
    return (time.perf_counter() - begun) * 1000


@asynccontextmanager
async def shown(settings: Settings) -> AsyncIterator[tuple[Monitor, Pilot[None]]]:
    """The monitor at work."""
    app = make(settings, read_only=True)
    app.source.imported = app.settle
    async with app.run_test(size=SIZE) as pilot:
        await until(lambda: app.source.fleet is not None)
        yield app, pilot


def loaded(app: Monitor, name: str) -> bool:
    """Whether a table of the page on top has been read."""
    return any(table.view.loaded and table.row is not None for table in app.screen.query(name).results(Table))


async def share(app: Monitor) -> float:
    """The part of a core, in percent, that the page on top takes at rest."""
    await asyncio.sleep(SETTLING)
    begun, used = time.perf_counter(), time.process_time()
    await asyncio.sleep(WHILE)
    return (time.process_time() - used) / (time.perf_counter() - begun) * 100


async def narrowed(table: Table[Any], text: str) -> float:
    """Milliseconds until the rows are there that a filter leaves."""
    table.narrow(text)
    table.view.loaded = False
    taken = await until(lambda: table.view.loaded and table.row is not None)
    await asyncio.sleep(0.2)
    return taken


async def failures(app: Monitor, found: dict[str, float]) -> None:
    """Lists, filters, and a walk through all rows."""
    app.go("failures")
    await until(lambda: app.current_mode == "failures" and loaded(app, "#causes"))
    page = MessagesPage()
    with stopwatch("the list of failures"):
        app.push_screen(page)
        found["first rows"] = await until(lambda: loaded(app, "#failures"))
    table = page.query_one("#failures", Table)
    for name, text in (("handler:h3", "handler"), ("data.currency=EUR", "field"), ("provider", "text")):
        taken = []
        with stopwatch(f"the filter {text}"):
            for _ in range(TIMES):
                taken.append(await narrowed(table, name))
                await narrowed(table, "")
        found[text] = statistics.median(taken)
    await until(lambda: table.view.total >= 100_000)
    chance, taken = random.Random(3), []
    with stopwatch("scrolling"):
        for index in [table.view.total - 1, 0, *(chance.randrange(table.view.total) for _ in range(JUMPS))]:
            table.move_to(index)
            wanted = table.view.total - 1 if index >= table.view.total else index
            taken.append(await until(lambda wanted=wanted: table.view.cursor and table.view.cursor.index == wanted))  # type: ignore[misc]
        for _ in range(100):
            table.action_page_down()
            await asyncio.sleep(0.002)
    taken.sort()
    found["rows"] = table.view.total
    found["jump, median"], found["jump, worst"] = taken[len(taken) // 2], taken[-1]
    with stopwatch("the refreshing of a list"):
        found["share, list"] = await share(app)
    app.pop_screen()


async def work(settings: Settings, correlation: str, large: int) -> dict[str, float]:
    """All of it, on one monitor."""
    found: dict[str, float] = {}
    with stopwatch("the start, after the first picture"):
        async with shown(settings) as (app, _):
            await until(lambda: loaded(app, "#causes"))
            await asyncio.sleep(1)
    async with shown(settings) as (app, _):
        with stopwatch("the overview"):
            await until(lambda: loaded(app, "#causes"))
            found["share, overview"] = await share(app)
        await failures(app, found)
        with stopwatch("the refreshing of the causes"):
            found["share, causes"] = await share(app)
        with stopwatch("a failure of 1 MiB"):
            app.push_screen(MessagePage(large))
            found["large"] = await until(lambda: any(len(each.lines) > 20 for each in app.screen.query(Pager)))
            found["share, large"] = await share(app)
        app.pop_screen()
        with stopwatch("a trace of 2,000 events"):
            app.open_trace(correlation)
            found["trace"] = await until(lambda: loaded(app, "#tree"))
            await asyncio.sleep(1)
        found["share, trace"] = await share(app)
        for name in ("queues", "workers", "operations", "audit"):
            with stopwatch(f"the screen {name}"):
                app.go(name)
                await asyncio.sleep(0.5)
    waits = [after - before for before, after in zip(Questions.at, Questions.at[1:], strict=False)]
    found["seconds between requests"] = min(waits, default=0.0)
    return found | {f"blocked by {name}": most for name, most in longest.items()}


async def _in_time(measuring: Coroutine[Any, Any, dict[str, float]]) -> dict[str, float]:
    task = asyncio.ensure_future(measuring)
    done, _ = await asyncio.wait([task], timeout=PATIENCE)
    if not done:
        raise TimeoutError(f"not measured within {PATIENCE:g} s; the last was {next(reversed(longest), 'none')}")
    return task.result()


def main() -> None:
    """Print the figures."""
    database, broker, app, correlation, large = sys.argv[1:]
    server = HTTPServer(("127.0.0.1", 0), Questions)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = Settings.load(
        start=Path(database.removeprefix("sqlite:///")).parent,
        app=app,
        database=database,
        broker=broker,
        management=f"http://127.0.0.1:{server.server_port}",
    )
    try:
        found = asyncio.run(_in_time(work(settings, correlation, int(large))))
    except BaseException:
        traceback.print_exc()
        os._exit(1)  # a monitor that was cut off in its middle may not end by itself
    print(json.dumps(found))


if __name__ == "__main__":
    main()
