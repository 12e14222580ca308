"""Fields set from the command line: `data.total=9.50`, `data.lines[0].sku=A-1`, `data.paid:=true`."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any, NamedTuple

from engine.errors import DecodingError, UsageError
from engine.model import json_text
from engine.model.difference import Path, join_path

_STEP = re.compile(r'\.?(?:"((?:[^"\\]|\\.)*)"|([^\s.\[\]"]+))|\[(\d{1,6})\]')

#: Longest path, in steps.
_LONGEST = 64


class Assignment(NamedTuple):
    """A field and what it becomes. `is_json`: the text is JSON, whatever stood there before."""

    keys: Path
    text: str
    is_json: bool


def parse_assignment(said: str) -> Assignment:
    """What stands behind `--set`. Raises `UsageError`."""
    found = re.match(r'((?:"(?:[^"\\]|\\.)*"|[^"=])+?)(:?=)', said, re.DOTALL)
    if found is None:
        raise UsageError(f"not an assignment: {said!r}", hint="Write data.total=9.50, or data.paid:=true for JSON.")
    return Assignment(parse_path(found[1].strip()), said[found.end() :], found[2] == ":=")


def parse_path(said: str) -> Path:
    """The steps of `data.lines[0].sku`; a name with other characters stands in quotes. Raises `UsageError`."""
    keys: list[str | int] = []
    at = 0
    while at < len(said):
        step = _STEP.match(said, at)
        if step is None or (at == 0 and step[0][0] in ".[") or len(keys) >= _LONGEST:
            raise UsageError(f"not a field: {said!r}", hint='Write data.order_id, data.lines[0].sku or data."a b".')
        quoted, bare, index = step.groups()
        keys.append(int(index) if index is not None else bare if bare is not None else re.sub(r"\\(.)", r"\1", quoted))
        at = step.end()
    if not keys:
        raise UsageError("a field has a name", hint="Write data.order_id=17.")
    return tuple(keys)


def assign(value: Any, assignment: Assignment) -> Any:
    """The value with the field set; missing objects on the way are made. Raises `UsageError`.

    A text stays a text, whatever it looks like; anywhere else what reads as JSON becomes that.
    """
    changed = deepcopy(value)
    holder, last = _reach(changed, keys := _rooted(value, assignment.keys), make=True)
    there = int(last) < len(holder) if isinstance(holder, list) else last in holder
    new = _read(assignment, holder[last] if there else None)
    if isinstance(holder, list) and not there:
        if int(last) > len(holder):
            raise UsageError(f"there is no {join_path(keys)}", hint=f"The list has {len(holder)} elements.")
        holder.append(new)
    else:
        holder[last] = new
    return changed


def unset(value: Any, keys: Path) -> Any:
    """The value without this field; as it is where there is none."""
    changed = deepcopy(value)
    try:
        holder, last = _reach(changed, _rooted(value, keys), make=False)
        del holder[last]
    except (UsageError, LookupError):
        return value
    return changed


def _rooted(value: Any, keys: Path) -> Path:
    """The way to the field in the body: `data` is the body itself where that has no envelope."""
    enveloped = isinstance(value, dict) and ("eventType" in value or "specversion" in value)
    return keys[1:] if len(keys) > 1 and keys[0] == "data" and not enveloped else keys


def _reach(value: Any, keys: Path, *, make: bool) -> tuple[Any, Any]:
    """What holds the last step of the way, and that step."""
    for at, key in enumerate(keys):
        fits = isinstance(value, list) if isinstance(key, int) else isinstance(value, dict)
        if not fits:
            belongs = "a list" if isinstance(key, int) else "an object"
            raise UsageError(
                f"{join_path(keys[:at]) or 'the body'} is not {belongs}", hint="`warren failures show` has it."
            )
        if at == len(keys) - 1:
            return value, key
        if isinstance(key, int) and key >= len(value):
            raise UsageError(f"there is no {join_path(keys[: at + 1])}", hint=f"The list has {len(value)} elements.")
        if make and isinstance(key, str) and key not in value:
            value[key] = {}
        value = value[key]
    raise UsageError("a field has a name")


def _read(assignment: Assignment, before: Any) -> Any:
    if isinstance(before, str) and not assignment.is_json:
        return assignment.text
    try:
        return json_text.read(assignment.text)
    except (ValueError, DecodingError) as error:
        if not assignment.is_json:
            return assignment.text
        raise UsageError(
            f"{join_path(assignment.keys)}: {assignment.text!r} is not JSON: {error}",
            hint='Behind := stands JSON: 9.50, true, null, "text", {…}. Behind = stands text as it is.',
        ) from None
