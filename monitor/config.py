"""What `[tool.warren.monitor]` may say: the theme, the pace, the keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from engine import ConfigurationError
from monitor.keys import every

#: The theme where none is named.
THEME = "warren-dark"
#: Seconds between two refreshes, and what they may be set to.
REFRESH, LEAST_REFRESH, MOST_REFRESH = 1.0, 0.25, 60.0


class Config(NamedTuple):
    """The monitor's own settings. `refresh` is in seconds, `keys` are Textual's names by the id of an action."""

    theme: str = THEME
    refresh: float = REFRESH
    keys: Mapping[str, str] = {}


def read(table: Mapping[str, Any]) -> Config:
    """The settings of a table. Raises `ConfigurationError`, and says what there is instead."""
    for name in table:
        if name not in Config._fields:
            raise _refused(f"there is no setting monitor.{name}", f"There are {', '.join(Config._fields)}.")
    theme = table.get("theme", THEME)
    if not isinstance(theme, str):
        raise _refused("monitor.theme is not a name", "The palette of the monitor lists them (ctrl+p, Theme).")
    refresh = table.get("refresh", REFRESH)
    if not isinstance(refresh, int | float) or not LEAST_REFRESH <= refresh <= MOST_REFRESH:
        raise _refused("monitor.refresh is not a number of seconds from 0.25 to 60", "")
    return Config(theme, float(refresh), _keys(table.get("keys", {})))


def _keys(table: Any) -> Mapping[str, str]:
    known = {name for name, _ in every()}
    if not isinstance(table, Mapping):
        raise _refused(
            "monitor.keys is not a table", '[tool.warren.monitor.keys] holds lines such as "app.quit" = "Q".'
        )
    for name, keys in table.items():
        if name not in known:
            from difflib import get_close_matches

            near = get_close_matches(name, known, n=1)
            raise _refused(
                f"monitor.keys: there is no action {name!r}",
                f"Did you mean {near[0]!r}?" if near else "docs/monitor.md lists them.",
            )
        if not isinstance(keys, str) or not all(key.strip() for key in keys.split(",")):
            raise _refused(f"monitor.keys: {name} names no keys", 'For example "ctrl+r" or "r,f5".')
    return {name: ",".join(key.strip() for key in keys.split(",")) for name, keys in table.items()}


def _refused(message: str, hint: str) -> ConfigurationError:
    return ConfigurationError(message, hint=hint)
