"""Which handler's session the present task runs in, so that nobody waits for others while it holds a transaction."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from engine.errors import UsageError

if TYPE_CHECKING:
    from engine.storage.session import AsyncSession

held: ContextVar[AsyncSession | None] = ContextVar("warren_session", default=None)


def refuse_to_wait(what: str) -> None:
    """Raise `UsageError` within the transaction of a handler's session."""
    session = held.get()
    if session is not None and session.touched:
        raise UsageError(
            f"{what} within the transaction of a handler's session, which would be held until the reply comes",
            hint="Ask before the first statement of the session, or send a command and go on when its event comes.",
        )
