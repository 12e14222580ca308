"""Who only looks changes nothing: every operation that changes something asks the operator first.

None can be forgotten: what writes to the database, or calls a changing method of a broker, is found in
the source of `engine.operations`, and whatever public function leads there must take an operator.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

import engine.operations
from engine.errors import ReadOnly
from engine.operations.masking import UNMASKED
from engine.operations.operator import Operator

#: Methods that change something, by what they are called on.
CHANGING = {
    "broker": {"publish", "declare", "delete_queue", "consume", "get"},
    "database": {"write", "upgrade"},
    "pen": {"transact"},
}

#: Public functions that lead to a change and take no operator, and why that is right.
EXEMPT = {
    "engine.operations.writing.write": "the way all changes go",
    "engine.operations.failures.index": "an index, that nobody sees but by its speed",
    "engine.operations.moving.pump": "a part of move and migrate, which ask",
    "engine.operations.doctor.database.check_database": "takes its turn as a writer, and writes nothing",
}


def modules() -> Iterator[str]:
    for found in pkgutil.walk_packages(engine.operations.__path__, "engine.operations."):
        yield found.name


class Source:
    """The functions of the package by their full names, and what each calls."""

    def __init__(self) -> None:
        self.calls: dict[str, set[str]] = {}
        self.changes: set[str] = set()
        for name in modules():
            module = importlib.import_module(name)
            tree = ast.parse(Path(inspect.getfile(module)).read_text())
            names = self._imported(tree)
            for node in tree.body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    self._read(f"{name}.{node.name}", node, names, name)

    @staticmethod
    def _imported(tree: ast.Module) -> dict[str, str]:
        found: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        return found

    def _read(self, name: str, node: ast.AST, names: dict[str, str], module: str) -> None:
        called = self.calls.setdefault(name, set())
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name):  # also what is handed on
                called.add(names.get(inner.id, f"{module}.{inner.id}"))
            elif isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name):
                called.add(f"{names.get(inner.value.id, inner.value.id)}.{inner.attr}")
            if isinstance(inner, ast.Call) and self._changes(inner):
                self.changes.add(name)

    @staticmethod
    def _changes(call: ast.Call) -> bool:
        function = call.func
        if any(word.arg == "migrate" and getattr(word.value, "value", None) is True for word in call.keywords):
            return True
        if not isinstance(function, ast.Attribute):
            return False
        holder = function.value
        on = holder.id if isinstance(holder, ast.Name) else holder.attr if isinstance(holder, ast.Attribute) else ""
        return function.attr in CHANGING.get(on.lstrip("_"), ())

    def leads_to_a_change(self, name: str, seen: frozenset[str] = frozenset()) -> bool:
        """Whether it does, itself or by others that do not ask."""
        if name in self.changes:
            return True
        for called in self.calls.get(name, ()):
            if called in seen or called not in self.calls or called == name:
                continue
            if asks(called) and not is_private(called):
                continue
            if called in EXEMPT and called != "engine.operations.writing.write":
                continue
            if self.leads_to_a_change(called, seen | {name}):
                return True
        return False


def resolve(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute, None)


def asks(name: str) -> bool:
    found = resolve(name)
    return inspect.isfunction(found) and "operator" in inspect.signature(found).parameters


def is_private(name: str) -> bool:
    return name.rpartition(".")[2].startswith("_")


SOURCE = Source()
ASKING = sorted(name for name in SOURCE.calls if asks(name) and not is_private(name))

#: Parameters that are doors to something that can be changed; the others are values.
DOORS = {"database", "broker", "connection", "url", "app"}


def test_whatever_leads_to_a_change_takes_an_operator() -> None:
    public = [name for name in SOURCE.calls if not is_private(name)]
    forgotten = [name for name in public if SOURCE.leads_to_a_change(name) and not asks(name) and name not in EXEMPT]
    assert forgotten == []


def test_the_search_finds_what_changes() -> None:
    """The test above can fail: known operations lead to a change, and those that only look do not."""
    changing = (
        "archiving.archive",
        "pausing.pause",
        "publishing.publish",
        "topology.apply",
        "moving.move",
        "orphans.delete",
    )
    for name in changing:
        assert SOURCE.leads_to_a_change(f"engine.operations.{name}"), name
        assert f"engine.operations.{name}" in ASKING
    for name in ("failures.page", "archiving.plan_archive", "pausing.shut", "auditing.entries", "editing.draft"):
        assert not SOURCE.leads_to_a_change(f"engine.operations.{name}"), name


def test_what_is_exempt_is_there() -> None:
    assert [name for name in EXEMPT if resolve(name) is None] == []


class Untouchable:
    """Stands for a door, which must not be opened before the operator is asked."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"it touched .{name} before it asked")


@pytest.mark.parametrize("name", ASKING)
async def test_each_refuses_before_it_touches_anything(name: str) -> None:
    function: Callable[..., Any] = resolve(name)
    signature = inspect.signature(function)
    given: dict[str, Any] = {
        each.name: Untouchable() if each.name in DOORS else MagicMock()
        for each in signature.parameters.values()
        if each.default is each.empty and each.name not in ("operator", "masking")
    }
    given["operator"] = Operator("bert@web-1", read_only=True)
    if "masking" in signature.parameters:
        given["masking"] = UNMASKED  # masked, an export changes nothing and tells nothing
    with pytest.raises(ReadOnly, match="read-only"):
        result = function(**given)
        if inspect.isasyncgen(result):
            await anext(result)
        elif isinstance(result, AbstractAsyncContextManager):
            await result.__aenter__()
        else:
            await result
