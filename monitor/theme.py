"""Two themes of our own: calm grounds, few colours, each of which says something."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="warren-dark",
    primary="#7aa2c8",
    secondary="#8a9bb0",
    accent="#c8a4e0",
    success="#86c29c",
    warning="#e0b66c",
    error="#e88388",
    foreground="#d4d8de",
    background="#15181d",
    surface="#1c2027",
    panel="#262b34",
    dark=True,
    variables={
        "footer-key-foreground": "#7aa2c8",
        "input-selection-background": "#7aa2c8 35%",
        "scrollbar": "#313844",
        "scrollbar-hover": "#465061",
        "scrollbar-active": "#7aa2c8",
        "scrollbar-background": "#191d23",
        "scrollbar-background-hover": "#191d23",
        "scrollbar-background-active": "#191d23",
    },
)

LIGHT = Theme(
    name="warren-light",
    primary="#2f6da3",
    secondary="#5a6b7d",
    accent="#7a4fa0",
    success="#2e7d4f",
    warning="#96690a",
    error="#b3383f",
    foreground="#2a2f36",
    background="#fbfaf7",
    surface="#f1efe9",
    panel="#e6e3da",
    dark=False,
    variables={
        "footer-key-foreground": "#2f6da3",
        "scrollbar": "#d2cec3",
        "scrollbar-hover": "#b9b4a6",
        "scrollbar-active": "#2f6da3",
        "scrollbar-background": "#f1efe9",
        "scrollbar-background-hover": "#f1efe9",
        "scrollbar-background-active": "#f1efe9",
    },
)

THEMES = (DARK, LIGHT)
