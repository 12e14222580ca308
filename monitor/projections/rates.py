"""How fast projections move, reckoned from what was seen of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from engine.operations.projections import CopyState, ProjectionState

#: Looks over which a rate is reckoned.
LOOKS = 10

#: A copy by the name of its projection, and its suffix.
Key: TypeAlias = tuple[str, str]


class Rates:
    """Events a second that each copy has dealt with of late."""

    def __init__(self) -> None:
        self._seen: dict[Key, deque[tuple[float, int]]] = {}

    def feed(self, states: Iterable[ProjectionState], now: float) -> None:
        """Take note of how far they are at a time, in seconds."""
        for state in states:
            for copy in (state.live, state.rebuild):
                if copy is not None:
                    self._note(state.name, copy, now)

    def of(self, name: str, copy: CopyState) -> float | None:
        """The rate of a copy, None while it is not known."""
        seen = self._seen.get((name, copy.suffix))
        if not seen or len(seen) < 2 or seen[-1][0] - seen[0][0] < 0.5:
            return None
        (began, first), (ended, last) = seen[0], seen[-1]
        return max(last - first, 0) / (ended - began)

    def _note(self, name: str, copy: CopyState, now: float) -> None:
        seen = self._seen.setdefault((name, copy.suffix), deque(maxlen=LOOKS))
        done = copy.applied + copy.stale + copy.skipped
        if seen and done < seen[-1][1]:
            seen.clear()  # another copy has taken its place
        if not seen or now > seen[-1][0]:
            seen.append((now, done))
