"""What a worker with certain handlers needs on the broker."""

from __future__ import annotations

from collections.abc import Sequence

from engine.model.handler import HandlerSpec, assign_queues
from engine.model.topology import Exchange, Route, Topology, delay_topology, handler_topology, merge


def topology(app: str, specs: Sequence[HandlerSpec], exchange: str) -> Topology:
    """All that a worker with these handlers needs on the broker; `exchange` is for those that name none."""
    routes = [
        Route(queue, spec.exchange if spec.exchange_named else exchange, spec.patterns)
        for queue, spec in assign_queues(app, specs).items()
    ]
    return merge(Topology(exchanges=(Exchange(exchange),)), handler_topology(app, routes), delay_topology(app))
