"""Turn the deliveries that are done into as few ack frames as possible."""

from __future__ import annotations

from collections.abc import Iterable

from engine.brokers.rabbitmq.encode import ack_frame, nack_frame


class Ledger:
    """Which delivery tags of one channel are settled.

    Tags count from 1 without gaps, so everything up to the end of a gapless run of settled
    ones can go in one frame with `multiple`.
    """

    __slots__ = ("_channel", "_floor", "_settled")

    def __init__(self, channel: int) -> None:
        self._channel = channel
        self._floor = 0  # all up to it are settled
        self._settled: set[int] = set()  # beyond the floor

    def settled_to(self, tag: int) -> bool:
        """Whether all tags up to this one are settled."""
        return self._floor >= tag

    def ack(self, tags: Iterable[int]) -> bytes:
        """The frames that ack these; tags settled before are left out."""
        upto, single = self._settle(tags)
        channel = self._channel
        frames = [ack_frame(channel, upto, True)] if upto else []
        frames += [ack_frame(channel, tag, False) for tag in single]
        return b"".join(frames)

    def nack(self, tags: Iterable[int], requeue: bool) -> bytes:
        """The frames that nack these; tags settled before are left out."""
        upto, single = self._settle(tags)
        channel = self._channel
        frames = [nack_frame(channel, upto, True, requeue)] if upto else []
        frames += [nack_frame(channel, tag, False, requeue) for tag in single]
        return b"".join(frames)

    def _settle(self, tags: Iterable[int]) -> tuple[int, list[int]]:
        """The last tag of the run from the floor (0 when there is none), and the tags beyond it."""
        floor, settled = self._floor, self._settled
        fresh = sorted({tag for tag in tags if tag > floor and tag not in settled})
        upto = position = 0
        for position, tag in enumerate(fresh):  # noqa: B007 - used after the loop
            while settled and floor + 1 in settled:
                floor += 1
                settled.discard(floor)
            if tag != floor + 1:
                break
            floor = upto = tag
        else:
            position = len(fresh)
        single = fresh[position:]
        settled.update(single)
        while settled and floor + 1 in settled:
            floor += 1
            settled.discard(floor)
        self._floor = floor
        return upto, single
