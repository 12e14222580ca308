"""What the handlers ask of the broker, and how to get there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.brokers.base import Broker
from engine.model.delay import RUNGS, rung_queue
from engine.model.handler import HandlerSpec
from engine.model.topology import STREAM_SUFFIX, Difference, Topology, due_name
from engine.operations.operator import Operator
from engine.runtime.wanted import topology
from engine.settings import Kept


def wanted(
    app: str, specs: Sequence[HandlerSpec], exchange: str, journal: Sequence[str] = (), stream: Kept | None = None
) -> Topology:
    """All that a worker with these handlers declares.

    `exchange` is for handlers that name none, and for the journal, whose patterns are `journal`; `stream` has them go to a stream.
    """
    return topology(app, specs, exchange, journal, stream)


async def apply(broker: Broker, topology: Topology, *, operator: Operator) -> None:
    """Declare what is missing; what is there stays as it is. Raises `ReadOnly` and `TopologyMismatch`."""
    operator.allow("declare queues")
    await broker.declare(topology)


def without_delays(app: str, topology: Topology) -> Topology:
    """The same without the delay rungs, the due queue, and dead-letter queues: what a person thinks of."""
    ours = {due_name(app), *(rung_queue(app, ms) for ms in RUNGS)}
    queues = tuple(queue for queue in topology.queues if queue.name not in ours and not queue.name.endswith(".dlq"))
    names = {queue.name for queue in queues}
    return replace(
        topology, queues=queues, bindings=tuple(binding for binding in topology.bindings if binding.queue in names)
    )


def advice(difference: Difference) -> str:
    """The next step for one difference."""
    if difference.problem == "missing":
        return "What is missing is declared by `warren topology apply`, or by a worker when it starts."
    if difference.kind == "exchange":
        return (
            f"The exchange {difference.name} cannot be changed in place. Name another one (setting `exchange`, or exchange= of "
            "the handler), or stop its publishers, delete it, and run `warren topology apply`."
        )
    if difference.name.endswith(STREAM_SUFFIX):
        return (
            f"The stream {difference.name} keeps what it was declared with. Set `stream_retention` and `stream_max_bytes` as they were; on "
            "RabbitMQ a policy (max-age, max-length-bytes) can shorten it. Or delete it, with the events in it: "
            f"`warren topology delete {difference.name}`; then a worker declares it anew."
        )
    return (
        f"The queue {difference.name} cannot be changed in place. Stop the workers and run `warren topology migrate "
        f"{difference.name}`: it is made anew, and what is in it and what comes meanwhile is kept. Or give the handler another "
        "queue=, and let the old queue run empty."
    )
