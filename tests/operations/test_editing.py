"""Editing a failed message: checked, kept, sent by its redrive, and nothing that is masked is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine import Event, EventData, Settings, handler
from engine.errors import ReadOnly, UsageError
from engine.model.handler import DECLARED, HandlerSpec, assign_queues
from engine.operations import archiving, auditing, editing, patching
from engine.operations.checking import Checker
from engine.operations.editing import EditError
from engine.operations.failures import Filter
from engine.operations.masking import MASK, UNMASKED, Masking
from engine.operations.operator import Operator
from engine.storage.database import Database
from engine.storage.edits import EditState
from tests.support.failing import QUEUE, bury

ANNA = Operator("anna@web-1")
BODY = b'{"order_id": "42", "total": 9.50, "card": {"number": "n-1"}}'


class OrderPlaced(EventData, type="order.placed"):
    order_id: str
    total: Decimal


@handler(OrderPlaced, queue=QUEUE)
async def charge(event: Event[OrderPlaced]) -> None: ...


def checker() -> Checker:
    specs: list[HandlerSpec] = globals()[DECLARED]
    return Checker(assign_queues("shop", specs), max_body=1024)


async def draft(database: Database, body: bytes = BODY, masking: Masking | None = None, **more: Any) -> editing.Draft:
    failure_id = await bury(database, "e-1", body=body, **more)
    return await editing.draft(database, failure_id, masking=masking or Masking())


def edited(text: str, change: Callable[[Any], None]) -> str:
    value = json.loads(text)
    change(value)
    return json.dumps(value)


async def test_masked_fields_keep_their_value_unless_they_are_changed(database: Database) -> None:
    made = await draft(database)
    assert (made.kind, "n-1" in made.text, made.detail.original.body.count(MASK.encode())) == ("json", False, 1)
    assert "9.50" in made.text

    kept = editing.propose(made, edited(made.text, lambda value: value.update(total=10)), checker())
    assert json.loads(kept.body) == {"order_id": "42", "total": 10, "card": {"number": "n-1"}}
    assert [(change.path, change.before, change.after) for change in kept.changes] == [("total", 9.5, 10)]
    assert (kept.problems, kept.notes) == ((), ())

    new = editing.propose(made, made.text.replace("«masked 1»", "n-2"), checker())
    assert json.loads(new.body)["card"] == {"number": "n-2"}
    assert [change[:4] for change in new.changes] == [("card.number", "changed", MASK, MASK)]


async def test_an_edit_waits_and_is_taken_up_again(database: Database) -> None:
    made = await draft(database)
    proposal = editing.propose_fields(made, {"data.total": "10"}, checker())
    saved = await editing.save(database, made, proposal, operator=ANNA, why="the shop sent cents")
    assert (saved.original, saved.edited, saved.who, saved.why) == (
        BODY,
        proposal.body,
        ANNA.who,
        "the shop sent cents",
    )
    assert json.loads(saved.diff) == [{"path": "total", "kind": "changed", "before": 9.5, "after": 10}]

    again = await editing.draft(database, made.detail.row.id, masking=Masking())
    assert again.edit == saved
    assert again.detail.row.edited
    assert (again.original_text, again.text) == (made.text, made.text.replace("9.50", "10"))
    second = editing.propose_fields(again, ["data.paid:=true"], checker(), without=["data.card"])
    assert {change.path for change in second.changes} == {"total", "paid", "card"}
    await editing.save(database, again, second, operator=ANNA, why="")

    history = await editing.history(database, made.detail.row.id)
    assert [edit.state for edit in history] == [EditState.PENDING, EditState.REPLACED]
    assert editing.edit_dict(history[0], Masking())["changes"][0] == {
        "path": "card", "kind": "removed", "before": {"number": MASK}, "after": None,
    }  # fmt: skip
    before, after = editing.shown_edit(history[0], Masking())
    assert "n-1" not in before + after
    assert await editing.revert(database, made.detail.row.id, operator=ANNA, why="oh")
    assert not await editing.revert(database, made.detail.row.id, operator=ANNA, why="oh")
    entries = await auditing.entries(database)
    assert [entry.action for entry in entries] == ["failures revert", "failures edit", "failures edit"]
    assert entries[-1].what == {"failure": made.detail.row.id, "event_id": "e-1", "fields": ["total"]}


async def test_a_body_as_it_was_is_no_edit(database: Database) -> None:
    made = await draft(database)
    for text in (made.text, json.dumps(json.loads(made.text))):
        proposal = editing.propose(made, text, checker())
        assert (proposal.body, proposal.changes) == (BODY, ())
    with pytest.raises(UsageError, match="as it was sent"):
        await editing.save(database, made, proposal, operator=ANNA, why="")


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ('{"a": 1,\n "b" 2}', "line 2, column 6", (1, 5)),
        ("", "not JSON", (0, 0)),
        ('{"a": 1, "a": 2}', "duplicate key", (None, None)),
        ('{"a": NaN}', "NaN", (None, None)),
        ("[" * 100_000, "", (None, None)),
        ('{"a": "\\ud800"}', "surrogate", (None, None)),
    ],
)
async def test_a_text_that_cannot_be_read_says_where(
    database: Database, text: str, message: str, place: tuple[int | None, int | None]
) -> None:
    made = await draft(database)
    with pytest.raises(EditError) as refused:
        editing.propose(made, text)
    assert message in refused.value.message
    assert (refused.value.line, refused.value.column) == place


async def test_a_placeholder_too_many_is_refused(database: Database) -> None:
    made = await draft(database)
    with pytest.raises(UsageError, match="«masked 7» stands for no masked value"):
        editing.propose(made, '{"order_id": "«masked 7»"}')


async def test_what_the_model_refuses_is_not_saved(database: Database) -> None:
    made = await draft(database)
    proposal = editing.propose_fields(made, ["data.total=nine"], checker())
    [problem] = proposal.problems
    assert "data.total" in problem
    with pytest.raises(UsageError, match=r"would fail again.*data\.total"):
        await editing.save(database, made, proposal, operator=ANNA, why="")
    assert await auditing.entries(database) == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"eventType":"order.placed","eventId":"e-2","data":{"order_id":"1","total":1}}', "event id is e-2"),
        (b'{"eventType":"order.placed","eventId":"e-1","data":{"order_id":"1","total":1}}', None),
        (b'{"eventType":"order.paid","data":{"order_id":"1","total":1}}', "no model for events of type order.paid"),
        (b"[]", "an array where an object belongs"),
        (b"{" + b" " * 2000 + b"}", "the limit is 1024"),
        (b"\xff", "UTF-8"),
    ],
)
async def test_a_whole_body_is_checked_as_a_worker_reads_it(
    database: Database, body: bytes, problem: str | None
) -> None:
    proposal = editing.propose_body(await draft(database), body, checker())
    assert (not proposal.problems) if problem is None else any(problem in each for each in proposal.problems)


async def test_what_was_no_json_can_be_put_right(database: Database) -> None:
    made = await draft(database, b'{"order_id": "42", "total": 1, "password": "p-1"')
    assert (made.kind, "p-1" in made.text, "«masked 1»" in made.text) == ("text", False, True)
    proposal = editing.propose(made, made.text + "}", checker())
    assert json.loads(proposal.body)["password"] == "p-1"
    assert proposal.problems == ()
    assert "p-1" not in str(proposal.changes)


async def test_bytes_are_replaced_whole(database: Database) -> None:
    made = await draft(database, b"\xff\x00")
    assert (made.kind, made.text) == ("bytes", "")
    with pytest.raises(EditError, match="not text"):
        editing.propose(made, "{}")
    with pytest.raises(UsageError, match="has no fields"):
        editing.propose_fields(made, ["data.x=1"])
    assert editing.propose_body(made, b'{"order_id": "1", "total": 1}', checker()).problems == ()


async def test_what_somebody_else_did_meanwhile_is_not_overwritten(database: Database) -> None:
    made = await draft(database)
    proposal = editing.propose_fields(made, ["data.total=1"], checker())
    await editing.save(database, made, proposal, operator=Operator("bert"), why="")
    with pytest.raises(UsageError, match="edited by bert meanwhile"):
        await editing.save(database, made, proposal, operator=ANNA, why="")
    again = await editing.draft(database, made.detail.row.id, masking=UNMASKED)
    await editing.revert(database, made.detail.row.id, operator=ANNA, why="")
    with pytest.raises(UsageError, match="reverted meanwhile"):
        await editing.save(database, again, proposal, operator=ANNA, why="")
    await archiving.archive(database, await archiving.plan_archive(database, Filter()), operator=ANNA)
    with pytest.raises(UsageError, match="is archived by now"):
        await editing.save(database, made, proposal, operator=ANNA, why="")


async def test_a_message_with_an_idempotency_key_keeps_its_event_id(database: Database) -> None:
    whole = b'{"eventType":"order.placed","eventId":"e-9","data":{"order_id":"1","total":1}}'
    failure_id = await bury(database, "order-1", body=whole, own_id="e-9")
    made = await editing.draft(database, failure_id, masking=UNMASKED)
    assert editing.propose_fields(made, ["data.total=2"], checker()).problems == ()
    assert "event id is e-8" in editing.propose_fields(made, ["eventId=e-8"], checker()).problems[0]


async def test_it_says_what_it_cannot_check(database: Database, tmp_path: Path) -> None:
    (tmp_path / "warren.toml").write_text('app = "shop"\nplugins = ["broken.py"]\n')
    (tmp_path / "broken.py").write_text("1 / 0\n")
    made = await draft(database)
    settings = Settings.load(tmp_path)
    broken = Checker.load(settings)
    assert "broken.py" in broken.note
    other = Checker({}, max_body=1024)
    for each, said in (
        (broken, "does not import"),
        (other, f"no handler here has the queue {QUEUE}"),
        (None, "not checked"),
    ):
        [note] = editing.propose_fields(made, ["data.total=1"], each).notes
        assert said in note


async def test_the_models_of_a_project_are_found(database: Database, tmp_path: Path) -> None:
    (tmp_path / "warren.toml").write_text(f'app = "shop"\nplugins = ["orders_{tmp_path.name[-1]}.py"]\n')
    (tmp_path / f"orders_{tmp_path.name[-1]}.py").write_text(
        "from engine import Event, EventData, handler\n"
        "class Placed(EventData, type='order.placed'):\n    order_id: str\n    total: int\n"
        f"@handler(Placed, queue={QUEUE!r})\nasync def charge(event: Event[Placed]) -> None: ...\n"
    )
    made = await draft(database)
    found = Checker.load(Settings.load(tmp_path))
    assert found.note == ""
    assert editing.propose_fields(made, ["data.total=10"], found).problems == ()
    assert "data.total" in editing.propose_fields(made, ["data.total=10.5"], found).problems[0]


async def test_one_patch_over_a_group(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patching, "GROUP", 2)
    known = [await bury(database, f"e-{number}", body=BODY) for number in range(3)]
    done = await bury(database, "e-8", body=BODY.replace(b"9.50", b"10"))
    bytes_ = await bury(database, "e-9", body=b"\xff")
    gone = await bury(database, "e-10", body=BODY)
    await archiving.archive(database, await archiving.plan_archive(database, Filter(ids=[gone])), operator=ANNA)
    patch = patching.read_patch(["data.total=10"])

    plan = await patching.plan_patch(database, Filter(), patch, checker=checker(), masking=Masking())
    assert plan.ids == tuple(known)
    assert plan.left["nothing would change"] == 1
    assert plan.left["archived"] == 1
    assert sum(plan.left.values()) == 3
    assert plan.sample is not None
    assert [change.path for change in plan.sample.changes] == ["total"]
    assert await auditing.count(database, action="failures edit") == 0

    await archiving.archive(database, await archiving.plan_archive(database, Filter(ids=known[:1])), operator=ANNA)
    saved = await patching.apply_patch(database, plan, checker=checker(), operator=ANNA, why="cents")
    assert saved == known[1:]
    [second, first] = await auditing.entries(database, action="failures edit")
    assert first.what["act"] == second.what["act"]
    for failure_id in saved:
        [edit] = await editing.history(database, failure_id)
        assert json.loads(edit.edited) == {**json.loads(BODY), "total": 10}
    refused = await patching.plan_patch(
        database,
        Filter(ids=[done, bytes_]),
        patching.read_patch(["data.total=x"]),
        checker=checker(),
        masking=Masking(),
    )
    assert refused.ids == ()


async def test_who_only_looks_edits_nothing(database: Database) -> None:
    made = await draft(database)
    looker = replace_read_only(ANNA)
    proposal = editing.propose_fields(made, ["data.total=1"], checker())
    with pytest.raises(ReadOnly):
        await editing.save(database, made, proposal, operator=looker, why="")
    assert await editing.history(database, made.detail.row.id) == []


def replace_read_only(operator: Operator) -> Operator:
    return operator._replace(read_only=True)
