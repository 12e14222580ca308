"""A list of integers as one parameter: an IN with a parameter each has a limit in every driver."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Text, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class Listed(FunctionElement[int]):
    """The integers of a JSON list, to stand behind IN."""

    inherit_cache = True
    type = BigInteger()

    def __init__(self, values: Sequence[int]) -> None:
        super().__init__(bindparam(None, json.dumps(list(values)), type_=Text, unique=True))


def within(column: ColumnElement[int], values: Sequence[int]) -> ColumnElement[bool]:
    """Whether the column is one of these integers."""
    return column.op("IN", is_comparison=True)(Listed(values))


@compiles(Listed, "sqlite")
def _on_sqlite(element: Listed, compiler: Any, **rest: Any) -> str:
    return f"(SELECT value FROM json_each({compiler.process(element.clauses, **rest)}))"  # noqa: S608  # a placeholder


@compiles(Listed, "postgresql")
def _on_postgresql(element: Listed, compiler: Any, **rest: Any) -> str:
    given = compiler.process(element.clauses, **rest)
    return f"(SELECT value::bigint FROM jsonb_array_elements_text(CAST({given} AS jsonb)) AS value)"  # noqa: S608  # a placeholder
