"""Where the story plays: a folder, a broker, a database, and a worker process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from engine.brokers.base import Broker
from engine.cli.leash import VARIABLE
from engine.errors import BrokerError, WarrenError
from engine.model.event import EventData
from engine.runtime.application import Engine
from engine.runtime.plugins import load_plugins
from engine.runtime.wanted import topology
from engine.settings import Settings
from engine.storage.database import Database

#: Seconds until the worker must be ready.
READY = 60.0
#: What the shop publishes without a transaction, so that a trace begins with it.
JOURNAL = ("order.placed",)
#: How a worker tells of an attempt that failed, and of which event.
_ATTEMPT = re.compile(r"(failed|gave up) on (\S+?),? ")


def order_flow() -> Path:
    """The example plugin, wherever it is installed. It is found, not imported: no floor of the engine knows it."""
    # Beside this package: whoever stands in a project of his own may have another `handlers` first on his path.
    path = Path(__file__).resolve().parents[3] / "handlers" / "orders.py"
    if not path.is_file():
        raise WarrenError("the example handlers are not installed", hint="Install warren with its package `handlers`.")
    return path


class Stage:
    """The parts of the demo, and the switch that breaks and mends the payment provider."""

    def __init__(self, folder: Path, settings: Settings, engine: Engine, database: Database) -> None:
        self.folder = folder
        self.settings = settings
        self.engine = engine
        self.database = database
        self.outage = folder / "payment-provider-is-down"
        self.log = folder / "worker.log"
        self.plugin = order_flow()
        self.specs = load_plugins([str(self.plugin)], None)
        self._worker: asyncio.subprocess.Process | None = None
        self._leash: socket.socket | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def set_up(cls, broker: str | None, database: str | None) -> AsyncIterator[Stage]:
        """Make a stage, and leave nothing of it behind: neither folder nor queues nor processes."""
        folder = Path(tempfile.mkdtemp(prefix="warren-demo-"))
        (folder / "warren.toml").touch()  # a project of its own, whatever lies above it
        app = f"demo-{uuid.uuid4().hex[:6]}"
        settings = Settings.load(
            start=folder,
            environ={},  # what is set for somebody's own project is not meant for the demo
            app=app,
            exchange=f"{app}.events",
            broker=broker or f"embedded://{folder}/broker.db",
            database=database or f"sqlite:///{folder}/warren.db",
            journal=JOURNAL,
        )
        try:
            opened = await Database.open(settings.database_url, migrate=True)
            try:
                async with Engine(settings) as engine:
                    stage = cls(folder, settings, engine, opened)
                    try:
                        yield stage
                    finally:
                        await stage.stop_worker()
                        await stage._clear(engine.broker)
            finally:
                await opened.close()
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def start_worker(self) -> None:
        """Start a worker as a user would, with the order flow as its plugin."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("WARREN_")},
            "WARREN_LOG_FORMAT": "json",
            "WARREN_APP": self.settings.app,
            "WARREN_EXCHANGE": self.settings.exchange,
            "WARREN_BROKER": self.settings.broker_url,
            "WARREN_DATABASE": self.settings.database_url,
            "WARREN_JOURNAL": ",".join(self.settings.journal),
            "SHOP_OUTAGE": str(self.outage),
        }
        self._leash, theirs = socket.socketpair()
        environment[VARIABLE] = f"{theirs.fileno()}:"  # a worker whose demo was killed ends by itself
        with theirs, self.log.open("wb") as log:
            self._worker = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "engine.cli", "worker", str(self.plugin), "--log-level", "info"),
                cwd=self.folder,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(theirs.fileno(),),
            )
        begun = time.monotonic()
        while "is ready" not in (said := self.log.read_text(errors="replace")):
            if self._worker.returncode is not None:
                raise WarrenError("the worker of the demo ended at once", hint=said.strip()[-2000:])
            if time.monotonic() - begun > READY:
                raise WarrenError(f"the worker of the demo is not ready after {READY:g} s", hint=said.strip()[-2000:])
            await asyncio.sleep(0.05)

    async def stop_worker(self) -> None:
        """Let the worker drain."""
        worker, self._worker = self._worker, None
        leash, self._leash = self._leash, None
        with leash or contextlib.nullcontext():
            if worker is None or worker.returncode is not None:
                return
            worker.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(20):
                    await worker.wait()
            except TimeoutError:
                worker.kill()
                await worker.wait()

    def placed(self, **data: Any) -> EventData:
        """The event that begins the flow, by the class that its first handler declares."""
        return self.specs[0].models[0](**data)

    def backoff(self) -> list[str]:
        """What the worker said of the first message that it gave up on: each attempt, and the delay after it."""
        said: dict[str, list[str]] = {}
        for line in self.log.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                words = str(json.loads(line)["event"])
                if found := _ATTEMPT.search(words):
                    said.setdefault(found[2], []).append(words)
                    if found[1] == "gave up":
                        return said[found[2]]
        return []

    def break_provider(self) -> None:
        """From now on some orders cannot be charged."""
        self.outage.touch()

    def mend_provider(self) -> None:
        """Somebody renewed the certificate."""
        self.outage.unlink(missing_ok=True)

    @property
    def queues(self) -> list[str]:
        """The queues of the order flow."""
        return [spec.queue_for(self.settings.app) for spec in self.specs]

    async def _clear(self, broker: Broker) -> None:
        if self.settings.broker_url.startswith("embedded:"):
            return  # it goes with the folder
        wanted = topology(
            self.settings.app, self.specs, self.settings.exchange, self.settings.journal, self.settings.stream
        )
        with contextlib.suppress(BrokerError):
            for queue in wanted.queues:
                await broker.delete_queue(queue.name)
            for exchange in wanted.exchanges:
                await broker.delete_exchange(exchange.name)
