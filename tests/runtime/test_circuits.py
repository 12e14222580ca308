"""A handler's own `circuit=`, beside the setting."""

from __future__ import annotations

import asyncio

import pytest

from engine import Event, EventData, RetryPolicy, handler
from engine.errors import PluginError
from engine.model.circuit import Switch
from engine.testing.harness import Harness

PATIENT = RetryPolicy(max_attempts=50, initial=0.5, multiplier=1, jitter=False)


class Ping(EventData, type="test.ping"):
    number: int


@handler(Ping, retry=PATIENT, circuit=3)
async def touchy(event: Event[Ping]) -> None:
    raise ConnectionError("away")


@handler(Ping, retry=PATIENT, circuit=0)
async def stubborn(event: Event[Ping]) -> None:
    raise ConnectionError("away")


@handler(Ping, retry=PATIENT)
async def usual(event: Event[Ping]) -> None:
    raise ConnectionError("away")


def switches(harness: Harness) -> dict[str, Switch]:
    return {each.name: each.breaker.circuit.switch for each in harness.worker.consumers if each.breaker}


async def test_a_handler_has_the_circuit_that_it_asks_for() -> None:
    async with Harness(touchy, stubborn, usual, circuit=5) as harness:
        await asyncio.gather(*(harness.publish(Ping(number=number)) for number in range(4)))
        async with asyncio.timeout(5):
            while len(harness.retried(stubborn)) < 4 or len(harness.retried(usual)) < 4:
                await asyncio.sleep(0.01)
        found = switches(harness)
        assert found["touchy"] is not Switch.CLOSED
        assert (found["stubborn"], found["usual"]) == (Switch.CLOSED, Switch.CLOSED)


async def test_a_harness_keeps_every_circuit_closed_unless_told_otherwise() -> None:
    async with Harness(touchy) as harness:
        await asyncio.gather(*(harness.publish(Ping(number=number)) for number in range(10)))
        await harness.settle()
        assert len(harness.retried(touchy)) == 10
        assert switches(harness) == {"touchy": Switch.CLOSED}


@pytest.mark.parametrize("circuit", [-1, 1.5, True, "3"])
def test_a_circuit_is_a_number_of_failures(circuit: object) -> None:
    with pytest.raises(PluginError, match="is not a whole number from 0"):
        handler(Ping, circuit=circuit)  # type: ignore[arg-type]
