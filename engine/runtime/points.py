"""Named points in the life of a message, where a test may crash or delay the worker.

    claimed        the claim is committed, the handler has not begun
    handled        the handler returned, nothing is committed yet
    committed      the outcome is committed, nothing of it is published or acked yet
    relayed        a message of the outbox is confirmed, its row is not yet removed
    before-ack     all is done but the ack
    decided        that a delayed message which can be cancelled is sent is committed, it is not yet sent
    forwarded      a due message is confirmed by its target, not yet acked
    operated       a group of a recorded operation is committed, nothing of it is published yet
    projected      the function of a projection returned, nothing is committed yet
    routed         messages are confirmed by their partitions, not yet acked in the handler's queue
    buried         a dead letter is in the failures table, not yet acked

`engine.testing.faults` sets the hook; without it a point costs one comparison.
"""

from __future__ import annotations

from collections.abc import Callable

POINTS = (
    "claimed",
    "handled",
    "committed",
    "relayed",
    "before-ack",
    "forwarded",
    "buried",
    "decided",
    "operated",
    "projected",
    "routed",
)

#: Called with the name of the point that was reached.
hook: Callable[[str], None] | None = None


def reach(point: str) -> None:
    """Say that this point was reached."""
    if hook is not None:
        hook(point)
