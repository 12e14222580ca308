"""Which types of events the log has ever seen, found by leaps through the index and not by reading the log."""

from __future__ import annotations

from sqlalchemy import Connection, text

#: So many types are looked at.
MOST = 1000

_LEAP = text(
    "WITH RECURSIVE leap (kind) AS ("
    " SELECT (SELECT min(event_type) FROM warren_events) UNION ALL"
    " SELECT (SELECT min(event_type) FROM warren_events WHERE event_type > leap.kind) FROM leap WHERE kind IS NOT NULL"
    ") SELECT kind FROM leap WHERE kind IS NOT NULL LIMIT :most"
)


def known(connection: Connection) -> list[str]:
    """The types of events that were logged, in order; at most `MOST`."""
    return [str(kind) for kind in connection.scalars(_LEAP, {"most": MOST})]
