"""One failed message in lines to read: what happened, the body, the traceback, the headers, its history."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from engine.operations.text import visible
from monitor.drawing.figures import counted, duration
from monitor.failures.wording import ago, cause, moment, state
from monitor.reading.lines import Line, Part, Role, columns, line
from monitor.reading.sections import Section, body_part, headers_part

if TYPE_CHECKING:
    from engine.operations.failures import FailureDetail, FailureRow

_FRAME = re.compile(r'  File "(?P<file>.*)", line (?P<line>\d+), in (?P<name>.*)')
#: What is in the paths of frames that are not of the user's own code.
_FOREIGN = ("/site-packages/", "/lib/python", "<frozen ", "<string>", "/engine/runtime/")


class Moment(NamedTuple):
    """Something that happened to a message, for its history."""

    at: float
    what: str
    role: Role = ""


def headline(row: FailureRow) -> list[Line]:
    """What failed and why, in two lines."""
    what = " · ".join(part for part in (row.handler or row.queue, row.event_type) if part)
    where = state(row)
    return [
        line(Part(visible(cause(row)), "bad")),
        line(Part(visible(what), "strong"), "  ", Part(str(where), where.tone)),
    ]


def facts(row: FailureRow, now: float) -> list[Line]:
    """Where it failed, when, and how often."""
    span = row.last_failed - row.first_failed
    tried = counted(row.attempts, "attempt") + (f" in {duration(span)}" if span >= 1 else "")
    return columns(
        (label, visible(value))
        for label, value in (
            ("failure", f"#{row.id}"),
            ("reason", row.reason),
            ("failed", f"{moment(row.last_failed, now)}, {ago(row.last_failed, now)}, {tried}"),
            ("queue", row.queue),
            ("event", row.event_id),
            ("sent to", f"{row.exchange or '(default exchange)'} {row.routing_key}"),
            ("correlation", row.correlation_id or ""),
            ("worker", row.worker),
            ("cause", row.fingerprint),
        )
    )


def body_section(detail: FailureDetail) -> Section:
    """The body as it was sent, masked, laid out and cut."""
    return body_part(detail.original.body, whole="`x` exports it whole")


def traceback_section(detail: FailureDetail, *, every: bool = False) -> Section:
    """The traceback. Frames that are not of the user's own code are only counted, unless `every` is wanted."""
    text = visible(detail.traceback.rstrip(), lines=True)
    if not text:
        return Section("Traceback", "none", [])
    frames = _frames(text)
    folded = not every and any(frame.own for frame in frames) and not all(frame.own for frame in frames)
    return Section("Traceback", "`f` shows every frame" if folded else "", list(_shown_frames(frames, folded)))


class _Frame(NamedTuple):
    """Lines of a traceback that belong together; `own`: of the user's own code, or of no code at all."""

    lines: list[str]
    own: bool
    is_frame: bool


def _frames(text: str) -> list[_Frame]:
    frames: list[_Frame] = []
    for each in text.split("\n"):
        found = _FRAME.fullmatch(each)
        if found is not None:
            own = not any(part in found["file"].replace("\\", "/") for part in _FOREIGN)
            frames.append(_Frame([each], own, True))
        elif each.startswith("    ") and frames and frames[-1].is_frame:
            frames[-1].lines.append(each)
        else:
            frames.append(_Frame([each], True, False))
    return frames


def _shown_frames(frames: Sequence[_Frame], folded: bool) -> Iterator[Line]:
    left_out = 0
    for frame in [*frames, _Frame([], True, False)]:
        if folded and not frame.own:
            left_out += 1
            continue
        if left_out:
            yield line(Part(f"  ⋯ {counted(left_out, 'frame')} of Warren and libraries", "muted"))
            left_out = 0
        last = frame is frames[-1]
        for place, each in enumerate(frame.lines):
            if folded and not each.strip(" ^~"):  # marks below a line that may be folded mark nothing
                continue
            if frame.is_frame:
                role: Role = "muted" if not frame.own else "strong" if place == 0 else ""
                yield line(Part(each, role))
            else:
                yield line(Part(each, "bad" if last else "muted"))


def headers_section(detail: FailureDetail) -> Section:
    """The headers and properties as they came."""
    return headers_part(detail.original)


def history_section(moments: Sequence[Moment], now: float) -> Section:
    """What happened to it, oldest first."""
    ordered = sorted(moments, key=lambda each: each.at)
    dates = [moment(each.at, now) for each in ordered]
    widest = max(map(len, dates), default=0)
    return Section(
        "History",
        "",
        [
            line(Part(f"{date:>{widest}}  ", "label"), Part(visible(each.what), each.role))
            for date, each in zip(dates, ordered, strict=True)
        ],
    )


def attempts(row: FailureRow) -> list[Moment]:
    """The history that the failure itself tells."""
    found = [Moment(row.first_failed, f"failed for the first time (run {row.run})")] if row.attempts > 1 else []
    found.append(Moment(row.last_failed, f"given up after {counted(row.attempts, 'attempt')}: {row.reason}", "bad"))
    if row.redriven_run is not None:
        where = state(row)
        found.append(Moment(row.changed, f"sent again as run {row.redriven_run}: {where}", where.tone))
    return found
