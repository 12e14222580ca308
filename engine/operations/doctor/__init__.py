"""What is wrong, and what to do about it: small checks, each with its findings."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from engine.brokers import open_broker
from engine.brokers.base import Broker, Depth
from engine.errors import WarrenError
from engine.model.handler import HandlerSpec
from engine.model.partition import is_partition
from engine.model.topology import dlq_name, due_name
from engine.operations import pausing
from engine.operations.doctor import broker as brokers
from engine.operations.doctor import fleet
from engine.operations.doctor.database import check_database
from engine.operations.doctor.finding import Finding, Level, fail, ok
from engine.operations.doctor.project import check_folder, check_plugins
from engine.operations.doctor.projections import check_projections
from engine.operations.doctor.version import check_version
from engine.operations.migrating import bridge_name, store_name
from engine.operations.operator import Operator
from engine.operations.orphans import owned_by
from engine.operations.pausing import Shut
from engine.operations.projections import list_projections
from engine.operations.queues import declared
from engine.operations.topology import wanted
from engine.operations.workers import living
from engine.settings import Settings
from engine.storage.database import Database
from engine.storage.workers import DeclaredQueue, Worker, list_workers

__all__ = ["Finding", "Level", "diagnose"]


async def diagnose(settings: Settings, load: Callable[[], list[HandlerSpec]]) -> list[Finding]:
    """Run all checks; one that cannot run is a finding, too."""
    findings = check_folder(settings.project.warren_dir)
    specs, found = check_plugins(load, settings.app)
    findings += found
    known, found = await _database(settings)
    findings += found
    findings += await _broker(settings, specs, known)
    return findings


class _Known(NamedTuple):
    """What the database knows of the fleet."""

    queues: list[DeclaredQueue]
    alive: list[Worker]
    shut: Shut


async def _database(settings: Settings) -> tuple[_Known | None, list[Finding]]:
    try:
        database = await Database.open(settings.database_url, migrate=settings.migrate and not settings.read_only)
    except WarrenError as error:
        return None, [fail("database", error.message, error.hint)]
    try:
        findings = await check_database(database)
        ids = frozenset(await living(database, settings.app))
        alive = [worker for worker in await database.read(list_workers) if worker.id in ids]
        findings.append(ok("workers", f"{len(alive)} alive"))
        shut = await pausing.shut(database)
        findings += fleet.check_holds(alive)
        findings += fleet.check_shut(shut, time.time())
        findings += check_projections(await list_projections(database, settings.app, (), time.time()))
        return _Known(await declared(database, settings.app, partitions=True), alive, shut), findings
    except WarrenError as error:
        return None, [fail("database", error.message, error.hint)]
    finally:
        await database.close()


async def _broker(settings: Settings, specs: Sequence[HandlerSpec], known: _Known | None) -> list[Finding]:
    try:
        broker = open_broker(settings.broker_url, app=settings.app)
    except WarrenError as error:
        return [fail("broker", error.message, error.hint)]
    try:
        await broker.connect()
        return await _connected(broker, settings, specs, known)
    except WarrenError as error:
        return [fail("broker", error.message, error.hint)]
    finally:
        await broker.close()


async def _connected(
    broker: Broker, settings: Settings, specs: Sequence[HandlerSpec], known: _Known | None
) -> list[Finding]:
    app = settings.app
    queues = [] if known is None else known.queues
    findings = [*check_version(getattr(broker, "version", None), max_body=settings.max_body, specs=specs)]
    if settings.read_only:
        findings.append(ok("permissions", "not tried, since this is read-only"))
    else:
        used = _exchanges(settings, specs)
        findings.append(await brokers.check_round_trip(broker, app, operator=Operator.present(), exchanges=used))
    if specs:
        findings += await brokers.check_topology(
            broker, app, specs, settings.exchange, settings.journal, settings.stream
        )
    names = {queue.queue for queue in queues} | {spec.queue_for(app) for spec in specs}
    beside = [other for name in names for other in (dlq_name(name), store_name(name), bridge_name(name))]
    depths: dict[str, Depth | None] = await broker.depths(sorted({*names, *beside, due_name(app)}))
    alive = [] if known is None else known.alive
    if specs:
        findings += fleet.check_orphans(
            queues, owned_by(app, specs, alive, queues, settings.journal, settings.stream), depths
        )
    findings += fleet.check_cut_off(sorted(names), depths)
    if specs:
        findings += await brokers.check_stream(broker, app, settings.journal, settings.stream)
    if known is not None:
        findings += fleet.check_consumers({name: depths[name] for name in names if not is_partition(name)}, alive)
        findings += fleet.check_due(depths[due_name(app)], len(alive))
    return findings


def _exchanges(settings: Settings, specs: Sequence[HandlerSpec]) -> list[str]:
    """The exchanges that the handlers use."""
    try:
        topology = wanted(settings.app, specs, settings.exchange, settings.journal, settings.stream)
    except WarrenError:  # told with the topology
        return []
    return [exchange.name for exchange in topology.exchanges]
