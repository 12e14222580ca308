"""Where all screens read: settings, who acts, the links, and the newest picture of the fleet."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import cached_property
from importlib import import_module
from time import monotonic
from typing import TYPE_CHECKING, Any

from engine import BrokerUnavailable, DatabaseUnavailable, Settings, WarrenError
from monitor.source.link import Link, Standing

if TYPE_CHECKING:
    from engine.operations.connecting import Broker, Database, Doors, Liveness
    from engine.operations.fleet import Fleet
    from engine.operations.masking import Masking
    from engine.operations.operator import Operator
    from engine.operations.project import Project
    from engine.operations.totalling import Totals
    from engine.operations.watching import Watch

#: What takes long to import and is needed before anything is read; a thread brings it in, after the first paint.
HEAVY = (
    "engine.operations.watching",
    "engine.operations.connecting",
    "engine.operations.failing",
    "engine.operations.failures",
    "engine.operations.operator",
    "engine.operations.totalling",
)
#: And what other screens need: it comes once the first picture is there, so that opening one does not wait for it.
LATER = (
    "engine.operations.progress",
    "engine.operations.auditing",
    "engine.operations.editing",
    "engine.operations.events",
    "engine.operations.projections",
    "engine.operations.streams",
    "engine.operations.trace",
    "engine.operations.redrive",
    "engine.operations.archiving",
    "engine.operations.replay",
    "engine.operations.rebuilding",
    "engine.operations.steering",
)
#: The part of a core that looking may take: a look that takes longer is followed by a longer pause.
SHARE = 0.01
#: The longest pause between two looks, in seconds.
LONGEST = 10.0


class Source:
    """The monitor's data. `clock` is the time in seconds since the epoch, `interval` seconds lie between two looks.

    `changed` hears of each new picture, `failed` of each error. Nothing is imported or connected before `run`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        read_only: bool = False,
        clock: Callable[[], float] = time.time,
        interval: float = 1.0,
    ) -> None:
        self.settings = settings
        self.read_only = read_only or settings.read_only
        self.now = clock
        self.interval = interval
        self.changed: Callable[[], None] = lambda: None
        self.failed: Callable[[Exception], None] = lambda error: None
        #: Called when all is imported that reading needs.
        self.imported: Callable[[], None] = lambda: None
        #: Queues, workers and the outbox as they were last seen.
        self.fleet: Fleet | None = None
        #: Whether the modules are here that reading needs.
        self.ready = False
        #: No look but those asked for by `refresh`.
        self.held = False
        self._links = (
            Link[Any](self._open_database, clock, _no_database),
            Link[Any](self._open_broker, clock, _no_broker),
        )
        self._watch: Watch | None = None
        self._totals: Totals | None = None
        self._project: Project | None = None
        self._loading = asyncio.Lock()
        self._due = asyncio.Event()

    # --- for screens ------------------------------------------------------------------------

    def database(self) -> Database:
        """The database, open. Raises `DatabaseUnavailable` before it was reached."""
        doors: Doors = self._links[0].get()
        return doors.database

    def broker(self) -> Broker:
        """The broker, connected. Raises `BrokerUnavailable` before it was reached."""
        broker: Broker = self._links[1].get()
        return broker

    @cached_property
    def operator(self) -> Operator:
        """Who acts here, and whether they may change anything."""
        from engine.operations.operator import Operator

        return Operator.present(read_only=self.read_only)

    @cached_property
    def masking(self) -> Masking:
        """What hides the secrets in all that is shown."""
        from engine.operations.masking import masking_for

        return masking_for(self.settings)

    @property
    def liveness(self) -> Liveness:
        """The eye on who lives, open. Raises `DatabaseUnavailable` before the database was reached."""
        doors: Doors = self._links[0].get()
        return doors.liveness

    async def project(self) -> Project:
        """What the project declares, loaded once, in a thread: its plugins are imported."""
        async with self._loading:
            if self._project is None:
                from engine.operations.project import Project

                self._project = await asyncio.to_thread(Project.load, self.settings)
        return self._project

    @property
    def database_state(self) -> Standing:
        """How the link to the database is."""
        return self._links[0].standing

    @property
    def broker_state(self) -> Standing:
        """How the link to the broker is."""
        return self._links[1].standing

    @property
    def cost(self) -> str:
        """What a look takes, in words."""
        if self._watch is None:
            return ""
        said = f"{(self._watch.database_took + self._watch.broker_took) * 1000:.0f} ms"
        if self._totals is not None and self._totals.took is not None:
            said += f" + HTTP {self._totals.took * 1000:.0f} ms each 5 s"
        return said

    def refresh(self) -> None:
        """Look now."""
        self._due.set()
        for link in self._links:
            link.hurry()

    # --- at work ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Open the links and look, until cancelled."""
        await asyncio.to_thread(_import, HEAVY)
        self.imported()
        from engine.operations.watching import Watch

        self._watch = Watch(self.settings.app)
        self.ready = True
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._import_rest())
            for link in self._links:
                tasks.create_task(link.keep())
            tasks.create_task(self._looking(self._watch))
            tasks.create_task(self._listening(self._watch))
            tasks.create_task(self._totalling(self._watch))

    async def _import_rest(self) -> None:
        for name in LATER:  # one by one: a key that is pressed meanwhile does not wait for all of them
            await asyncio.to_thread(_import, (name,))

    async def _looking(self, watch: Watch) -> None:
        """Read the database, again and again."""
        while True:
            begun = monotonic()
            if not self.held or self._due.is_set():
                self._due.clear()
                await self._guarded(self._look(watch))
            spent = monotonic() - begun
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause(self.interval, spent)):
                    await (self._due.wait() if self._links[0].value is not None else self._links[0].is_open.wait())

    async def _look(self, watch: Watch) -> None:
        try:
            async with self._links[0].asking() as doors:
                await watch.look(doors, self.now())
            self.fleet = watch.picture(self.now())
        finally:
            self.changed()

    async def _listening(self, watch: Watch) -> None:
        """Ask the broker, again and again; one that is slow is asked less."""
        while True:
            begun = monotonic()
            if self._links[1].value is not None and not self.held:
                await self._guarded(self._listen(watch))
            await asyncio.sleep(max(self.interval, min((monotonic() - begun) * 10, LONGEST)))

    async def _listen(self, watch: Watch) -> None:
        async with self._links[1].asking() as broker:
            await watch.listen(broker, self.now())

    async def _totalling(self, watch: Watch) -> None:
        """Ask the broker over HTTP where that is possible, seldom."""
        from engine.operations.totalling import PERIOD, Totals

        self._totals = Totals(self.settings)
        while self._totals.possible:
            if self.held or self._links[1].standing.word != "up":
                await asyncio.sleep(PERIOD)
                continue
            found, wait = await self._totals.turn()
            watch.told(found, self.now())
            await asyncio.sleep(wait)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """What cannot be read is a state or a message, and never the end."""
        try:
            await work
        except Exception as error:
            self.failed(error)

    # --- opening ----------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _open_database(self) -> AsyncIterator[Doors]:
        from engine.operations.connecting import open_database

        async with open_database(self.settings, read_only=self.read_only) as doors:
            yield doors

    @contextlib.asynccontextmanager
    async def _open_broker(self) -> AsyncIterator[Broker]:
        from engine.operations.connecting import connect

        link = self._links[1]

        def said(error: WarrenError | None) -> None:
            if error is None:
                link.restored()
            else:
                link.lost(error)

        async with connect(self.settings, said) as broker:
            yield broker


def pause(interval: float, spent: float) -> float:
    """Seconds until the next look, after one that took `spent`: none takes more than its share of the time."""
    return min(max(interval - spent, spent / SHARE - spent, 0.05), LONGEST)


def _import(names: tuple[str, ...]) -> None:
    for name in names:
        import_module(name)


def _no_database(error: str, hint: str) -> WarrenError:
    return DatabaseUnavailable(error or "the database is not open yet", hint=hint)


def _no_broker(error: str, hint: str) -> WarrenError:
    return BrokerUnavailable(error or "the broker is not connected yet", hint=hint)
