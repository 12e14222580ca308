"""A log of events on SQLite, Warren's and that of the library `eventsourcing`: appended to, loaded, grown.

python -m benchmarks.contestants.logs warren|eventsourcing append|load COUNT
python -m benchmarks.contestants.logs warren published|grown COUNT
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks.bed import report

#: Writers at the same time, each with an aggregate of its own.
WRITERS = 50
#: Events of the stream that is loaded and appended to in a log of any size, and how often.
SMALL, TIMES = 20, 400


# --- Warren ---------------------------------------------------------------------------------


def _account() -> tuple[Any, Any]:
    from engine import Aggregate, EventData, applies

    class Moved(EventData, type="account.moved"):
        amount: Decimal
        note: str

    class Account(Aggregate, type="account"):
        balance: Decimal = Decimal(0)

        def move(self, amount: Decimal) -> None:
            self.emit(Moved(amount=amount, note="a note of some words"))

        @applies(Moved)
        def _moved(self, event: Moved) -> None:
            self.balance += event.amount

    return Account, Moved


async def _warren(act: str, count: int) -> dict[str, float]:
    from engine import Engine, Settings

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.load(Path(folder), broker=f"embedded://{folder}/b.db", database=f"sqlite:///{folder}/w.db")
        async with Engine.from_settings(settings) as engine:
            acts = {"append": _append, "published": _published, "load": _load, "grown": _grown}
            return await acts[act](engine, count)


async def _append(engine: Any, count: int, *, publish: bool = False) -> dict[str, float]:
    """Aggregates loaded once, and two events a commit: decided, appended, and, if so, published."""
    from engine import StreamId

    _, moved = _account()
    log = engine.event_log()

    async def write(name: str) -> None:
        for number in range(count // WRITERS):
            pair = [moved(amount=Decimal(number), note="a note of some words") for _ in range(2)]
            await log.append(StreamId("account", name), *pair, expected=2 * number, publish=publish)

    begun = time.perf_counter()
    await asyncio.gather(*(write(uuid.uuid4().hex) for _ in range(WRITERS)))
    return {"seconds": time.perf_counter() - begun}


async def _published(engine: Any, count: int) -> dict[str, float]:
    return await _append(engine, count, publish=True)


async def _load(engine: Any, count: int) -> dict[str, float]:
    from engine.storage import outbox

    account, _ = _account()
    repository = engine.repository(account)
    one = account.new("a-1")
    for _ in range(count):
        one.move(Decimal(1))
    await repository.save(one)
    while await engine._database.read(outbox.pending):  # the other side publishes nothing
        await asyncio.sleep(0.05)
    await repository.load("a-1", version=10)  # both sides begin warm
    seconds = await _best(lambda: repository.load("a-1"), 3)
    await repository.snapshot(one)
    return {"seconds": seconds, "snapshot": await _best(lambda: repository.load("a-1"), 200, median=True)}


async def _best(act: Callable[[], Any], times: int, *, median: bool = False) -> float:
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        await act()
        taken.append(time.perf_counter() - begun)
    return sorted(taken)[times // 2 if median else 0]


async def _grown(engine: Any, count: int) -> dict[str, float]:
    """Milliseconds to load a short stream and append to it, in a log of so many events: the median."""
    from engine import StreamId
    from engine.model.message import Message
    from engine.runtime.ids import new_id
    from engine.storage import event_log
    from engine.storage.event_log import Entry, Origin

    account, moved = _account()
    database = await engine._open_database()

    def fill(begin: int, connection: Any) -> None:
        entries = []
        for number in range(begin, begin + 10_000):
            stream, version = divmod(number, 100)
            body = b'{"eventType":"account.moved","data":{"amount":"1","note":"a note of some words"},"metadata":{}}'
            entries.append(
                Entry(
                    new_id(),
                    "account.moved",
                    "filler",
                    f"{stream:08}",
                    version + 1,
                    Origin.APPENDED,
                    "",
                    "b",
                    new_id(),
                    None,
                    "events",
                    "account.moved",
                    1.0,
                    None,
                    Message(body),
                )
            )
        event_log.append_new(connection, entries, now=1.0)

    for begin in range(0, count, 10_000):
        await database.write(lambda connection, begin=begin: fill(begin, connection))  # type: ignore[misc]
    repository, log = engine.repository(account), engine.event_log()
    names = [f"s-{number}" for number in range(TIMES)]
    for name in names:
        events = [moved(amount=Decimal(1), note="a note") for _ in range(SMALL)]
        await log.append(StreamId("account", name), *events, expected=0, publish=False)
    taken = []
    for name in names:
        begun = time.perf_counter()
        one = await repository.load(name)
        await log.append(
            StreamId("account", name), moved(amount=Decimal(1), note="n"), expected=one.version, publish=False
        )
        taken.append(time.perf_counter() - begun)
    return {"milliseconds": 1000 * sorted(taken)[TIMES // 2]}


# --- eventsourcing --------------------------------------------------------------------------


def _eventsourcing(act: str, count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": f"{folder}/es.db"}
        from eventsourcing.application import Application
        from eventsourcing.domain import Aggregate, event

        class Account(Aggregate):
            def __init__(self) -> None:
                self.balance = Decimal(0)

            @event("Moved")
            def move(self, amount: Decimal, note: str) -> None:
                self.balance += amount

        app: Any = Application()
        if act == "load":
            account = Account()
            for _ in range(count - 1):
                account.move(amount=Decimal(1), note="a note of some words")
            app.save(account)
            taken = []
            for _ in range(3):
                begun = time.perf_counter()
                app.repository.get(account.id)
                taken.append(time.perf_counter() - begun)
            return {"seconds": min(taken)}

        def write() -> None:
            account = Account()
            account.move(amount=Decimal(0), note="a note of some words")
            app.save(account)
            for number in range(1, count // WRITERS):
                for _ in range(2):
                    account.move(amount=Decimal(number), note="a note of some words")
                app.save(account)

        threads = [threading.Thread(target=write) for _ in range(WRITERS)]
        begun = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - begun
        app.close()
        return {"seconds": seconds}


def main() -> None:
    name, act, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    report(**(asyncio.run(_warren(act, count)) if name == "warren" else _eventsourcing(act, count)))


if __name__ == "__main__":
    main()
