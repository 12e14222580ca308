"""Events to and from messages: the one place that knows the forms on the wire."""

from __future__ import annotations

from engine.model.codec.build import RAW, Payloads, build_event, payloads
from engine.model.codec.decode import decode
from engine.model.codec.encode import CONTENT_TYPE, STREAM_VERSION, encode, to_message
from engine.model.codec.envelope import Envelope
from engine.model.codec.strict import LIMITS, Limits, loads

__all__ = (
    "CONTENT_TYPE",
    "LIMITS",
    "RAW",
    "STREAM_VERSION",
    "Envelope",
    "Limits",
    "Payloads",
    "build_event",
    "decode",
    "encode",
    "loads",
    "payloads",
    "to_message",
)
