"""The database goes away under the workers, and comes back: they wait, and go on by themselves."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.faults.load import PLUGIN, at_rest, publish
from tests.support.homes import settled
from tests.support.postgres import PostgresServer
from tests.support.workers import Fleet

pytestmark = [pytest.mark.faults, pytest.mark.slow]

#: Seconds for which another program holds the lock of the database.
LOCKED = 10.0


@pytest.fixture
async def postgres_fleet(
    request: pytest.FixtureRequest, postgres_node: PostgresServer, tmp_path: Path, app: str
) -> AsyncIterator[Fleet]:
    """Workers on the embedded broker, with a PostgreSQL server of this test's own."""
    fleet = Fleet(tmp_path, f"embedded://{tmp_path}/broker.db", app, postgres_node.url)
    async with settled(request, fleet) as made:
        yield made


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 48 MiB, of which the log of the database takes 16."""
    if os.geteuid() != 0 or sys.platform != "linux":
        pytest.skip("only root on Linux can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("this machine does not let a disk be mounted")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_database_that_is_locked_for_ten_seconds(embedded_fleet: Fleet) -> None:
    fleet = embedded_fleet
    await fleet.make_effects()
    worker = await fleet.start(fleet.plugin(PLUGIN))
    publishing = asyncio.create_task(publish(fleet, range(300), pause=0.05))
    await fleet.until(lambda: len(fleet.effects("booked")) > 20, "the worker to be in the midst of it")
    await asyncio.to_thread(hold_lock, Path(fleet.database.removeprefix("sqlite:///")), LOCKED)
    fleet.tally.fault()
    await at_rest(fleet, await publishing)
    assert "the database does not take what is written, trying again" in worker.said()
    assert "the database is back" in worker.said()


def hold_lock(path: Path, seconds: float) -> None:
    """What a backup, a migration or a shell that was left open does."""
    other = sqlite3.connect(path, isolation_level=None, timeout=30)
    try:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        other.execute("ROLLBACK")
    finally:
        other.close()


async def test_a_disk_that_is_full(request: pytest.FixtureRequest, small_disk: Path, tmp_path: Path, app: str) -> None:
    url = f"sqlite:///{small_disk}/warren.db"
    async with settled(request, Fleet(tmp_path, f"embedded://{tmp_path}/broker.db", app, url)) as fleet:
        await fleet.make_effects()
        worker = await fleet.start(fleet.plugin(PLUGIN))
        publishing = asyncio.create_task(publish(fleet, range(400), pause=0.05))
        await fleet.until(lambda: len(fleet.effects("booked")) > 20, "the worker to be in the midst of it")
        ballast = small_disk / "ballast"
        fill(ballast)
        fleet.tally.fault()
        await worker.until("the database does not take what is written, trying again")
        await asyncio.sleep(3)
        assert worker.process.poll() is None
        ballast.unlink()
        await worker.until("the database is back")
        await at_rest(fleet, await publishing)


def fill(path: Path) -> None:
    """Write until nothing more fits."""
    with path.open("wb", buffering=0) as file:
        for size in (65536, 4096, 512):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


async def test_backends_of_postgresql_that_are_killed_again_and_again(
    postgres_fleet: Fleet, postgres_node: PostgresServer
) -> None:
    fleet = postgres_fleet
    await fleet.make_effects()
    await asyncio.gather(*(fleet.start(fleet.plugin(PLUGIN)) for _ in range(2)))
    publishing = asyncio.create_task(publish(fleet, range(400), pause=0.1))
    while not publishing.done():
        await asyncio.sleep(0.7)
        fleet.tally.fault(terminate_backends(postgres_node))
    assert fleet.tally.counts["faults"] >= 5
    await at_rest(fleet, await publishing)


def terminate_backends(server: PostgresServer) -> int:
    """End the connections of all workers, whatever they are at; how many there were."""
    query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'warren'"
    with psycopg.connect(server.url, autocommit=True) as connection:
        found = connection.execute(query).fetchone()
    return int(found[0]) if found else 0


@pytest.mark.parametrize("how", ["killed", "restarted"])
async def test_a_postgresql_server_that_goes_away_for_seconds(
    postgres_fleet: Fleet, postgres_node: PostgresServer, how: str
) -> None:
    fleet = postgres_fleet
    await fleet.make_effects()
    workers = await asyncio.gather(*(fleet.start(fleet.plugin(PLUGIN)) for _ in range(2)))
    publishing = asyncio.create_task(publish(fleet, range(400), pause=0.1))
    await fleet.until(lambda: len(fleet.effects("booked")) > 20, "the workers to be in the midst of it")
    await asyncio.to_thread(postgres_node.kill if how == "killed" else postgres_node.stop)
    fleet.tally.fault()
    await asyncio.sleep(5)
    assert all(worker.process.poll() is None for worker in workers)
    await asyncio.to_thread(postgres_node.start)
    await at_rest(fleet, await publishing)
    assert all("the database is back" in worker.said() for worker in workers)
