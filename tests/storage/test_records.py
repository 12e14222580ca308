from __future__ import annotations

import asyncio
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from engine.model.record import (
    MAX_DEATHS,
    Bury,
    Claim,
    Conflict,
    Decision,
    Holder,
    Join,
    Park,
    Record,
    Run,
    Skip,
    State,
    bury,
    finish,
    on_probation,
    redrive,
    retry,
)
from engine.storage import records
from engine.storage.database import Database
from engine.storage.records import Fate

HASH = b"0123456789abcdef"


def wish(event_id: str, run: int = 0, queue: str = "q", body_hash: bytes = HASH) -> Claim:
    return Claim(queue, event_id, run, body_hash)


def never(record: Record) -> Holder:
    raise AssertionError(f"nobody needs to know who holds {record}")


async def claim(
    database: Database,
    *claims: Claim,
    worker: str = "me",
    holder: Callable[[Record], Holder] = never,
    now: float = 1000.0,
) -> list[Decision]:
    return await database.write(
        lambda connection: records.claim(connection, claims, worker=worker, holder=holder, now=now)
    )


async def run(database: Database, *claims: Claim, worker: str = "me") -> list[Record]:
    decisions = await claim(database, *claims, worker=worker)
    return [decision.record for decision in decisions if isinstance(decision, Run)]


async def settle(database: Database, *settled: Record) -> list[Fate]:
    return await database.write(lambda connection: records.settle(connection, settled))


async def stored(database: Database, event_id: str) -> Record:
    found = await database.read(lambda connection: records.fetch(connection, [("q", event_id)]))
    return found["q", event_id]


async def test_new_messages_run_and_end(database: Database) -> None:
    claims = [wish(event_id) for event_id in "cab"]
    mine = await run(database, *claims)
    assert [record.event_id for record in mine] == ["c", "a", "b"]
    assert mine[0] == Record("q", "c", State.RUNNING, 1, 1, 1, "me", HASH, 0, False, 1000.0, 1000.0)
    assert await settle(database, *(finish(record, 1001.5) for record in mine)) == [Fate.APPLIED] * 3
    record = await stored(database, "a")
    assert record == finish(mine[1], 1001.5)
    assert record.state is State.DONE
    assert await claim(database, *claims) == [Skip("duplicate")] * 3


async def test_several_queues_in_a_group_are_kept_apart(database: Database) -> None:
    mine = await run(database, wish("a", queue="one"), wish("a", queue="two"), wish("b", queue="one"))
    assert len(mine) == 3
    await settle(database, finish(mine[0], 1001))
    assert [type(each) for each in await claim(
        database, wish("a", queue="one"), wish("a", queue="two"), holder=lambda record: Holder.ALIVE
    )] == [Skip, Park]  # fmt: skip


async def test_the_same_key_twice_in_a_group(database: Database) -> None:
    other = wish("a", body_hash=b"another body    ")
    assert [type(each) for each in await claim(database, wish("a"), wish("a"), other)] == [Run, Join, Conflict]
    assert (await stored(database, "a")).token == 1


async def test_a_retry_runs_under_a_new_token(database: Database) -> None:
    (first,) = await run(database, wish("a"))
    await settle(database, retry(first, 1001))
    waiting = await stored(database, "a")
    assert (waiting.state, waiting.run, waiting.attempts, waiting.token) == (State.WAITING, 2, 1, 1)
    (second,) = await run(database, wish("a", run=2), worker="other")
    assert (second.run, second.attempts, second.token, second.worker) == (2, 2, 2, "other")
    assert await settle(database, bury(second, 1002)) == [Fate.APPLIED]
    assert (await stored(database, "a")).state is State.DEAD
    assert await claim(database, wish("a", run=1), wish("a")) == [Skip("stale"), Skip("duplicate")]


