"""What `warren failures edit` does and prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

from engine.cli.call import Call
from engine.cli.confirm import confirm
from engine.cli.editor import edit_text
from engine.cli.progress import progress
from engine.errors import UsageError
from engine.operations import editing, patching
from engine.operations.checking import Checker
from engine.operations.editing import Draft, EditError, Proposal
from engine.operations.failures import make_filter
from engine.operations.patching import PatchPlan
from engine.operations.text import cell
from engine.storage.database import Database

#: Changed fields that are named one by one, and the longest value of one.
NAMED, LONGEST = 40, 200

GLYPHS = {"added": "+", "removed": "-", "changed": "~"}


class Request(NamedTuple):
    """The arguments of the verb."""

    id: int | None
    fields: tuple[str, ...]
    without: tuple[str, ...]
    body: str | None
    revert: bool
    where: str | None
    plugins: tuple[str, ...]
    why: str
    dry_run: bool
    yes: bool


async def edit(call: Call, request: Request) -> int:
    """Edit one failure, or set fields of many; the exit code."""
    _check(request)
    async with call.database() as database:
        if request.where is not None:
            return await _patch(call, database, request)
        assert request.id is not None
        if request.revert:
            return await _revert(call, database, request)
        draft = await editing.draft(database, request.id, masking=call.masking)
        checker = Checker.load(call.settings, request.plugins)
        proposal = _proposed(call, draft, request, checker)
        if proposal is None:
            return 0
        _print(call, proposal)
        if proposal.problems:
            call.output.result(_as_dict(request.id, proposal, None))
            raise UsageError("the message would fail again as it is now", hint="Nothing was saved.")
        if request.dry_run or not proposal.changes:
            call.output.result(_as_dict(request.id, proposal, None))
            return 0
        confirm(call.output, "Save this edit?", yes=request.yes)
        saved = await editing.save(database, draft, proposal, operator=call.operator, why=request.why)
    call.output.result(_as_dict(request.id, proposal, saved.id))
    call.output.line(f"Saved. `warren redrive {request.id}` sends it; `--revert` drops it.")
    return 0


def _check(request: Request) -> None:
    if (request.id is None) == (request.where is None):
        raise UsageError("which failure?", hint="Name one id, or many with --where and --set.")
    ways = [bool(request.fields or request.without), request.body is not None, request.revert]
    if sum(ways) > 1:
        raise UsageError("--set, --body and --revert do not go together", hint="Use one of them.")
    if request.where is not None and not (request.fields or request.without):
        raise UsageError("many failures are edited by fields", hint="Say what becomes of each: --set data.currency=EUR")


def _proposed(call: Call, draft: Draft, request: Request, checker: Checker) -> Proposal | None:
    """What the edit amounts to; None when the editor left the text as it was."""
    if request.fields or request.without:
        return editing.propose_fields(draft, request.fields, checker, without=request.without)
    if request.body is not None:
        return editing.propose_body(draft, _body(request.body), checker)
    if call.output.as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("there is no terminal for an editor", hint="Say what it becomes with --set or --body.")
    if draft.kind == "bytes":
        raise UsageError("the body is not text, so no editor opens it", hint="Replace it whole: --body @file")
    return _in_editor(call, draft, checker)


def _in_editor(call: Call, draft: Draft, checker: Checker) -> Proposal | None:
    text = draft.text
    while True:
        edited = edit_text(text, ".json" if draft.kind == "json" else ".txt")
        if edited is None or (edited == text and text == draft.text):
            call.output.note("Nothing was changed.")
            return None
        text = edited
        try:
            proposal = editing.propose(draft, text, checker)
        except EditError as error:
            call.output.note(f"{error.message}")
        else:
            if not proposal.problems:
                return proposal
            _print(call, proposal)
        sys.stderr.write("Edit it again? [Y/n] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() in ("n", "no"):
            call.output.note("Nothing was changed.")
            return None


def _body(said: str) -> bytes:
    if said == "-":
        return sys.stdin.buffer.read()
    if not said.startswith("@"):
        return said.encode()
    try:
        return Path(said[1:]).read_bytes()
    except OSError as error:
        raise UsageError(f"the file {said[1:]} cannot be read: {error.strerror}") from None


async def _revert(call: Call, database: Database, request: Request) -> int:
    assert request.id is not None
    draft = await editing.draft(database, request.id, masking=call.masking)
    if draft.edit is None:
        call.output.result({"failure": request.id, "reverted": False})
        call.output.line("No edit waits; the original is sent.")
        return 0
    call.output.line(f"edited by {draft.edit.who}{f': {draft.edit.why}' if draft.edit.why else ''}")
    if not request.dry_run:
        confirm(call.output, "Drop this edit?", yes=request.yes)
        await editing.revert(database, request.id, operator=call.operator, why=request.why)
        call.output.line("Dropped; the original is sent.")
    call.output.result({"failure": request.id, "reverted": not request.dry_run})
    return 0


async def _patch(call: Call, database: Database, request: Request) -> int:
    import time

    wanted = make_filter(now=time.time(), where=request.where)
    checker = Checker.load(call.settings, request.plugins)
    patch = patching.read_patch(request.fields, request.without)
    plan = await patching.plan_patch(database, wanted, patch, checker=checker, masking=call.masking)
    _print_patch(call, plan)
    count = len(plan.ids)
    if request.dry_run or not count:
        call.output.result(_patch_dict(plan, 0))
        return 0
    confirm(call.output, f"Save {count:,} edits?", yes=request.yes, count=count)
    with progress(call.output, "editing", count) as advance:
        saved = await patching.apply_patch(
            database, plan, checker=checker, operator=call.operator, why=request.why, advance=advance
        )
    call.output.result(_patch_dict(plan, len(saved)))
    call.output.line(f"Saved {len(saved):,} edits. A redrive sends them: `warren failures list --where edited:yes`.")
    return 0


def _print(call: Call, proposal: Proposal) -> None:
    out = call.output
    if not proposal.changes:
        out.line("The body is as it was sent.")
    for change in proposal.changes[:NAMED]:
        before, after = (cell(repr(value), LONGEST) for value in (change.before, change.after))
        said = {"added": after, "removed": before}.get(change.kind, f"{before} → {after}")
        out.line(f"{GLYPHS[change.kind]} {change.path}  {said}")
    if len(proposal.changes) > NAMED:
        out.line(f"  and {len(proposal.changes) - NAMED:,} more")
    for problem in proposal.problems:
        out.line(f"✗ {problem}")
    for note in proposal.notes:
        out.line(f"! {note}")


def _print_patch(call: Call, plan: PatchPlan) -> None:
    out = call.output
    if not plan.ids and not plan.left:
        out.line("There are no such failures.")
    if plan.ids:
        out.line(f"{len(plan.ids):>7,}  to edit")
    for why, number in plan.left.most_common():
        out.line(f"{number:>7,}  left alone: {why}")
    if plan.sample is not None:
        out.line(f"as in failure {plan.ids[0]}:")
        _print(call, plan.sample)


def _as_dict(failure: int, proposal: Proposal, edit: int | None) -> dict[str, Any]:
    return {
        "failure": failure,
        "saved": edit is not None,
        "edit": edit,
        "changes": [
            {"path": each.path, "kind": each.kind, "before": each.before, "after": each.after}
            for each in proposal.changes
        ],
        "problems": list(proposal.problems),
        "notes": list(proposal.notes),
    }


def _patch_dict(plan: PatchPlan, saved: int) -> dict[str, Any]:
    return {"matched": len(plan.ids), "left": dict(plan.left), "saved": saved}
