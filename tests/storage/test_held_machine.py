"""A strict order in the database, step by step beside the pure decisions of engine/model/strict.py."""

from __future__ import annotations

import time
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy import create_engine

from engine.model import strict
from engine.model.message import Message
from engine.model.outgoing import Kind, Outgoing
from engine.storage import held
from engine.storage.held import Waiting
from engine.storage.tables import warren_metadata

QUEUES = ("q", "other")
KEYS = st.sampled_from([(queue, key) for queue in QUEUES for key in ("a", "b")])
EVENTS = st.sampled_from([str(number) for number in range(5)])


class Held(RuleBasedStateMachine):
    """Events arrive, fail and end, each in a transaction of its own, as claims and outcomes do it."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = create_engine("sqlite://")
        warren_metadata.create_all(self.engine)
        self.lines: dict[tuple[str, str], strict.Line] = {}
        self.now = time.time()

    def line(self, key: tuple[str, str]) -> strict.Line:
        return self.lines.get(key, strict.Line())

    @rule(key=KEYS, event=EVENTS)
    def arrives(self, key: tuple[str, str], event: str) -> None:
        event = f"{key[1]}{event}"
        with self.engine.begin() as connection:
            blocked = held.blocked(connection, [key, ("q", "unknown")])
            runs = blocked.by.get(key, event) == event
            assert runs == strict.may_run(self.line(key), event)
            assert not blocked.unsure
            if not runs:
                held.hold(connection, [Waiting(*key, event, row(key[0], event))], self.now)
        self.lines[key] = strict.arrived(self.line(key), event)

    @rule(key=KEYS, event=EVENTS)
    def fails(self, key: tuple[str, str], event: str) -> None:
        event = f"{key[1]}{event}"
        if not strict.may_run(self.line(key), event):
            return  # it was not run
        with self.engine.begin() as connection:
            held.block(connection, [(*key, event)], self.now)
        self.lines[key] = strict.failed(self.line(key), event)

    @rule(key=KEYS, event=EVENTS)
    def ends(self, key: tuple[str, str], event: str) -> None:
        event = f"{key[1]}{event}"
        if not strict.may_run(self.line(key), event):
            return
        after, sent = strict.done(self.line(key), event)
        with self.engine.begin() as connection:
            released = held.advance(connection, [(key[0], event), ("q", "unknown")])
        assert [(pair, found.message.message_id) for pair, found in released] == (
            [] if sent is None else [((key[0], event), sent)]
        )
        self.lines[key] = after

    @invariant()
    def counts_agree(self) -> None:
        with self.engine.begin() as connection:
            found = held.counts(connection)
            for queue in QUEUES:
                waiting = sum(len(line.waiting) for key, line in self.lines.items() if key[0] == queue)
                assert found.get(queue, 0) == waiting
            for key, line in self.lines.items():
                if line.head is not None:
                    assert held.behind(connection, key[0], line.head) == len(line.waiting)

    def teardown(self) -> None:
        with self.engine.begin() as connection:
            kept: list[Any] = [found.message.message_id for found in held.release(connection, QUEUES)]
            assert len(kept) == sum(len(line.waiting) for line in self.lines.values())
            assert held.counts(connection) == {}
        self.engine.dispose()


def row(queue: str, event: str) -> Outgoing:
    return Outgoing(event, Kind.RETRY, "", queue, Message(b"{}", {}, event), True, None, 0.0)


TestHeld = Held.TestCase
TestHeld.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