async def test_running_elsewhere(database: Database) -> None:
    await run(database, wish("alive"), wish("dead"), wish("forgotten"), worker="other")
    asked: list[Record] = []

    def holder(record: Record) -> Holder:
        asked.append(record)
        return {"alive": Holder.ALIVE, "dead": Holder.DEAD, "forgotten": Holder.FORGOTTEN}[record.event_id]

    decisions = await claim(database, wish("alive"), wish("dead"), wish("forgotten"), wish("new"), holder=holder)
    assert [type(decision) for decision in decisions] == [Park, Run, Run, Run]
    assert isinstance(decisions[1], Run)
    assert decisions[1].suspect
    assert decisions[1].record.token == 2
    assert await stored(database, "dead") == decisions[1].record
    assert {record.worker for record in asked} == {"other"}


async def test_the_third_death_of_a_sole_suspect_buries(database: Database) -> None:
    (record,) = await run(database, wish("a"), worker="w0")
    for death in range(MAX_DEATHS):
        await database.write(partial(records.put, records=[on_probation(record, 1001)]))
        (decision,) = await claim(database, wish("a"), worker=f"w{death + 1}", holder=lambda record: Holder.DEAD)
        assert isinstance(decision, Run | Bury)
        record = decision.record
    assert isinstance(decision, Bury)
    assert (await stored(database, "a")).state is State.DEAD


async def test_an_outcome_under_an_old_token_is_lost(database: Database) -> None:
    (mine,) = await run(database, wish("a"))
    (innocent,) = await run(database, wish("b"))
    await claim(database, wish("a"), worker="other", holder=lambda record: Holder.DEAD)
    gone = mine._replace(event_id="gone")
    assert await settle(database, finish(mine, 1001), finish(innocent, 1001), finish(gone, 1001)) == [
        Fate.LOST,
        Fate.APPLIED,
        Fate.LOST,
    ]
    assert (await stored(database, "a")).worker == "other"
    assert (await stored(database, "b")).state is State.DONE


@pytest.mark.parametrize("end", [finish, retry, bury])
async def test_an_outcome_written_twice_is_repeated(database: Database, end: Callable[[Record, float], Record]) -> None:
    (mine,) = await run(database, wish("a"))
    (other,) = await run(database, wish("b"))
    assert await settle(database, end(mine, 1001)) == [Fate.APPLIED]
    assert await settle(database, finish(other, 1002), end(mine, 1002)) == [Fate.APPLIED, Fate.REPEATED]
    assert (await stored(database, "a")).updated == 1001


async def test_nothing_to_settle(database: Database) -> None:
    assert await settle(database) == []
    assert await claim(database) == []


async def test_put_overwrites_for_a_redrive(database: Database) -> None:
    (mine,) = await run(database, wish("a"))
    await settle(database, bury(mine, 1001))
    again = redrive(await stored(database, "a"), 1002, b"an edited body  ")
    await database.write(lambda connection: records.put(connection, [again]))
    assert await stored(database, "a") == again
    (decision,) = await claim(database, wish("a", run=3, body_hash=b"an edited body  "))
    assert isinstance(decision, Run)


async def test_a_record_that_is_locked_is_parked_not_waited_for(postgres_url: str) -> None:
    """Another transaction settles it this very moment; waiting could end in a deadlock."""
    database = await Database.open(postgres_url, migrate=True)
    await run(database, wish("a"))
    holding = database.session()
    await holding.execute(text("SELECT * FROM warren_records WHERE event_id = 'a' FOR UPDATE"))
    async with asyncio.timeout(5):
        decisions = await claim(database, wish("a"), wish("b"))
    assert [type(decision) for decision in decisions] == [Park, Run]
    await holding.abandon()
    await database.close()


