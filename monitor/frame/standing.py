"""How things stand, as the second line of the header says it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from monitor.drawing import tones
from monitor.drawing.figures import age
from monitor.drawing.tones import Tone

if TYPE_CHECKING:
    from typing import TypeAlias

    from monitor.source.link import Standing
    from monitor.source.source import Source

    Piece: TypeAlias = tuple[str, Tone]


def standing(source: Source, *, held: bool, width: int) -> tuple[list[Piece], list[Piece]]:
    """What stands at the left and at the right of the line."""
    now = source.now()
    left: list[Piece] = [(f" {source.settings.app[:24]} ", "strong")]
    left += link("broker", source.broker_state, now)
    left += link("database", source.database_state, now)
    left += workers(source)
    right: list[Piece] = []
    if source.read_only:
        right.append(("read-only  ", "warn"))
    if held:
        right.append((f"{tones.PAUSED} held, p goes on  ", "warn"))
    if width >= 110 and source.cost:
        right.append((f"read in {source.cost}  ", "muted"))
    right.append((time.strftime("%H:%M:%S ", time.localtime(now)), "muted"))
    return left, right


def link(name: str, standing: Standing, now: float) -> list[Piece]:
    """A link: a glyph and its name, and a word and its age unless all is well."""
    if standing.word == "up":
        return [(f" {tones.GOOD} ", "good"), (f"{name} ", "")]
    lasts = age(max(now - standing.since, 0))
    if standing.word == "lost":
        return [(f" {tones.BAD} {name} lost {lasts} ", "bad")]
    return [(f" {tones.IDLE} {name} {standing.word} ", "warn" if now - standing.since > 2 else "muted")]


def workers(source: Source) -> list[Piece]:
    """How many workers live."""
    fleet = source.fleet
    if fleet is None:
        return []
    alive = sum(worker.alive for worker in fleet.workers)
    words = "1 worker" if alive == 1 else f"{alive:,} workers"
    if not alive:
        return [(f" {tones.BAD} no worker ", "bad")]
    return [(f" {tones.GOOD} ", "good"), (f"{words} ", "")]
