"""The suite catches brokers that lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from engine.brokers.base import Depth
from engine.brokers.embedded import EmbeddedBroker
from engine.brokers.embedded.subscription import EmbeddedSubscription
from engine.errors import BrokerError
from engine.model.message import Delivery, Publication
from engine.model.topology import Binding, Topology
from engine.testing.conformance import CHECKS, Check, NotConforming, run_all

Receive = Callable[[Delivery], None]

BY_NAME = {check.__name__.removeprefix("check_"): check for check in CHECKS}


class LosesOne(EmbeddedBroker):
    """Confirms what it never kept."""

    async def publish(self, publications: Sequence[Publication]) -> list[BrokerError | None]:
        kept = [publication for publication in publications if publication.message.message_id != "7777"]
        results = await super().publish(kept)
        return results + [None] * (len(publications) - len(kept))


class DoublesOne(EmbeddedBroker):
    async def publish(self, publications: Sequence[Publication]) -> list[BrokerError | None]:
        again = [publication for publication in publications if publication.message.message_id == "7777"]
        return (await super().publish([*publications, *again]))[: len(publications)]


class SaysNothingOfTheUnroutable(EmbeddedBroker):
    async def publish(self, publications: Sequence[Publication]) -> list[BrokerError | None]:
        return [None for _ in await super().publish(publications)]


class MixesUpResults(EmbeddedBroker):
    """As aio-pika does when two messages of one id are in flight."""

    async def publish(self, publications: Sequence[Publication]) -> list[BrokerError | None]:
        return (await super().publish(publications))[::-1]


class KeepsNoBound(EmbeddedBroker):
    async def consume(self, queue: str, *, prefetch: int, receive: Receive) -> EmbeddedSubscription:
        return await super().consume(queue, prefetch=prefetch * 2, receive=receive)


class ForgetsTheFlag(EmbeddedBroker):
    async def consume(self, queue: str, *, prefetch: int, receive: Receive) -> EmbeddedSubscription:
        def receive_unmarked(delivery: Delivery) -> None:
            receive(replace(delivery, redelivered=False))

        return await super().consume(queue, prefetch=prefetch, receive=receive_unmarked)


class KnowsNoTime(EmbeddedBroker):
    async def consume(self, queue: str, *, prefetch: int, receive: Receive) -> EmbeddedSubscription:
        def receive_timeless(delivery: Delivery) -> None:
            receive(replace(delivery, message=replace(delivery.message, timestamp=None)))

        return await super().consume(queue, prefetch=prefetch, receive=receive_timeless)


class TakesHashForStar(EmbeddedBroker):
    async def declare(self, topology: Topology) -> None:
        bindings = [Binding(each.exchange, each.queue, each.pattern.replace("#", "*")) for each in topology.bindings]
        await super().declare(replace(topology, bindings=tuple(bindings)))


class CountsWhatIsOut(EmbeddedBroker):
    async def depths(self, queues: Sequence[str]) -> dict[str, Depth | None]:
        found = await super().depths(queues)
        return {name: depth and Depth(depth.ready + depth.consumers, depth.consumers) for name, depth in found.items()}


class ChangesHeaders(EmbeddedBroker):
    async def publish(self, publications: Sequence[Publication]) -> list[BrokerError | None]:
        for publication in publications:
            publication.message.headers = {**publication.message.headers, "mine": 1}
        return await super().publish(publications)


@pytest.mark.parametrize(
    ("broker", "caught_by"),
    [
        (LosesOne, "ten_thousand_messages"),
        (DoublesOne, "ten_thousand_messages"),
        (SaysNothingOfTheUnroutable, "unroutable"),
        (MixesUpResults, "equal_ids_are_not_mixed_up"),
        (MixesUpResults, "results_belong_to_their_messages"),
        (KeepsNoBound, "prefetch"),
        (ForgetsTheFlag, "nack_requeues"),
        (TakesHashForStar, "topic_routing"),
        (CountsWhatIsOut, "depths"),
        (KnowsNoTime, "content_survives"),
        (ChangesHeaders, "publishing_leaves_the_message_alone"),
    ],
)
async def test_a_lie_is_caught(
    broker: type[EmbeddedBroker], caught_by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.testing.conformance.bed.PATIENCE", 0.5)
    monkeypatch.setattr("engine.testing.conformance.load._STALL", 0.5)
    with pytest.raises((NotConforming, ExceptionGroup)) as caught:
        await BY_NAME[caught_by](lambda: broker(tmp_path / "broker.db"))
    if isinstance(caught.value, ExceptionGroup):
        assert caught.group_contains((NotConforming, TimeoutError))


async def test_all_that_fails_is_reported_with_its_name(tmp_path: Path) -> None:
    checks: list[Check] = [BY_NAME["unroutable"], BY_NAME["depths"], BY_NAME["default_exchange"]]
    with pytest.raises(ExceptionGroup, match="1 of 3 conformance checks failed") as caught:
        await run_all(lambda: SaysNothingOfTheUnroutable(tmp_path / "broker.db"), checks)
    (failure,) = caught.value.exceptions
    assert failure.__notes__ == ["in the check check_unroutable"]
    await run_all(lambda: EmbeddedBroker(tmp_path / "broker.db"), checks)


def test_every_check_is_in_the_suite_once_and_says_what_it_checks() -> None:
    assert len(BY_NAME) == len(CHECKS) >= 39
    assert all(check.__doc__ for check in CHECKS)
