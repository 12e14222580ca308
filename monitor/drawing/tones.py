"""Tones: what a colour says, in words. The theme decides which colour that is.

A tone never says a thing alone: without colours the glyph or the word beside it does.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

Tone: TypeAlias = Literal["", "muted", "strong", "good", "warn", "bad", "info", "accent"]

#: The style of each tone, in Textual's words; names with `$` are the theme's.
STYLES: Final[dict[Tone, str]] = {
    "": "",
    "muted": "$foreground 58%",
    "strong": "bold",
    "good": "$text-success",
    "warn": "$text-warning",
    "bad": "bold $text-error",
    "info": "$text-primary",
    "accent": "$text-accent",
}

#: Glyphs of states, one cell wide each. They differ in shape, so that they do without colour.
GOOD: Final = "●"
WARN: Final = "▲"
BAD: Final = "✗"
IDLE: Final = "○"
PAUSED: Final = "‖"
