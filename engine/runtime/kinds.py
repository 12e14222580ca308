"""The kinds of operations that a worker can perform, by name."""

from __future__ import annotations

from engine.runtime.kind import Kind
from engine.runtime.redriving import Redrive
from engine.runtime.replaying import Replay

#: An operation of a kind that is not here was ordered by a newer program; it is left to newer workers.
KINDS: dict[str, Kind] = {kind.name: kind for kind in (Redrive(), Replay())}