async def test_a_record_that_another_inserts_first_is_parked(postgres_url: str) -> None:
    database = await Database.open(postgres_url, migrate=True)
    other = database.session()
    await other.execute(text("SELECT 1"))
    connection = await other.connection()
    await connection.run_sync(lambda sync: records.claim(sync, [wish("b")], worker="other", holder=never, now=1000.0))
    claiming = asyncio.create_task(claim(database, wish("a"), wish("b"), wish("c")))
    await asyncio.sleep(0.1)
    await other.finish(lambda sync: None)
    decisions = await claiming
    assert [type(decision) for decision in decisions] == [Run, Park, Run]
    assert (await stored(database, "b")).worker == "other"
    await database.close()


KEYS = 60
RUNS = 3


def contend(url: str, worker: str, seed: int, log: Path) -> None:
    """A process that claims and settles the same keys as the others until all are done."""

    async def main() -> None:
        database = await Database.open(url)
        chance = random.Random(seed)
        todo = {f"event {number:02}": 0 for number in range(KEYS)}
        with log.open("w") as out:
            while todo:
                group = chance.choices(sorted(todo), k=16)
                claims = [wish(event_id, todo[event_id]) for event_id in group]
                decisions = await claim(
                    database, *claims, worker=worker, holder=lambda record: Holder.ALIVE, now=time.time()
                )
                ends = []
                for wanted, decision in zip(claims, decisions, strict=True):
                    if isinstance(decision, Skip):
                        if decision.reason == "stale":
                            todo[wanted.event_id] = min(wanted.run + 1, RUNS) or 1
                        else:
                            todo.pop(wanted.event_id, None)
                    elif isinstance(decision, Run):
                        record = decision.record
                        ends.append(finish(record, 1) if record.run == RUNS else retry(record, 1))
                for record, fate in zip(ends, await settle(database, *ends), strict=True):
                    out.write(f"{record.event_id},{record.token},{record.state},{fate}\n")
                    if record.state is State.WAITING:
                        todo[record.event_id] = record.run
                await asyncio.sleep(0)
        await database.close()

    asyncio.run(main())


async def test_processes_that_claim_the_same_keys_settle_each_run_once(database_url: str, tmp_path: Path) -> None:
    await (await Database.open(database_url, migrate=True)).close()
    context = multiprocessing.get_context("spawn")
    logs = [tmp_path / f"{number}.log" for number in range(3)]
    processes = [
        context.Process(target=contend, args=(database_url, f"w{number}", number, log))
        for number, log in enumerate(logs)
    ]
    for process in processes:
        process.start()
    for process in processes:
        await asyncio.to_thread(process.join, 60)
        assert process.exitcode == 0
    lines = [line.split(",") for log in logs for line in log.read_text().splitlines()]
    assert {fate for *_, fate in lines} == {"applied"}
    times = Counter(event_id for event_id, *_ in lines)
    assert set(times.values()) == {RUNS}
    assert len(times) == KEYS
    assert len({(event_id, token) for event_id, token, *_ in lines}) == KEYS * RUNS


def test_a_group_takes_few_statements(sqlite_url: str) -> None:
    """A group of any size is a handful of statements, or the writer could not keep pace."""
    counts: dict[int, int] = {}

    async def main() -> None:
        database = await Database.open(sqlite_url, migrate=True)
        for size in (2, 400):
            seen = 0

            def count(*_arguments: object) -> None:
                nonlocal seen
                seen += 1

            def both(connection: Connection, claims: Sequence[Claim]) -> None:
                decisions = records.claim(connection, claims, worker="me", holder=never, now=1.0)
                records.settle(connection, [finish(each.record, 2.0) for each in decisions if isinstance(each, Run)])

            from sqlalchemy import event

            claims = [wish(f"{size} {number}") for number in range(size)]

            def counted(connection: Connection, claims: Sequence[Claim] = claims) -> None:
                event.listen(connection, "before_cursor_execute", count)
                both(connection, claims)
                event.remove(connection, "before_cursor_execute", count)

            await database.write(counted)
            counts[size] = seen
        await database.close()

    asyncio.run(main())
    assert counts[400] <= counts[2] + 2 * 400 / 32
