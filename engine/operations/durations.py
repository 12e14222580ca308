"""Lengths of time as an operator types and reads them."""

from __future__ import annotations

from engine.model.durations import LONGEST, format_duration, parse_duration

__all__ = ("LONGEST", "format_duration", "parse_duration")
