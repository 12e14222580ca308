"""Editing a failed message before it is redriven.

    draft ─▶ propose (as often as one likes) ─▶ save ─▶ redrive, or revert

The failure keeps its original. A saved edit waits until a redrive sends it; both bodies, the difference,
who and why stay in the table of edits.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import DecodingError, UsageError
from engine.model import json_text
from engine.model.assignment import Assignment, assign, parse_assignment, parse_path, unset
from engine.model.difference import Change, ChangeKind, difference
from engine.model.failure import Status
from engine.model.masking import Masking
from engine.model.message import Message
from engine.model.placeholders import Placeholders
from engine.operations.checking import NO_MODELS, Checker
from engine.operations.masking import mask_detail
from engine.operations.operator import Operator
from engine.operations.writing import write
from engine.storage import audit, edits, failures
from engine.storage.database import Database
from engine.storage.edits import Edit, EditState, NewEdit
from engine.storage.failures import FailureDetail

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = (
    "Change", "Draft", "Edit", "EditError", "EditState", "Proposal", "draft", "edit_changes", "edit_dict", "history", "propose",
    "propose_body", "propose_fields", "revert", "save", "shown_edit",
)  # fmt: skip


class EditError(UsageError):
    """An edited text cannot be read. `line` and `column` count from 0, None where it is not known."""

    def __init__(self, message: str, *, hint: str = "", line: int | None = None, column: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Draft:
    """A failed message to be edited. `detail` and the texts are masked, all else is not: never show it.

    `kind` is `json`, `text` (what should be JSON and is not) or `bytes`, which have no text. `text` is what
    is edited, from the edit that waits if there is one; `original_text` is the message as it failed.
    """

    detail: FailureDetail
    kind: str
    text: str
    original_text: str
    edit: Edit | None
    message: Message = field(repr=False)
    placeholders: Placeholders = field(repr=False)
    masking: Masking = field(repr=False)

    @property
    def current(self) -> bytes:
        """The body as a redrive would send it now."""
        return self.message.body if self.edit is None else self.edit.edited


class Proposal(NamedTuple):
    """What an edit would amount to. `changes`, masked, are those against the original.

    With `problems` it cannot be saved; `notes` say what could not be checked, and why.
    """

    body: bytes
    changes: tuple[Change, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


async def draft(database: Database, failure_id: int, *, masking: Masking) -> Draft:
    """The message of a failure, to be edited. Raises `UsageError` when there is none of this id."""

    def work(connection: Connection) -> Draft | None:
        detail = failures.get(connection, failure_id)
        if detail is None:
            return None
        return make_draft(detail, edits.pending(connection, [failure_id]).get(failure_id), masking)

    found = await database.read(work)
    if found is None:
        raise UsageError(
            f"there is no failure {failure_id}", hint="`warren failures list --status all` shows their ids."
        )
    return found


def make_draft(detail: FailureDetail, edit: Edit | None, masking: Masking) -> Draft:
    """A draft of what was read."""
    bodies = [detail.original.body, *([edit.edited] if edit is not None else [])]
    try:
        texts = [body.decode() for body in bodies]
    except UnicodeDecodeError:
        texts = [""] * len(bodies)
        kind = "bytes"
        placeholders = Placeholders(masking)
    else:
        placeholders = Placeholders(masking, *texts)
        kind, texts = _texts(bodies, texts, placeholders)
    return Draft(
        mask_detail(detail, masking), kind, texts[-1], texts[0], edit, detail.original, placeholders, masking
    )  # fmt: skip


def _texts(bodies: Sequence[bytes], plain: list[str], placeholders: Placeholders) -> tuple[str, list[str]]:
    try:
        values = [json_text.parse(body) for body in bodies]
    except DecodingError:
        return "text", [placeholders.hide_text(text) for text in plain]
    return "json", [json_text.write(placeholders.hide(value), indent=2) for value in values]


def propose(draft: Draft, text: str, checker: Checker | None = None) -> Proposal:
    """What the edited text amounts to. Raises `EditError` for one that cannot be read, or with a placeholder too many."""
    if draft.kind == "bytes":
        raise EditError("the body is not text", hint="Replace it whole: `warren failures edit ID --body @file`.")
    try:
        value = json_text.read(text)
    except json.JSONDecodeError as error:
        raise EditError(
            f"not JSON: {error.msg}, line {error.lineno}, column {error.colno}",
            line=error.lineno - 1,
            column=error.colno - 1,
        ) from None
    except RecursionError:
        raise EditError("not JSON that can be sent: it nests too deep") from None
    except DecodingError as error:
        raise EditError(f"not JSON that can be sent: {error.message}") from None
    return _proposal(draft, json_text.write(draft.placeholders.restore(value)).encode(), checker)


def propose_body(draft: Draft, body: bytes, checker: Checker | None = None) -> Proposal:
    """What this whole body amounts to, byte for byte; placeholders mean nothing in it."""
    return _proposal(draft, body, checker)


def propose_fields(
    draft: Draft,
    fields: Mapping[str, str] | Sequence[str] = (),
    checker: Checker | None = None,
    *,
    without: Sequence[str] = (),
) -> Proposal:
    """What setting fields amounts to: `{"data.total": "9.50"}` or `["data.total=9.50", "data.paid:=true"]`.

    A text stays a text. `without` are fields to take away. Raises `UsageError` for a field that cannot be.
    """
    said = [f"{path}={text}" for path, text in fields.items()] if isinstance(fields, Mapping) else fields
    return set_fields(draft, [parse_assignment(each) for each in said], [parse_path(each) for each in without], checker)


def set_fields(
    draft: Draft, assignments: Sequence[Assignment], without: Sequence[tuple[str | int, ...]], checker: Checker | None
) -> Proposal:
    """The same from what was read of it."""
    try:
        value = json_text.parse(draft.current)
    except DecodingError as error:
        raise UsageError(f"the body has no fields: {error.message}", hint="Replace it whole: --body @file.") from None
    for assignment in assignments:
        value = assign(value, assignment)
    for keys in without:
        value = unset(value, keys)
    return _proposal(draft, json_text.write(value).encode(), checker)


def _proposal(draft: Draft, body: bytes, checker: Checker | None) -> Proposal:
    changes = _changes(draft.message.body, body)
    if not changes:
        return Proposal(draft.message.body, (), (), ())
    checked = (checker or NO_MODELS).check(draft.detail.row, draft.message, body)
    return Proposal(body, tuple(map(draft.masking.change, changes)), checked.problems, checked.notes)


def _changes(before: bytes, after: bytes) -> list[Change]:
    try:
        return difference(json_text.parse(before), json_text.parse(after))
    except DecodingError:
        if before == after:
            return []
        old, new = (body.decode("utf-8", "replace") for body in (before, after))
        return [Change("(the whole body)", ChangeKind.CHANGED, old, new, ())]


async def save(database: Database, draft: Draft, proposal: Proposal, *, operator: Operator, why: str) -> Edit:
    """Keep the edit until a redrive sends it. Raises `ReadOnly`, and `UsageError` where it cannot be kept:

    it has problems, changes nothing, or the failure is no longer open, or was edited by somebody else meanwhile.
    """
    operator.allow("edit a failure")
    if proposal.problems:
        raise UsageError(f"the edit would fail again: {proposal.problems[0]}", hint="Nothing was saved.")
    if not proposal.changes:
        hint = "Nothing was saved." if draft.edit is None else f"`warren failures edit {draft.detail.row.id} --revert`"
        raise UsageError("the body is as it was sent", hint=hint)
    return await write(database, partial(keep, draft=draft, proposal=proposal, operator=operator, why=why))


def keep(
    connection: Connection, *, draft: Draft, proposal: Proposal, operator: Operator, why: str, act: str | None = None
) -> Edit:
    """Write the edit and its entry in the audit, in one transaction. `act` is the patch it belongs to. Raises as `save`."""
    operator.allow("edit a failure")
    row, now = draft.detail.row, time.time()
    status = failures.lock_status(connection, row.id)
    if status is not Status.OPEN:
        is_now = "deleted" if status is None else status.value
        raise UsageError(
            f"failure {row.id} is {is_now} by now", hint="Only an open failure is edited. Nothing was saved."
        )
    there = edits.pending(connection, [row.id]).get(row.id)
    if (there and there.id) != (draft.edit and draft.edit.id):
        whose = "reverted" if there is None else f"edited by {there.who}"
        raise UsageError(f"failure {row.id} was {whose} meanwhile", hint="Nothing was saved. Look at it again.")
    real = _changes(draft.message.body, proposal.body)
    new = NewEdit(row.id, draft.message.body, proposal.body, json.dumps([_change_dict(change) for change in real]))
    edit = edits.add(connection, new, who=operator.who, why=why, now=now)
    what: dict[str, Any] = {"failure": row.id, "event_id": row.event_id, "fields": [change.path for change in real]}
    if act is not None:
        what["act"] = act
    audit.append(connection, audit.Entry(now, operator.who, "failures edit", why, what, {"edit": edit.id}))
    return edit


async def revert(database: Database, failure_id: int, *, operator: Operator, why: str) -> bool:
    """Drop the edit that waits: the original is sent again. False when there was none. Raises `ReadOnly`."""
    operator.allow("revert an edit")

    def work(connection: Connection) -> bool:
        now = time.time()
        if not edits.end(connection, [failure_id], EditState.REVERTED, now=now):
            return False
        audit.append(connection, audit.Entry(now, operator.who, "failures revert", why, {"failure": failure_id}, {}))
        return True

    return await write(database, work)


async def history(database: Database, failure_id: int) -> list[Edit]:
    """All edits of a failure, the newest first; their bodies are not masked."""
    return await database.read(lambda connection: edits.history(connection, failure_id))


def shown_edit(edit: Edit, masking: Masking) -> tuple[str, str]:
    """Original and edited body of an edit as they may be shown, one secret the same placeholder in both."""
    placeholders = Placeholders(masking)
    try:
        before, after = _texts(
            [edit.original, edit.edited], [edit.original.decode(), edit.edited.decode()], placeholders
        )[1]
    except UnicodeDecodeError:
        return f"({len(edit.original):,} bytes)", f"({len(edit.edited):,} bytes)"
    return before, after


def edit_changes(edit: Edit, masking: Masking) -> list[Change]:
    """The fields that an edit changed, masked."""
    return [masking.change(change) for change in _changes(edit.original, edit.edited)]


def edit_dict(edit: Edit, masking: Masking) -> dict[str, Any]:
    """An edit for programs, masked: keys are stable."""
    return {
        "id": edit.id,
        "at": edit.at,
        "who": edit.who,
        "why": edit.why,
        "state": edit.state.value,
        "operation": edit.operation,
        "changes": [_change_dict(change) for change in edit_changes(edit, masking)],
    }


def _change_dict(change: Change) -> dict[str, Any]:
    return {"path": change.path, "kind": change.kind.value, "before": change.before, "after": change.after}
