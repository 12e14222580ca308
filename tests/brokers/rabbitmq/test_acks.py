"""The ledger: every tag is settled once, in few frames, and `multiple` reaches nobody else's."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from engine.brokers.rabbitmq.acks import Ledger
from engine.brokers.rabbitmq.encode import SETTLE_SIZE


def frames(data: bytes) -> list[tuple[int, int, bool]]:
    """(method, tag, multiple) of each frame."""
    found = []
    for at in range(0, len(data), SETTLE_SIZE):
        _, channel, size, _, method, tag, bits, end = struct.unpack_from(">BHIHHQBB", data, at)
        assert (channel, size, end) == (9, 13, 0xCE)
        found.append((method, tag, bool(bits & 1)))
    return found


def test_a_whole_batch_is_one_frame() -> None:
    assert frames(Ledger(9).ack(range(1, 101))) == [(80, 100, True)]


def test_a_gap_keeps_multiple_back() -> None:
    ledger = Ledger(9)
    assert frames(ledger.ack([1, 2, 4, 5])) == [(80, 2, True), (80, 4, False), (80, 5, False)]
    assert frames(ledger.ack([3])) == [(80, 3, True)]
    assert frames(ledger.ack([6, 7])) == [(80, 7, True)]


def test_nothing_is_settled_twice() -> None:
    ledger = Ledger(9)
    ledger.ack([1, 3])
    assert ledger.ack([1, 3, 3]) == b""
    assert frames(ledger.nack([2, 3], requeue=True)) == [(120, 2, True)]


@given(st.permutations(range(1, 41)), st.lists(st.integers(1, 8), min_size=40, max_size=40))
def test_any_order(order: list[int], sizes: list[int]) -> None:
    ledger, open_tags = Ledger(9), set(range(1, 41))
    while order:
        batch, order = set(order[: sizes[0]]), order[sizes[0] :]
        sizes = sizes[1:]
        settled: set[int] = set()
        for _, tag, multiple in frames(ledger.ack(batch)):
            assert tag in open_tags - settled  # the broker closes the channel for any other
            settled |= {each for each in open_tags if each <= tag} if multiple else {tag}
        assert settled == batch
        open_tags -= settled
    assert not open_tags
