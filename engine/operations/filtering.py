"""The filter language, for whoever types: what there is, what a text means, and a filter as text."""

from __future__ import annotations

from engine.errors import FilterError
from engine.model.failure import Status
from engine.model.filter import Filter
from engine.model.filtering import TERMS, Term, compose, parse

__all__ = ("TERMS", "Filter", "FilterError", "Term", "format_filter", "parse_filter", "pointed")


def parse_filter(text: str, *, now: float, status: Status | None = Status.OPEN) -> Filter:
    """What is typed as a filter; `status` holds where it names none, None is any.

    Ages are reckoned from `now`, times without an offset are local. Raises `FilterError`.
    """
    return parse(text, now=now, zone=None, status=status)


def format_filter(wanted: Filter) -> str:
    """The filter as it would be typed; `parse_filter` reads the same from it."""
    return compose(wanted)


def pointed(text: str, error: FilterError) -> str:
    """The filter with marks under what is wrong with it, in two lines."""
    return f"{text}\n{' ' * error.column}{'^' * max(error.width, 1)}"
