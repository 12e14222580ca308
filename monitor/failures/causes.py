"""Causes of failure, as a table lists them: groups with one fingerprint, of the failures that a filter leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from monitor.failures.listing import parsed
from monitor.table.loaded import LoadedListing

if TYPE_CHECKING:
    from engine.operations.failing import Causes
    from engine.operations.failures import Group
    from monitor.source.source import Source

#: Causes that are listed, the largest.
MOST = 500
#: Parts of the last day in the sparkline of a cause: two hours each.
PARTS = 12
DAY = 86400.0


class CauseListing(LoadedListing["Group"]):
    """The causes of those failures that match a filter."""

    SORTS: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "count": lambda group: group.total,
        "last": lambda group: -group.last_seen,
        "first": lambda group: -group.first_seen,
        "cause": lambda group: f"{group.latest.exception} {group.latest.message}",
        "handler": lambda group: group.latest.handler,
    }
    ORDER: ClassVar[tuple[str, bool]] = ("count", True)

    def __init__(self, source: Source, *, filter: str = "", order: tuple[str, bool] | None = None) -> None:
        super().__init__(filter=filter, order=order)
        self._source = source
        self._causes: Causes | None = None
        parsed(source, filter)

    async def read(self) -> Sequence[Group]:
        """The largest causes."""
        if self._causes is None:
            from engine.operations.failing import Causes

            self._causes = Causes(limit=MOST, masking=self._source.masking, buckets=PARTS, span=DAY)
        wanted = parsed(self._source, self.filter)
        return await self._causes.look(self._source.database(), wanted, self._source.now())

    def forget(self) -> None:
        """The next look reads all of it anew."""
        self._causes = None

    def key(self, row: Group) -> str:
        """The fingerprint."""
        return row.fingerprint

    def narrowed(self, text: str) -> CauseListing:
        """The causes of those failures that match another filter."""
        return CauseListing(self._source, filter=text, order=self.order)

    def again(self, order: tuple[str, bool]) -> CauseListing:
        """These causes in another order."""
        return CauseListing(self._source, filter=self.filter, order=order)
