"""The kinds of operations that a worker can perform, by name."""

from __future__ import annotations

from engine.runtime.kind import Kind
from engine.runtime.performing import Performance
from engine.runtime.redriving import Redrive
from engine.runtime.replaying import Replay
from engine.runtime.stream_replaying import StreamPerformance, StreamReplay

#: An operation of a kind that is not here was ordered by a newer program; it is left to newer workers.
KINDS: dict[str, Kind] = {kind.name: kind for kind in (Redrive(), Replay(), StreamReplay())}

_PERFORMANCES: dict[str, type[Performance]] = {StreamReplay.name: StreamPerformance}


def performance_of(kind: str) -> type[Performance]:
    """What performs an operation of a kind."""
    return _PERFORMANCES.get(kind, Performance)
