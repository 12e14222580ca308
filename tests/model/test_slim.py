"""What a message can spare when a broker cannot carry it, and in which order."""

from __future__ import annotations

from engine.model.headers import RUN, TRACEBACK
from engine.model.message import Message
from engine.model.slim import LONG, slimmer


def test_long_and_strange_headers_go_first_then_all_foreign_ones() -> None:
    kept = {RUN: 2, "cloudEvents:type": "x" * (LONG + 1)}
    message = Message(
        b"body",
        {
            **kept,
            TRACEBACK: "…" * 100,
            "short": "value",
            "long": "x" * (LONG + 1),
            "nan": float("nan"),
            "deep": {"a": {"b": 1}},
            "number": 1.5,
        },
        message_id="m-1",
    )
    first = slimmer(message)
    assert first is not None
    assert first.headers == {**kept, "short": "value", "number": 1.5}
    assert (first.body, first.message_id) == (b"body", "m-1")
    second = slimmer(first)
    assert second is not None
    assert second.headers == kept
    assert slimmer(second) is None


def test_a_message_without_foreign_headers_has_nothing_to_spare() -> None:
    assert slimmer(Message(b"body")) is None
    assert slimmer(Message(b"body", {RUN: 1})) is None
