from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
from collections.abc import AsyncIterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from sqlalchemy import text

from engine.errors import DatabaseUnavailable, UsageError
from engine.storage import beats
from engine.storage.beats import BLINK, INTERVAL, PATIENCE, Beats, Observations
from engine.storage.database import Database
from engine.storage.filelock import FileLock
from engine.storage.liveness import Liveness
from engine.storage.lockfiles import LockFiles


def live(url: str, worker: str, fork: bool, pipe: Connection) -> None:
    """A process that proves its life until it is killed, perhaps survived by a child of its own."""

    async def main() -> None:
        database = await Database.open(url)
        await Liveness.open(database, worker)
        pid = os.fork() if fork else 0
        if fork and not pid:
            os.read(os.open("/dev/zero", os.O_RDONLY), 1)
            signal.pause()
        pipe.send(pid)
        await asyncio.sleep(600)

    if "engine" in sys.modules:
        asyncio.run(main())


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beats, "INTERVAL", 0.1)
    monkeypatch.setattr(beats, "PATIENCE", 1.0)
    monkeypatch.setattr("engine.storage.lockfiles.TRUST", 0.05)


@pytest.fixture
async def observer(database: Database) -> AsyncIterator[Liveness]:
    liveness = await Liveness.open(database, "host:1:observer")
    yield liveness
    await liveness.close()


async def until_dead(liveness: Liveness, worker: str) -> None:
    async with asyncio.timeout(20):
        while liveness.alive(worker):
            await asyncio.sleep(0.02)


@pytest.mark.usefixtures("quick")
async def test_a_worker_is_alive_until_it_closes(database: Database, observer: Liveness) -> None:
    other = await Liveness.open(database, "host:2:other")
    assert observer.alive("host:2:other")
    assert other.alive("host:1:observer")
    assert observer.alive("host:1:observer")
    await other.close()
    await until_dead(observer, "host:2:other")
    with pytest.raises(UsageError):
        other.alive("host:1:observer")


@pytest.mark.usefixtures("quick")
async def test_a_worker_that_never_was_is_dead(observer: Liveness) -> None:
    await until_dead(observer, "host:9:nobody")


@pytest.mark.usefixtures("quick")
async def test_only_looking_on(database: Database, observer: Liveness) -> None:
    onlooker = await Liveness.open(database, None)
    assert onlooker.alive("host:1:observer")
    await onlooker.close()
    assert observer.alive("host:1:observer")


@pytest.mark.parametrize("fork", [False, True], ids=["alone", "with a child"])
async def test_a_killed_process_is_proven_dead_at_once_on_sqlite(
    sqlite_database: Database, sqlite_url: str, monkeypatch: pytest.MonkeyPatch, fork: bool
) -> None:
    monkeypatch.setattr("engine.storage.lockfiles.TRUST", 0.05)
    observer = await Liveness.open(sqlite_database, "host:1:observer")
    child = await run_and_kill(sqlite_url, observer, fork=fork)
    await until_dead(observer, "host:2:victim")
    if child:
        os.kill(child, signal.SIGKILL)
    await observer.close()


async def run_and_kill(url: str, observer: Liveness, *, fork: bool) -> int:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=live, args=(url, "host:2:victim", fork, theirs))
    process.start()
    child = int(await asyncio.to_thread(ours.recv))
    assert observer.alive("host:2:victim")
    process.kill()
    await asyncio.to_thread(process.join)
    return child


@pytest.mark.faults
async def test_a_killed_process_is_proven_dead_by_its_silence_on_postgresql(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beats, "INTERVAL", 0.2)  # of the observer; the victim beats every 3 s
    monkeypatch.setattr(beats, "PATIENCE", 5.0)
    database = await Database.open(postgres_url, migrate=True)
    observer = await Liveness.open(database, "host:1:observer")
    await run_and_kill(postgres_url, observer, fork=False)
    assert observer.alive("host:2:victim")
    await until_dead(observer, "host:2:victim")
    assert observer.alive("host:1:observer")
    await observer.close()
    await database.close()


async def test_the_file_of_a_dead_worker_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    folder.mkdir()
    (folder / "host%3A2%3Agone.lock").touch()
    files = LockFiles(folder, None)
    assert not files.alive("host:2:gone")
    assert list(folder.iterdir()) == []


def test_two_who_look_at_the_same_time_both_see_death(tmp_path: Path) -> None:
    import fcntl

    path = tmp_path / "host%3A2%3Agone.lock"
    path.touch()
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        assert not LockFiles(tmp_path, None).alive("host:2:gone")


def test_a_file_that_was_removed_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "host%3A2%3Anew.lock"
    acquire = FileLock.acquire
    removed = False

    def acquire_late(lock: FileLock) -> None:
        nonlocal removed
        acquire(lock)
        if not removed:
            removed = True
            path.unlink()

    monkeypatch.setattr(FileLock, "acquire", acquire_late)
    files = LockFiles(tmp_path, "host:2:new")
    files.open()
    assert path.exists()
    assert LockFiles(tmp_path, None).alive("host:2:new")
    files.close()
    assert not path.exists()


def test_locks_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "locks").touch()
    with pytest.raises(DatabaseUnavailable, match="lock files"):
        LockFiles(tmp_path / "locks", "host:2:new").open()


async def test_a_worker_whose_counter_stands_still_is_dead(postgres_url: str) -> None:
    database = await Database.open(postgres_url, migrate=True)
    await database.write(
        lambda connection: connection.execute(text("INSERT INTO warren_beats VALUES ('host:2:still', 7)"))
    )
    proof = Beats(database.address, "host:1:observer")
    proof.open()
    assert proof.alive("host:2:still")
    proof.close()
    rows = await database.read(lambda connection: connection.execute(text("SELECT worker FROM warren_beats")).all())
    assert [row.worker for row in rows] == ["host:2:still"]
    await database.close()


def observe(*looks: tuple[float, dict[str, int]]) -> Observations:
    observations = Observations()
    for now, counters in looks:
        observations.look(counters, now)
    return observations


def every_beat(start: float, seconds: float, counter: int = 1, step: int = 0) -> list[tuple[float, dict[str, int]]]:
    count = int(seconds / INTERVAL) + 1
    return [(start + number * INTERVAL, {"w": counter + number * step}) for number in range(count)]


def test_dead_after_patience_and_not_before() -> None:
    before = observe(*every_beat(100, PATIENCE - INTERVAL))
    assert before.alive("w", 1000)
    after = observe(*every_beat(100, PATIENCE))
    assert not after.alive("w", 1000)


def test_a_moving_counter_is_alive_for_ever() -> None:
    assert observe(*every_beat(100, 1000, step=1)).alive("w", 1100)


def test_what_was_not_looked_at_does_not_count() -> None:
    """The observer was asleep or cut off: it has seen nothing, so it has proven nothing."""
    looks = [*every_beat(100, PATIENCE - INTERVAL), (100 + PATIENCE + BLINK, {"w": 1})]
    assert observe(*looks).alive("w", 1000)
    assert not observe(*looks, *every_beat(103 + PATIENCE + BLINK, PATIENCE)).alive("w", 1000)


def test_no_looks_at_all_prove_nothing() -> None:
    assert Observations().alive("w", 1000)


def test_without_a_counter_it_is_dead_after_the_next_look() -> None:
    observations = observe((100, {}))
    assert observations.alive("w", 101)  # it may have come since
    observations.look({}, 103)
    assert not observations.alive("w", 103.5)
    observations.look({"w": 1}, 106)
    assert observations.alive("w", 107)
