"""Real worker processes for tests: started, awaited, killed, and what they left in the database."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psycopg

from tests.support.nursery import ROOT, Process, start_warren
from tests.support.tally import Tally

#: Seconds for anything that a test waits for.
PATIENCE = 60.0


class Fleet:
    """Worker processes of one project folder, on one broker and one database."""

    def __init__(self, folder: Path, broker: str, app: str, database: str | None = None) -> None:
        self.folder = folder
        self.broker = broker
        self.app = app
        self.database = database or f"sqlite:///{folder}/warren.db"
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("WARREN_")} | {
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "error",
            "WARREN_APP": app,
            "WARREN_BROKER": broker,
            "WARREN_DATABASE": self.database,
            "WARREN_EXCHANGE": f"{app}.events",
            "WARREN_LOG_FORMAT": "console",
        }
        self.workers: list[WorkerProcess] = []
        self.tally = Tally()
        self._numbers = itertools.count()

    def plugin(self, text: str, name: str = "plugin.py") -> Path:
        """Write a plugin file."""
        path = self.folder / name
        path.write_text(text)
        return path

    async def start(self, plugin: Path, *arguments: str, ready: bool = True, **environ: str) -> WorkerProcess:
        """Start a worker and, unless it is to die first, wait until it is ready."""
        worker = await self.command("worker", str(plugin), *arguments, **environ)
        if ready:
            await worker.until("is ready")
        return worker

    async def command(self, *arguments: str, **environ: str) -> WorkerProcess:
        """Start `warren` with these arguments, as from a terminal that nobody can be asked on."""
        log = self.folder / f"{arguments[0]}-{next(self._numbers)}.log"
        with log.open("wb") as output:
            process = await asyncio.to_thread(
                start_warren,
                list(arguments),
                folder=self.folder,
                environ={**self.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=output.fileno(),
                stderr=output.fileno(),
            )
        worker = WorkerProcess(process, log)
        self.workers.append(worker)
        return worker

    async def end(self) -> None:
        """Kill what still runs."""
        for worker in self.workers:
            await worker.kill()

    def settings(self, **more: Any) -> Any:
        """The settings of these workers, for an engine or an operation in the test's own process."""
        from engine.settings import Settings

        own = {
            "app": self.app,
            "broker": self.broker,
            "database": self.database,
            "exchange": f"{self.app}.events",
        }
        return Settings.load(start=self.folder, **(own | more))

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """What the database says."""
        if self.database.startswith("postgresql:"):
            with psycopg.connect(self.database, autocommit=True) as connection:
                return connection.execute(sql.encode()).fetchall()
        path = self.database.removeprefix("sqlite:///")
        lite = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
        try:
            return lite.execute(sql).fetchall()
        finally:
            lite.close()

    async def make_effects(self) -> None:
        """The table that handlers write into, without a constraint that would hide a double effect."""
        from engine.storage.database import Database

        database = await Database.open(self.database, migrate=True)
        statement = "CREATE TABLE effects (step TEXT, number INT)"
        await database.write(lambda connection: connection.exec_driver_sql(statement))
        await database.close()

    def effects(self, step: str) -> list[int]:
        """The numbers that the handlers of this step committed, in their order; doubles included."""
        rows = self.query(f"SELECT number FROM effects WHERE step = '{step}' ORDER BY number")
        return [number for (number,) in rows]

    def assert_once(self, step: str, numbers: Iterable[int]) -> None:
        """Each of these had its effect once, and no others had one; counted for the summary."""
        wanted = set(numbers)
        found = self.effects(step)
        lost, doubled = wanted - set(found), len(found) - len(set(found))
        self.tally.count(messages=len(wanted), lost=len(lost), doubled=doubled)
        assert not lost, f"{step}: {len(lost)} of {len(wanted)} are lost, such as {sorted(lost)[:10]}"
        assert not doubled, f"{step}: {doubled} had their effect twice"
        assert set(found) == wanted, f"{step}: nobody asked for {sorted(set(found) - wanted)[:10]}"

    async def until(self, reached: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
        """Wait until the database says so, for at most `patience` seconds."""
        try:
            async with asyncio.timeout(patience):
                while not reached():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            logs = "\n".join(f"--- {worker.log.name}\n{worker.said()[-3000:]}" for worker in self.workers)
            raise AssertionError(f"waited in vain for {what}\n{logs}") from None


class WorkerProcess:
    """One worker process."""

    def __init__(self, process: Process, log: Path) -> None:
        self.process = process
        self.log = log

    def said(self) -> str:
        """What it logged so far."""
        return self.log.read_text(errors="replace")

    async def until(self, text: str, patience: float = PATIENCE, times: int = 1) -> None:
        """Wait until it has logged this, so many times."""
        async with asyncio.timeout(patience):
            while self.said().count(text) < times:
                assert self.process.poll() is None, f"the worker ended early:\n{self.said()}"
                await asyncio.sleep(0.02)

    async def ended(self) -> int:
        """Wait until it has ended; its exit code, negative for a signal."""
        async with asyncio.timeout(PATIENCE):
            return await asyncio.to_thread(self.process.wait)

    async def kill(self) -> None:
        """kill -9."""
        if self.process.poll() is None:
            self.process.kill()
            await asyncio.to_thread(self.process.wait)

    async def terminate(self) -> int:
        """SIGTERM, and wait for the drain."""
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()
