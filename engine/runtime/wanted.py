"""What a worker with certain handlers needs on the broker."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import PluginError
from engine.model.handler import HandlerSpec, assign_queues
from engine.model.subjects import Role
from engine.model.topology import (
    Exchange,
    Route,
    Topology,
    delay_topology,
    handler_topology,
    journal_topology,
    merge,
    query_topology,
)
from engine.settings import Kept


def topology(
    app: str, specs: Sequence[HandlerSpec], exchange: str, journal: Sequence[str] = (), stream: Kept | None = None
) -> Topology:
    """All that a worker with these handlers needs on the broker.

    `exchange` is for handlers that name none, and for the journal, whose patterns are `journal`; `stream` has them go to a stream.
    """
    owners = assign_queues(app, specs)
    routes = [
        # A command comes straight to its queue: nothing is bound.
        Route(
            queue,
            spec.exchange if spec.exchange_named else exchange,
            spec.patterns if spec.role is Role.EVENT else (),
            spec.partitions,
        )
        for queue, spec in owners.items()
        if spec.role is not Role.QUERY
    ]
    return merge(
        Topology(exchanges=(Exchange(exchange),)),
        handler_topology(app, routes),
        delay_topology(app),
        query_topology([queue for queue, spec in owners.items() if spec.role is Role.QUERY]),
        journal_topology(app, exchange, journal, stream),
    )


def chosen(app: str, specs: Sequence[HandlerSpec], queues: Sequence[str]) -> list[HandlerSpec]:
    """The handlers of these queues, all without any; raises `PluginError` for a queue that none of them owns."""
    if not queues:
        return list(specs)
    known = {spec.queue_for(app): spec for spec in specs}
    unknown = [queue for queue in queues if queue not in known]
    if unknown:
        raise PluginError(f"No handler owns the queue {unknown[0]}", hint=f"There are: {', '.join(sorted(known))}.")
    return [known[queue] for queue in dict.fromkeys(queues)]
