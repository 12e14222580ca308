"""How projections are put into cells and lines. Pure; times in seconds since the epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from engine.operations.text import visible
from monitor.drawing import tones
from monitor.drawing.figures import UNKNOWN, age, count, counted, duration, rate
from monitor.failures.wording import State, moment
from monitor.reading.lines import EMPTY, Line, Part, columns, line
from monitor.table.columns import Cell, Column

if TYPE_CHECKING:
    from engine.operations.projections import CopyState, ProjectionState

#: Seconds that events may wait for a projection before it is worth a warning.
SLOW = 60.0
#: `engine.operations.projections.COUNTED`: of more it is only known that they are more.
COUNTED = 100_000

STATES = {
    "running": State(tones.GOOD, "running", "good"),
    "failing": State(tones.BAD, "stopped", "bad"),
    "paused": State(tones.PAUSED, "paused", "warn"),
    "unattended": State(tones.WARN, "no worker", "warn"),
    "outdated": State(tones.WARN, "outdated", "warn"),
}


class ProjectionRow(NamedTuple):
    """A projection, and how fast its live copy and its rebuilt one move, in events a second."""

    state: ProjectionState
    rate: float | None
    rebuild_rate: float | None

    @property
    def name(self) -> str:
        """Its name."""
        return self.state.name


def shown_state(copy: CopyState) -> State:
    """The state of a copy: a glyph and a word."""
    return STATES.get(copy.state, State("·", copy.state, ""))


def behind(copy: CopyState) -> str:
    """How many events are still to come."""
    return count(copy.behind) + ("+" if copy.behind >= COUNTED else "")


def behind_words(copy: CopyState) -> str:
    """The same with its noun."""
    return f"{behind(copy)} event{'' if copy.behind == 1 else 's'}"


def table_columns(app: str) -> list[Column[ProjectionRow]]:
    """The columns of the list."""
    return [
        Column("name", "PROJECTION", lambda row: _name(row, app), width=28, grow=2, most=48, sort=True),
        Column("state", "STATE", _state, width=17, grow=1, most=34, sort=True),
        Column("behind", "BEHIND", _behind, width=7, right=True, sort=True, down=True),
        Column("lag", "LAG", _lag, width=4, right=True, sort=True, down=True),
        Column("rate", "EV/s", lambda row: Cell(rate(row.rate), "" if row.rate else "muted"), width=5, right=True),
        Column("error", "LAST ERROR", _error, width=14, grow=3, rank=1),
        Column("position", "POSITION", lambda row: f"{row.state.live.position:,}", width=9, right=True, rank=2),
        Column("applied", "APPLIED", lambda row: count(row.state.live.applied), width=7, right=True, rank=4),
        Column("skipped", "SKIPPED", _skipped, width=7, right=True, rank=3),
        Column("version", "VERSION", lambda row: str(row.state.live.version), width=7, right=True, rank=5),
    ]


#: What the list can be sorted by.
SORTS: dict[str, Callable[[ProjectionRow], object]] = {
    "name": lambda row: row.name,
    "state": lambda row: list(STATES).index(row.state.live.state) if row.state.live.state in STATES else 9,
    "behind": lambda row: row.state.live.behind,
    "lag": lambda row: row.state.live.behind_s,
}


def searched(row: ProjectionRow) -> str:
    """What a filter looks in."""
    state = row.state
    return " ".join((state.name, state.live.state, shown_state(state.live).word, *state.patterns, *state.tables))


def _name(row: ProjectionRow, app: str) -> Sequence[Cell]:
    shown = shown_state(row.state.live)
    return [Cell(f"{shown.glyph} ", shown.tone), Cell(row.name.removeprefix(f"{app}."))]


def _state(row: ProjectionRow) -> Sequence[Cell]:
    state = row.state
    shown = shown_state(state.live)
    word = (
        f"at {state.live.failed['position']:,}" if state.live.failed and state.live.state == "failing" else shown.word
    )
    found = [Cell(word if word == shown.word else f"{shown.word} {word}", shown.tone)]
    if state.rebuild is not None:
        again = shown_state(state.rebuild)
        stands = state.rebuild.state not in ("running", state.live.state)
        found.append(Cell(f"  {again.glyph if stands else '↻'} rebuild", again.tone if stands else "info"))
    return found


def _behind(row: ProjectionRow) -> Cell:
    live = row.state.live
    return Cell(behind(live), "warn" if live.behind_s > SLOW else "" if live.behind else "muted")


def _lag(row: ProjectionRow) -> Cell:
    live = row.state.live
    if not live.behind:
        return Cell("0", "muted")
    return Cell(age(live.behind_s) if live.behind_s >= 1 else "0", "warn" if live.behind_s > SLOW else "")


def _error(row: ProjectionRow) -> Cell:
    failed = row.state.live.failed or (row.state.rebuild.failed if row.state.rebuild is not None else None)
    return Cell("" if failed is None else str(failed["error"]), "bad")


def _skipped(row: ProjectionRow) -> Cell:
    return Cell(count(row.state.live.skipped), "warn" if row.state.live.skipped else "muted")


# --- one, to read -----------------------------------------------------------------------------


def lines(row: ProjectionRow, now: float) -> list[Line]:
    """All that is known of a projection."""
    state = row.state
    shown = shown_state(state.live)
    found = [
        line(Part(visible(state.name), "title")),
        line(Part(f"{shown.glyph} {shown.word}", shown.tone), f"   {_looked_after(state)}"),
        EMPTY,
        *columns(
            (
                ("events", visible(", ".join(state.patterns))),
                ("tables", visible(", ".join(state.tables)) or "none declared: it cannot be rebuilt"),
                ("version", _version(state)),
                *copy_facts(state.live, row.rate),
            )
        ),
        *trouble(state.live, now),
    ]
    if state.live.state == "outdated":
        said = (
            f"The code here has version {state.declared}: b rebuilds its tables, and until then this one stands still."
        )
        found += [EMPTY, line(Part(said, "warn"))]
    if state.rebuild is not None:
        again = shown_state(state.rebuild)
        found += [
            EMPTY,
            line(Part(f"─ Rebuilt beside it, tables {visible(state.rebuild.suffix)} ", "title")),
            line(Part(f"{again.glyph} {again.word}", again.tone)),
            *columns(copy_facts(state.rebuild, row.rebuild_rate)),
            *trouble(state.rebuild, now),
        ]
    return found


def copy_facts(copy: CopyState, pace: float | None) -> list[tuple[str, str]]:
    """How far a copy is."""
    lag = f", the oldest for {duration(copy.behind_s)}" if copy.behind and copy.behind_s >= 1 else ""
    return [
        ("position", f"{copy.position:,}"),
        ("behind", f"{behind_words(copy)}{lag}"),
        ("rate", f"{rate(pace)} events/s" if pace is not None else UNKNOWN),
        ("applied", f"{copy.applied:,}"),
        ("stale", f"{copy.stale:,}" if copy.stale else ""),
        ("skipped", f"{copy.skipped:,}" if copy.skipped else ""),
    ]


def trouble(copy: CopyState, now: float) -> list[Line]:
    """Why a copy stands still."""
    found: list[Line] = []
    if copy.pause is not None:
        told = copy.pause
        since = f" for {age(max(now - float(told['since']), 0.0))}" if "since" in told else ""
        why = f": {told['why']}" if told.get("why") else ""
        found.append(line(Part(visible(f"‖ paused{since} by {told.get('who', '?')}{why}"), "warn")))
    if copy.failed is not None:
        failed = copy.failed
        again = float(failed["retry_at"])
        when = f"again in {duration(again - now)}" if again > now else "again now"
        what = f"event {failed['position']:,}, {failed['event_type']} {failed['event_id']}"
        tried = f"tried {counted(int(failed['attempts']), 'time')}, {when}"
        found += [
            EMPTY,
            line(Part(visible(f"✗ it stands at {what}"), "bad")),
            line(Part(f"  {tried}; K leaves the event out, e shows it", "muted")),
            *(line(Part(f"  {each}", "bad")) for each in visible(str(failed["error"]), lines=True).split("\n")),
        ]
    return found


def _version(state: ProjectionState) -> str:
    here = "not declared by the plugins here" if state.declared is None else f"{state.declared} here"
    return f"{state.live.version}, {here}, begun {moment(state.live.created, 0.0)}"


def _looked_after(state: ProjectionState) -> str:
    return f"looked after by {visible(state.worker)}" if state.worker else "nobody looks after it"
