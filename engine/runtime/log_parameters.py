"""Parameters of handlers for the log of events: `log: EventLog`, and `accounts: Repository[Account]`."""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Any

from engine.model.aggregate import Aggregate

if TYPE_CHECKING:
    from engine.runtime.depends import Source

_NAMES = ("EventLog", "Repository")


def log_source(annotation: Any) -> Source | None:
    """What fills a parameter of this type in a handler's transaction; None for another type."""
    kind = typing.get_origin(annotation) or annotation
    # The name is asked first, to import storage only on use.
    if not isinstance(kind, type) or kind.__name__ not in _NAMES:
        return None
    from engine.runtime.event_log import EventLog
    from engine.runtime.places import WithinHandler
    from engine.runtime.repository import Repository

    if kind is EventLog:
        return lambda event, ctx, session, given: EventLog(WithinHandler(session, ctx))
    aggregate = next(iter(typing.get_args(annotation)), None)
    if kind is Repository and isinstance(aggregate, type) and issubclass(aggregate, Aggregate):
        return lambda event, ctx, session, given: Repository(aggregate, EventLog(WithinHandler(session, ctx)))
    return None
