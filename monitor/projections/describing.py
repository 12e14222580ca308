"""A rebuild in lines to read: the plan, how far it is, and how both copies compare. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.operations.text import visible
from monitor.drawing.figures import counted, duration, rate
from monitor.projections.wording import COUNTED, behind_words, shown_state, trouble
from monitor.reading.lines import EMPTY, Line, Part, columns, line

if TYPE_CHECKING:
    from engine.operations.rebuilding import Comparison
    from monitor.projections.rebuild import Course

#: Cells of the bar at most.
_BAR = 60


def plan(course: Course) -> list[str]:
    """What a rebuild would do, in sentences."""
    spec, state = course.spec, course.state
    version = state.live.version if spec is None else spec.version
    tables = ", ".join(state.tables) or "no tables"
    return [
        f"Tables: {tables}, in version {version}.",
        f"They are made anew from the whole log, up to position {course.log:,},",
        "beside the live ones, which stay as they are until the two are swapped.",
        "Workers do the work, and keep the live tables up to date meanwhile.",
    ]


def course_lines(course: Course, compared: Comparison | None, now: float, width: int, *, said: str = "") -> list[Line]:
    """How a rebuild stands, and what can be done next."""
    state, copy = course.state, course.state.rebuild
    found = [line(Part(f"Rebuild {visible(state.name)}", "title")), EMPTY]
    if course.note:
        found.append(line(Part(f"▲ Its code is not known here: {visible(course.note)}", "warn")))
        found.append(line(Part("  So it can neither be begun here, nor compared, nor swapped.", "muted")))
        found.append(EMPTY)
    if copy is None:
        found += [line(Part(visible(said), "good")), EMPTY] if said else []
        found += [line(Part(visible(each), "muted" if said else "")) for each in plan(course)]
        if course.spec is not None and not state.worker:
            found += [EMPTY, *_nobody(state.name)]
        return found
    shown = shown_state(copy)
    done = min(copy.position / course.log, 1.0) if course.log else 1.0
    cells = max(min(width - 8, _BAR), 10)
    full = int(done * cells)
    found += [
        line(Part(f"{shown.glyph} {'caught up' if _level(course) else shown.word}", shown.tone)),
        line(Part("█" * full, "good"), Part("░" * (cells - full), "muted"), f" {int(done * 100):>3}%"),
        EMPTY,
        *columns(
            (
                ("tables", f"…{visible(copy.suffix)}, version {copy.version}"),
                ("position", f"{copy.position:,} of {course.log:,}"),
                ("behind", behind_words(copy)),
                ("rate", f"{rate(course.rate)} events/s" if course.rate is not None else ""),
                ("left", duration(copy.behind / course.rate) if course.rate and 0 < copy.behind < COUNTED else ""),
                ("applied", f"{copy.applied:,}"),
                ("skipped", f"{copy.skipped:,}" if copy.skipped else ""),
            )
        ),
        *trouble(copy, now),
    ]
    if copy.state == "unattended":
        found += [EMPTY, *_nobody(state.name)]
    if said:
        found += [EMPTY, line(Part(visible(said), "info"))]
    elif compared is not None:
        found += [EMPTY, line(Part("─ Compared ", "title")), *comparison_lines(compared)]
    elif _level(course):
        found += [EMPTY, line(Part("It has come to the end of the log: c compares both, w swaps them.", "good"))]
    return found


def comparison_lines(found: Comparison) -> list[Line]:
    """How the tables compare, with a few rows that differ."""
    told = [
        line(Part(("● " if found.same else "▲ ") + each, "good" if found.same else "warn"))
        for each in comparison_words(found)
    ]
    for table in found.tables:
        for one in table.examples:
            told.append(line(Part(f"  {visible(table.table)} {visible(str(one.key))}", "strong")))
            told.append(line(Part(f"    - {visible(str(one.live))}", "minus")))
            told.append(line(Part(f"    + {visible(str(one.rebuilt))}", "plus")))
    return told


def comparison_words(found: Comparison) -> list[str]:
    """How the tables compare, in sentences."""
    words: list[str] = []
    if not found.level:
        words.append(
            f"The live tables are at event {found.live_position:,}, the rebuilt ones at {found.rebuilt_position:,}."
        )
    for each in found.tables:
        if each.same:
            words.append(f"{visible(each.table)}: {counted(each.live, 'row')}, the same in both.")
            continue
        parts = [f"{each.live:,} live and {each.rebuilt:,} rebuilt rows"]
        parts += [f"{number:,} {what}" for number, what in (
            (each.only_live, "only live"), (each.only_rebuilt, "only rebuilt"), (each.changed, "changed"),
        ) if number]  # fmt: skip
        if each.columns:
            parts.append(f"only one of them has the columns {', '.join(each.columns)}")
        words.append(f"{visible(each.table)}: {visible(', '.join(parts))}.")
    return words or ["There are no tables."]


def _nobody(name: str) -> list[Line]:
    return [
        line(Part("▲ No worker looks after it: start one that has its plugin,", "warn")),
        line(Part(f"  or `warren projections rebuild {visible(name)}` does the work itself.", "warn")),
    ]


def _level(course: Course) -> bool:
    copy = course.state.rebuild
    return copy is not None and copy.failed is None and copy.pause is None and not copy.behind
