"""Lines: of what has one key the first is at work, and the others wait behind it in the order in which they came."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Lines(Generic[T]):
    """Items in line, by key."""

    def __init__(self) -> None:
        self._heads: dict[str, T] = {}
        self._behind: dict[str, deque[T]] = {}

    def join(self, key: str, item: T) -> bool:
        """Take a place in the line; whether it is the first."""
        if key not in self._heads:
            self._heads[key] = item
            return True
        self._behind.setdefault(key, deque()).append(item)
        return False

    def head(self, key: str) -> T | None:
        """The first in line."""
        return self._heads.get(key)

    def leave(self, key: str) -> T | None:
        """The first in line leaves; who is first now."""
        del self._heads[key]
        behind = self._behind.get(key)
        if behind is None:
            return None
        self._heads[key] = head = behind.popleft()
        if not behind:
            del self._behind[key]
        return head

    def drop_waiting(self, unwanted: Callable[[T], bool]) -> list[T]:
        """Take these out of their lines, in their order. The first of a line stays."""
        dropped: list[T] = []
        for key, behind in list(self._behind.items()):
            kept = deque(item for item in behind if not unwanted(item))
            if len(kept) == len(behind):
                continue
            dropped += [item for item in behind if unwanted(item)]
            if kept:
                self._behind[key] = kept
            else:
                del self._behind[key]
        return dropped

    def __len__(self) -> int:
        return len(self._heads) + sum(map(len, self._behind.values()))
