"""Handlers with partitions and a strict order in the harness, which runs the same pipeline as a worker."""

from __future__ import annotations

from collections import defaultdict

import pytest

from engine import Event, EventData, RetryPolicy, handler
from engine.model.filter import Filter
from engine.operations import archiving
from engine.operations.operator import Operator
from engine.storage import held
from engine.testing.harness import Harness


class Move(EventData, type="game.move", aggregate="game", key="game"):
    game: str
    number: int


class Moves:
    """What a handler did, and what it is to fail on."""

    def __init__(self) -> None:
        self.done: defaultdict[str, list[int]] = defaultdict(list)
        self.failing: dict[int, int] = {}
        self.attempts: defaultdict[int, int] = defaultdict(int)

        @handler(Move, key="game", partitions=3, order="strict", retry=RetryPolicy(max_attempts=3))
        async def play(event: Event[Move]) -> None:
            number = event.data.number
            self.attempts[number] += 1
            if self.failing.get(number, 0):
                self.failing[number] -= 1
                raise ValueError(f"no to {number}")
            self.done[event.data.game].append(number)

        @handler(Move, key="game", partitions=3, queue="test.loose", retry=RetryPolicy(max_attempts=3))
        async def follow(event: Event[Move]) -> None:
            number = event.data.number
            if self.failing.get(-number, 0):
                self.failing[-number] -= 1
                raise ValueError(f"no to {number}")
            self.done[f"loose {event.data.game}"].append(number)

        self.play, self.follow = play, follow


@pytest.fixture
def moves() -> Moves:
    return Moves()


async def publish(harness: Harness, *numbers: int, games: tuple[str, ...] = ("a", "b")) -> None:
    for number in numbers:
        for game in games:
            await harness.publish(Move(game=game, number=number if game == "a" else number + 100))


async def test_without_strict_a_retry_leaves_the_line(moves: Moves) -> None:
    moves.failing = {-2: 1}
    async with Harness(moves.follow) as harness:
        await publish(harness, 1, 2, 3, games=("a",))
        await harness.finish()
        assert moves.done["loose a"] == [1, 3, 2]


async def test_what_follows_an_event_that_is_retried_waits_for_it(moves: Moves) -> None:
    moves.failing = {2: 2}
    async with Harness(moves.play) as harness:
        await publish(harness, 1, 2, 3, 4)
        await harness.settle()
        assert dict(moves.done) == {"a": [1], "b": [101, 102, 103, 104]}
        assert await waiting(harness) == {"test.test_order_in_harness.play": 2}
        await publish(harness, 5, games=("a",))
        await harness.finish()
        assert moves.done["a"] == [1, 2, 3, 4, 5]
        assert moves.attempts[3] == 1
        assert await waiting(harness) == {}
        assert await harness.sql("SELECT * FROM warren_blocks") == []
        # Nothing that waited counts as an attempt.
        assert await harness.sql("SELECT max(attempts) FROM warren_records WHERE attempts != 3") == [(1,)]


async def test_what_follows_a_dead_letter_waits_until_it_is_given_up(moves: Moves) -> None:
    moves.failing = {2: 99}
    async with Harness(moves.play) as harness:
        await publish(harness, 1, 2, 3, 4)
        await harness.finish()
        (dead,) = harness.dead_letters(count=1)
        assert dict(moves.done) == {"a": [1], "b": [101, 102, 103, 104]}
        plan = await archiving.plan_archive(harness.database, Filter(ids=(dead.id,)))
        await archiving.archive(harness.database, plan, operator=Operator("test"))
        await harness.settle()
        assert moves.done["a"] == [1, 3, 4]
        await publish(harness, 5, games=("a",))
        await harness.settle()
        assert moves.done["a"] == [1, 3, 4, 5]


async def waiting(harness: Harness) -> dict[str, int]:
    return await harness.database.read(held.counts)
