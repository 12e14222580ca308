"""Putting failures away, taking that back, and deleting what was put away.

Each is planned first: the plan freezes the ids, and what is not as planned any more is left alone.
An act has a token; `plan_restore` with that token takes exactly this act back.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from engine.model.failure import Status
from engine.model.filter import Filter
from engine.operations.filtering import format_filter
from engine.operations.operator import Operator
from engine.operations.orders import new_operation_id
from engine.operations.writing import write
from engine.storage import archive as statements
from engine.storage import audit, failure_search, held, outbox
from engine.storage.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Failures changed in one transaction.
GROUP = 500

#: Why failures are left alone.
ARCHIVED_ALREADY, NOT_ARCHIVED, NOT_THERE = "archived already", "not archived", "not there"

#: Changes these failures under a token: those that it did change.
Change = Callable[["Connection", Sequence[int], str, float], list[int]]


class Selection(NamedTuple):
    """What an act would do: to these failures, frozen by their ids. `left` counts the others by why they stay.

    `asked` is the filter in words; `act` is the act that is taken back, if it is one.
    """

    action: str
    ids: tuple[int, ...]
    left: Counter[str]
    asked: str
    act: str | None = None


class Act(NamedTuple):
    """What was done: its token, and the failures that it changed."""

    token: str
    action: str
    ids: list[int]


async def plan_archive(database: Database, wanted: Filter) -> Selection:
    """What `archive` would put away: open failures and redriven ones. Changes nothing."""
    return await _plan(database, wanted, "archive", archived=False)


async def plan_restore(database: Database, wanted: Filter) -> Selection:
    """What `restore` would take out of the archive; `Filter(act=token)` takes an act back. Changes nothing."""
    return await _plan(database, wanted, "restore", archived=True)


async def plan_delete(database: Database, wanted: Filter) -> Selection:
    """What `delete` would delete: failures in the archive. Changes nothing."""
    return await _plan(database, wanted, "delete", archived=True)


async def _plan(database: Database, wanted: Filter, action: str, *, archived: bool) -> Selection:
    """Of the failures that match those that are archived, or those that are not."""

    def work(connection: Connection) -> Selection:
        found = failure_search.select_ids(connection, wanted)
        inside: set[int] = set()
        if wanted.status in (None, Status.ARCHIVED):
            inside.update(failure_search.select_ids(connection, replace(wanted, status=Status.ARCHIVED)))
        chosen = tuple(each for each in found if (each in inside) is archived)
        left = Counter({NOT_ARCHIVED if archived else ARCHIVED_ALREADY: len(found) - len(chosen)})
        if wanted.ids is not None:
            left[NOT_THERE] = len(set(wanted.ids)) - len(found)
        return Selection(action, chosen, +left, format_filter(wanted), wanted.act)

    return await database.read(work)


async def archive(
    database: Database,
    selection: Selection,
    *,
    operator: Operator,
    why: str = "",
    advance: Callable[[int], None] = lambda _: None,
) -> Act:
    """Put failures away: they are left out of lists, and no redrive sends them. Raises `ReadOnly`.

    Where their handler wants a strict order, they are given up: what waits behind them goes on.
    """
    operator.allow("archive failures")
    return await _act(database, selection, _give_up, operator, why, advance)


def _give_up(connection: Connection, ids: Sequence[int], act: str, now: float) -> list[int]:
    """Archive them; what waited behind one in a strict order goes on, sent by whichever worker sees it first."""
    given_up = held.given_up(connection, ids)
    changed = statements.archive(connection, ids, act, now)
    outbox.add(connection, None, [row for _, row in held.advance(connection, given_up)])
    return changed


async def restore(
    database: Database,
    selection: Selection,
    *,
    operator: Operator,
    why: str = "",
    advance: Callable[[int], None] = lambda _: None,
) -> Act:
    """Give archived failures the status they had. Raises `ReadOnly`."""
    operator.allow("restore failures")

    def change(connection: Connection, ids: Sequence[int], _token: str, now: float) -> list[int]:
        return statements.restore(connection, ids, selection.act, now)

    return await _act(database, selection, change, operator, why, advance)


async def delete(
    database: Database,
    selection: Selection,
    *,
    operator: Operator,
    why: str = "",
    advance: Callable[[int], None] = lambda _: None,
) -> Act:
    """Delete archived failures for good, with their messages and edits. Raises `ReadOnly`."""
    operator.allow("delete failures")

    def change(connection: Connection, ids: Sequence[int], _token: str, _now: float) -> list[int]:
        return statements.remove(connection, ids)

    return await _act(database, selection, change, operator, why, advance)


async def _act(
    database: Database,
    selection: Selection,
    change: Change,
    operator: Operator,
    why: str,
    advance: Callable[[int], None],
) -> Act:
    """Change the failures group by group, each with its entry in the audit in one transaction."""
    token = new_operation_id(selection.action)
    changed: list[int] = []
    for chunk in _chunks(selection.ids):
        changed += await write(
            database,
            partial(_group, selection=selection, change=change, token=token, ids=chunk, operator=operator, why=why),
        )
        advance(len(chunk))
    return Act(token, selection.action, changed)


def _group(
    connection: Connection,
    *,
    selection: Selection,
    change: Change,
    token: str,
    ids: Sequence[int],
    operator: Operator,
    why: str,
) -> list[int]:
    now = time.time()
    changed = change(connection, ids, token, now)
    what = {"act": token, "asked": selection.asked, "failures": list(ids)}
    if selection.act is not None:
        what["undone"] = selection.act
    outcome = {"changed": len(changed), "left": len(ids) - len(changed)}
    audit.append(connection, audit.Entry(now, operator.who, f"failures {selection.action}", why, what, outcome))
    return changed


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), GROUP):
        yield ids[start : start + GROUP]
