"""What differs between two JSON values, field by field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

from engine.model.codec.strict import join
from engine.model.json_text import plain

#: How one gets to a value: names of fields, and places in lists.
Path: TypeAlias = tuple[str | int, ...]


class ChangeKind(StrEnum):
    """What became of a field."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Change(NamedTuple):
    """A field that differs. `path` is for people, as `data.lines[2].total`; what is not there is None.

    The place in a list of what was removed is that in the list before, of all else that after.
    """

    path: str
    kind: ChangeKind
    before: Any
    after: Any
    keys: Path


def difference(before: Any, after: Any) -> list[Change]:
    """The changes that make one value of the other, in its order. Numbers are equal when their values are."""
    return list(_changes(before, after, ()))


def apply(value: Any, changes: Sequence[Change]) -> Any:
    """The value after these changes, which `difference` found; `value` is left as it is."""
    holder = [deepcopy(value)]
    removed = [change for change in changes if change.kind is ChangeKind.REMOVED]
    for change in [*(each for each in changes if each.kind is not ChangeKind.REMOVED), *reversed(removed)]:
        target: Any = holder
        keys: list[Any] = [0, *change.keys]
        last = keys.pop()
        for key in keys:
            target = target[key]
        if change.kind is ChangeKind.REMOVED:
            del target[last]
        elif change.kind is ChangeKind.ADDED and isinstance(target, list):
            target.insert(int(last), deepcopy(change.after))
        else:
            target[last] = deepcopy(change.after)
    return holder[0]


def _changes(before: Any, after: Any, path: Path) -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in before:
            if name not in after:
                yield _change(ChangeKind.REMOVED, before[name], None, (*path, name))
        for name, item in after.items():
            if name in before:
                yield from _changes(before[name], item, (*path, name))
            else:
                yield _change(ChangeKind.ADDED, None, item, (*path, name))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _in_lists(before, after, path)
    elif not same(before, after):
        yield _change(ChangeKind.CHANGED, before, after, path)


def _in_lists(before: list[Any], after: list[Any], path: Path) -> Iterator[Change]:
    """What is equal at both ends stays; between them elements are compared place by place."""
    shorter = min(len(before), len(after))
    head = 0
    while head < shorter and same(before[head], after[head]):
        head += 1
    tail = 0
    while tail < shorter - head and same(before[-1 - tail], after[-1 - tail]):
        tail += 1
    both = shorter - tail
    for at in range(head, both):
        yield from _changes(before[at], after[at], (*path, at))
    for at in range(both, len(before) - tail):
        yield _change(ChangeKind.REMOVED, before[at], None, (*path, at))
    for at in range(both, len(after) - tail):
        yield _change(ChangeKind.ADDED, None, after[at], (*path, at))


def same(before: Any, after: Any) -> bool:
    """Whether two values are the same JSON: true is not 1, and the order of fields does not matter."""
    if isinstance(before, dict) and isinstance(after, dict):
        return before.keys() == after.keys() and all(same(before[name], after[name]) for name in before)
    if isinstance(before, list) and isinstance(after, list):
        return len(before) == len(after) and all(map(same, before, after))
    if isinstance(before, bool) or isinstance(after, bool):
        return before is after
    return bool(before == after)


def join_path(keys: Path) -> str:
    """The way to a field as people write it: `data.lines[2].total`."""
    shown = ""
    for key in keys:
        shown = join(shown, key)
    return shown


def _change(kind: ChangeKind, before: Any, after: Any, keys: Path) -> Change:
    return Change(join_path(keys), kind, plain(before), plain(after), keys)
