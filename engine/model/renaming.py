"""Putting other names in the place of tables in SQL, so that a projection is rebuilt beside the live one.

What SQLAlchemy renders and what a user writes by hand are treated alike: words and quoted identifiers are replaced,
strings, comments, parameters and what stands behind a dot are not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from engine.errors import UsageError

_TOKEN = re.compile(
    r"""
      (?P<leave>
          '(?:[^']|'')*'                       # a string
        | --[^\n]* | /\*.*?\*/                 # a comment
        | (?P<tag>\$[A-Za-z_]*\$).*?(?P=tag)   # a string of PostgreSQL's
        | %\(\w+\)[sbt] | ::?\s*\w+            # a parameter, a cast
        | \.\s*(?:\w+|"(?:[^"]|"")*")          # behind a dot: a column
        | \d\w*
      )
    | (?P<quoted>"(?:[^"]|"")*")
    | (?P<word>[^\W\d]\w*)
    """,
    re.VERBOSE | re.DOTALL,
)
_NAME = r'("(?:[^"]|"")*"|\w+)(\s*\.\s*("(?:[^"]|"")*"|\w+))?'
_WRITES = re.compile(
    rf"\s*(?:(?:INSERT|REPLACE)\s+(?:OR\s+\w+\s+)?INTO|UPDATE\s+(?:OR\s+\w+\s+)?(?:ONLY\s+)?|DELETE\s+FROM(?:\s+ONLY)?)\s*{_NAME}",
    re.IGNORECASE,
)


class Renaming:
    """Rewrites SQL. `names` are the tables' names and what to put there, `owner` is who may write no other table.

    Without `names` nothing is checked or replaced. Calling it raises `UsageError` for a write to another table.
    """

    def __init__(self, names: Mapping[str, str], owner: str) -> None:
        self.names = dict(names)
        self._lower = {name.lower(): new for name, new in names.items()}
        self._owner = owner
        self._rewritten = lru_cache(maxsize=256)(self._rewrite)

    def __call__(self, sql: str) -> str:
        """The SQL with the other names."""
        return self._rewritten(sql) if self.names else sql

    def _rewrite(self, sql: str) -> str:
        self._check(sql)
        if all(name == new for name, new in self.names.items()):
            return sql
        return rename(sql, self.names)

    def _check(self, sql: str) -> None:
        found = _WRITES.match(sql)
        if found is None:
            return
        target = found[1][1:-1] if found[1].startswith('"') else found[1].lower()
        known = self.names if found[1].startswith('"') else self._lower
        if target.startswith("warren_"):
            return  # the checkpoint itself
        if found[2] or target not in known:
            raise UsageError(
                f"the projection {self._owner} writes {found[0].split(maxsplit=1)[-1]}, which is none of its tables",
                hint=f"Name it in tables=[…]; declared are {', '.join(self.names)}.",
            )


def rename(sql: str, names: Mapping[str, str]) -> str:
    """The SQL with other names: `names` tells what to put in the place of which."""
    lower = {name.lower(): new for name, new in names.items()}

    def put(token: re.Match[str]) -> str:
        if token["quoted"]:
            new = names.get(token["quoted"][1:-1].replace('""', '"'))
        elif token["word"]:
            new = lower.get(token["word"].lower())
        else:
            return token[0]
        return token[0] if new is None else f'"{new}"'

    return _TOKEN.sub(put, sql)
