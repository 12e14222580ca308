"""Archiving failures, taking an act back, and deleting what is archived."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, case, delete, func, select, update
from sqlalchemy.sql import ColumnElement

from engine.model.failure import Status
from engine.storage import edits, failure_fields, tables
from engine.storage.listed import within

_failures = tables.failures
_messages = tables.failed_messages


def archive(connection: Connection, ids: Sequence[int], act: str, now: float) -> list[int]:
    """Archive those of these failures that are not archived; their ids."""
    found = _locked(connection, ids, archived=False)
    connection.execute(
        update(_failures)
        .where(within(_failures.c.id, found))
        .values(archived_from=_failures.c.status, status=str(Status.ARCHIVED), archived_by=act, changed=now)
    )
    return found


def restore(connection: Connection, ids: Sequence[int], act: str | None, now: float) -> list[int]:
    """Give those of these failures that are archived the status they had; their ids.

    With `act` only those that this act archived.
    """
    found = _locked(connection, ids, archived=True, act=act)
    connection.execute(
        update(_failures)
        .where(within(_failures.c.id, found))
        .values(
            # One that was archived before acts were known was open, or was redriven.
            status=_before(),
            archived_from=None,
            archived_by=None,
            changed=now,
        )
    )
    return found


def remove(connection: Connection, ids: Sequence[int]) -> list[int]:
    """Delete those of these failures that are archived, with their messages and edits; their ids."""
    found = _locked(connection, ids, archived=True)
    failure_fields.remove(connection, found)
    edits.remove(connection, found)
    connection.execute(delete(_messages).where(within(_messages.c.failure_id, found)))
    connection.execute(delete(_failures).where(within(_failures.c.id, found)))
    return found


def _before() -> ColumnElement[str]:
    return func.coalesce(
        _failures.c.archived_from,
        case((_failures.c.redriven_run.is_(None), str(Status.OPEN)), else_=str(Status.REDRIVEN)),
    )


def _locked(connection: Connection, ids: Sequence[int], *, archived: bool, act: str | None = None) -> list[int]:
    is_archived = _failures.c.status == str(Status.ARCHIVED)
    statement = select(_failures.c.id).where(within(_failures.c.id, ids), is_archived if archived else ~is_archived)
    if act is not None:
        statement = statement.where(_failures.c.archived_by == act)
    return list(connection.scalars(statement.order_by(_failures.c.id).with_for_update()))
