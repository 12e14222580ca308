"""Ask for the depths of many queues at once: passive declares in one write, their answers taken in order."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

from aiormq.abc import ChannelFrame
from pamqp import commands

from engine.brokers.base import Depth
from engine.brokers.rabbitmq.content import method_of
from engine.brokers.rabbitmq.link import Channel
from engine.brokers.rabbitmq.tap import METHOD, Sink

_counts = Struct(">II").unpack_from

DECLARE_OK = 0x0032000B
#: Queues asked for in one write.
CHUNK = 64


class CountSink(Sink):
    """Keeps the depths of so many queues, up to the first that is missing: with that answer the channel closes.

    The last answer goes on to aiormq, which asked for it.
    """

    def __init__(self, wanted: int) -> None:
        self.depths: list[Depth] = []
        self._wanted = wanted

    def frame(self, kind: int, data: bytes, at: int, end: int) -> bytes | None:
        if kind == METHOD and method_of(data, at) == DECLARE_OK:
            self.depths.append(Depth(*_counts(data, at + 5 + data[at + 4])))
            if len(self.depths) < self._wanted:
                return None
        return super().frame(kind, data, at, end)


async def count(channel: Channel, queues: Sequence[str], timeout: float) -> None:
    """Ask for them, at least one, and wait until all is answered; a `CountSink` on the channel has the answers."""
    *others, last = queues
    frames = [commands.Queue.Declare(queue=queue, passive=True) for queue in others]
    await channel.write(ChannelFrame.marshall(channel.number, frames).payload, timeout)
    await channel.amqp.queue_declare(last, passive=True)
