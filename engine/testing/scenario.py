"""Aggregates under test, without a broker or a database: given events, when a command, then events.

scenario = Scenario(Account, "a-1").given(AccountOpened(account_id="a-1", owner="alice"))
scenario.when(lambda account: account.deposit(Decimal(5))).then(MoneyDeposited(account_id="a-1", amount=Decimal(5)))
scenario.when(lambda account: account.withdraw(Decimal(9))).then_raises(InsufficientFunds)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, Self, TypeVar

from engine.model.aggregate import Aggregate, standing, stream_of
from engine.model.codec import encode
from engine.model.event import EventData, new_event
from engine.model.folding import dump_state, fold, restore_state

__all__ = ("Scenario",)

A = TypeVar("A", bound=Aggregate)


class _Recorded(NamedTuple):
    version: int
    event_type: str
    body: bytes


class Scenario(Generic[A]):
    """One aggregate, its history, and what a command makes of it.

    Events are written and read back as the log has them. A command is given a fresh aggregate each time, so several can be
    tried on one history; what it emitted joins the history with `given`, and not before.
    """

    def __init__(self, aggregate: type[A], id: str = "1") -> None:
        stream_of(aggregate, id)
        self._class = aggregate
        self._id = id
        self._history: list[EventData] = []
        self._acted: A | None = None
        self._error: Exception | None = None
        #: What the last command returned.
        self.result: Any = None

    def given(self, *events: EventData) -> Self:
        """These events happened, after those of before. Raises what a load would raise."""
        self._history.extend(events)
        self._loaded()
        return self

    def when(self, command: Callable[[A], object]) -> Self:
        """Have a command decide on the aggregate; it may also return a new one, as a factory does."""
        self._acted, self._error, self.result = self._loaded(), None, None
        try:
            self.result = command(self._acted)
        except Exception as error:
            self._error = error
        if isinstance(self.result, self._class):
            self._acted = self.result
        return self

    def then(self, *events: EventData) -> Self:
        """Just these events must have been emitted; none, without any. Raises AssertionError."""
        __tracebackhide__ = True
        if self._error is not None:
            raise AssertionError(f"the command raised {self._error!r}") from self._error
        found = list(self.aggregate.pending)
        if found != list(events):
            raise AssertionError(f"emitted were:\n{_listed(found)}\nwhere there should have been:\n{_listed(events)}")
        self._check_snapshot()
        return self

    def then_raises(self, error: type[Exception], match: str | None = None) -> Self:
        """The command must have refused with this error, and a text that `match`, a regular expression, finds."""
        __tracebackhide__ = True
        if self._error is None:
            raise AssertionError(f"nothing was raised; emitted were:\n{_listed(self.aggregate.pending)}")
        if not isinstance(self._error, error):
            raise AssertionError(f"the command raised {self._error!r}, no {error.__name__}") from self._error
        if match is not None and not re.search(match, str(self._error)):
            raise AssertionError(f"{str(self._error)!r} does not match {match!r}")
        return self

    @property
    def aggregate(self) -> A:
        """The aggregate after the last command, else after its history."""
        return self._loaded() if self._acted is None else self._acted

    def _loaded(self) -> A:
        made = self._class.new(self._id)
        fold(made, [self._recorded(number, data) for number, data in enumerate(self._history, 1)])
        return made

    def _recorded(self, version: int, data: EventData) -> _Recorded:
        event = new_event(data, id=f"event-{version}", now=datetime(2026, 1, 1, tzinfo=UTC))
        about = (event.aggregate_type, event.aggregate_id)
        stream = stream_of(self._class, self._id)
        if None not in about and about != stream:
            raise AssertionError(f"{event.type} is about {event.aggregate_type}/{event.aggregate_id}, not {stream}")
        return _Recorded(version, event.type, encode(event))

    def _check_snapshot(self) -> None:
        """What was emitted must come back from the log, and the state from a snapshot, as they are now."""
        acted = self.aggregate
        if acted.__warren_every__ is None:
            return
        back = restore_state(type(acted), acted.id, standing(acted).next - 1, dump_state(acted))
        if back is None or back.__dict__ != acted.__dict__:
            raise AssertionError(f"a snapshot does not give back {acted!r}, but {back!r}")


def _listed(events: Iterable[EventData]) -> str:
    lines = [f"  {event!r}" for event in events]
    return "\n".join(lines) or "  nothing"
