"""The same fields set in a whole group of failed messages, planned before it is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import UsageError
from engine.model.assignment import Assignment, parse_assignment, parse_path
from engine.model.difference import Path
from engine.model.failure import Status
from engine.model.filter import Filter
from engine.model.masking import UNMASKED, Masking
from engine.operations.checking import Checker
from engine.operations.editing import Proposal, keep, make_draft, set_fields
from engine.operations.operator import Operator
from engine.operations.orders import new_operation_id
from engine.operations.writing import write
from engine.storage import edits, failure_search, failures
from engine.storage.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Failures that are read, or edited, in one transaction.
GROUP = 100


class Patch(NamedTuple):
    """Fields to be set, and fields to be taken away."""

    assignments: tuple[Assignment, ...]
    without: tuple[Path, ...]


class PatchPlan(NamedTuple):
    """What a patch would edit, frozen by ids; why others are left alone; and what becomes of the first, masked."""

    patch: Patch
    ids: tuple[int, ...]
    left: Counter[str]
    sample: Proposal | None


def read_patch(fields: Sequence[str], without: Sequence[str] = ()) -> Patch:
    """A patch as it is typed: `["data.total=9.50"]`. Raises `UsageError`."""
    return Patch(tuple(map(parse_assignment, fields)), tuple(map(parse_path, without)))


async def plan_patch(
    database: Database, wanted: Filter, patch: Patch, *, checker: Checker, masking: Masking
) -> PatchPlan:
    """What the patch would edit of the failures that match. Changes nothing."""
    ids = await database.read(lambda connection: failure_search.select_ids(connection, wanted))
    chosen: list[int] = []
    left: Counter[str] = Counter()
    sample = None
    for start in range(0, len(ids), GROUP):
        chunk = ids[start : start + GROUP]
        found = await database.read(partial(_proposals, ids=chunk, patch=patch, checker=checker, masking=masking))
        for failure_id, proposal in found:
            if isinstance(proposal, str):
                left[proposal] += 1
                continue
            chosen.append(failure_id)
            sample = sample or proposal
    return PatchPlan(patch, tuple(chosen), left, sample)


async def apply_patch(
    database: Database,
    plan: PatchPlan,
    *,
    checker: Checker,
    operator: Operator,
    why: str,
    advance: Callable[[int], None] = lambda _: None,
) -> list[int]:
    """Save an edit for each failure of the plan that is still as it was; those. Raises `ReadOnly`."""
    operator.allow("edit failures")
    saved: list[int] = []
    act = new_operation_id("edit")
    for start in range(0, len(plan.ids), GROUP):
        chunk = plan.ids[start : start + GROUP]
        work = partial(_save, ids=chunk, patch=plan.patch, checker=checker, operator=operator, why=why, act=act)
        saved += await write(database, work)
        advance(len(chunk))
    return saved


def _proposals(
    connection: Connection, *, ids: Sequence[int], patch: Patch, checker: Checker, masking: Masking
) -> list[tuple[int, Proposal | str]]:
    """For each failure what would become of it, or why it is left alone."""
    pending = edits.pending(connection, ids)
    found: list[tuple[int, Proposal | str]] = []
    for detail in failures.get_many(connection, ids):
        row = detail.row
        if row.status is not Status.OPEN:
            found.append((row.id, row.status.value))
            continue
        draft = make_draft(detail, pending.get(row.id), masking)
        try:
            proposal = set_fields(draft, patch.assignments, patch.without, checker)
        except UsageError as error:
            found.append((row.id, error.message))
            continue
        same = not proposal.changes or (draft.edit is not None and proposal.body == draft.edit.edited)
        refused = proposal.problems[0] if proposal.problems else "nothing would change" if same else None
        found.append((row.id, refused or proposal))
    return found


def _save(
    connection: Connection,
    *,
    ids: Sequence[int],
    patch: Patch,
    checker: Checker,
    operator: Operator,
    why: str,
    act: str,
) -> list[int]:
    pending = edits.pending(connection, ids)
    saved: list[int] = []
    for detail in failures.get_many(connection, ids):
        draft = make_draft(detail, pending.get(detail.row.id), UNMASKED)
        try:
            proposal = set_fields(draft, patch.assignments, patch.without, checker)
            if proposal.changes and not proposal.problems:
                keep(connection, draft=draft, proposal=proposal, operator=operator, why=why, act=act)
                saved.append(detail.row.id)
        except UsageError:  # it changed since the plan was made
            continue
    return saved
