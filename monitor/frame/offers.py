"""What the keys do here, as the help and the palette list it: the nearest first, each action once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from monitor.keys import TITLES

if TYPE_CHECKING:
    from textual.app import App
    from textual.binding import ActiveBinding

#: Groups that most screens have; they stand below what a screen has for itself.
_COMMON = ("table", "reading", "page", "app", "places")


class Offer(NamedTuple):
    """An action by its id: its keys as people write them, what it does, and its group."""

    id: str
    group: str
    keys: list[str]
    label: str
    binding: ActiveBinding


def offers(app: App[object], active: Iterable[ActiveBinding]) -> list[Offer]:
    """The actions of these bindings. Those that a screen refuses at the moment are left out."""
    found: dict[str, Offer] = {}
    for one in active:
        name = one.binding.id or one.binding.action
        group = name.partition(".")[0]
        if one.enabled and one.binding.description and not one.binding.system and group in TITLES:
            key = app.get_key_display(one.binding)
            found.setdefault(name, Offer(name, group, [], one.binding.description, one)).keys.append(key)
    for offer in found.values():
        offer.keys.sort(key=_rarity)
    return sorted(found.values(), key=lambda offer: _COMMON.index(offer.group) + 1 if offer.group in _COMMON else 0)


def _rarity(key: str) -> tuple[bool, int]:
    """One letter before the names of keys."""
    return not (len(key) == 1 and key.isascii()), len(key)
