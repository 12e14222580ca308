"""Which rows are marked: by their keys, so that no sort, filter or refresh can mark another."""

from __future__ import annotations

from collections.abc import Iterable

from monitor.table.listing import Key


class Marks:
    """A set of keys, and how it is changed."""

    def __init__(self) -> None:
        self._keys: set[Key] = set()

    def __contains__(self, key: Key) -> bool:
        return key in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def keys(self) -> frozenset[Key]:
        """The marked keys at this moment."""
        return frozenset(self._keys)

    def toggle(self, key: Key) -> bool:
        """Mark or unmark one; whether it is marked now."""
        if key in self._keys:
            self._keys.discard(key)
            return False
        self._keys.add(key)
        return True

    def add(self, keys: Iterable[Key]) -> None:
        """Mark all these."""
        self._keys.update(keys)

    def toggle_all(self, keys: Iterable[Key]) -> None:
        """Mark all these, or unmark them when all of them were marked."""
        wanted = set(keys)
        if wanted <= self._keys:
            self._keys -= wanted
        else:
            self._keys |= wanted

    def clear(self) -> None:
        """Unmark everything."""
        self._keys.clear()
