"""Redrive as a kind of operation: failed messages go back to their own queues, each once.

In one transaction each failure is judged once more, the run of its record is raised, its
message is put into the outbox, and failure and item are marked: whatever happened since the
operation was ordered, and whoever else redrives it, a message is never sent twice. Where an
edit waits for its redrive, the edited body is sent, and the record takes it for its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.model import headers as names
from engine.model.failure import Status
from engine.model.message import HeaderValue
from engine.model.operation import Item, ItemState, Operation
from engine.model.outgoing import Kind, Outgoing
from engine.model.record import Record
from engine.model.verdict import SENT, Verdict, judge, revived
from engine.runtime.ids import new_id
from engine.runtime.intake import body_hash
from engine.runtime.keys import key_hash
from engine.runtime.kind import Sent
from engine.storage import edits, failures, records, redriving
from engine.storage.redriving import Letter

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Redrives take turns on PostgreSQL, since it lets two of them read the same records ("REDRIVE").
_ADVISORY_LOCK = 0x52454452495645


class Redrive:
    """The kind whose items are failures. `asked` holds `again` and, by queue, how many messages go there."""

    name = "redrive"

    def send(
        self, connection: Connection, operation: Operation, items: Sequence[Item], now: float, gone: Collection[str]
    ) -> Sent:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
        ids = [item.subject for item in items]
        letters = redriving.letters(connection, ids)
        known = records.fetch(connection, [_key(letter) for letter in letters.values()], lock=True)
        edited = edits.pending(connection, ids)
        again = bool(operation.asked.get("again"))
        rows: list[Outgoing] = []
        done: list[Item] = []
        changed: dict[int, Record] = {}
        for item in items:
            letter = letters.get(item.subject)
            if letter is None:
                done.append(_skipped(item, Verdict.UNKNOWN, now))
                continue
            key = _key(letter)
            verdict = judge(letter.failed, known.get(key), again=again)
            if verdict in SENT and letter.failed.queue in gone:
                verdict = Verdict.NO_QUEUE
            if verdict not in SENT:
                done.append(_skipped(item, verdict, now))
                continue
            edit = edited.get(item.subject)
            # A record that goes by an idempotency key knows no body.
            digest = None if edit is None or _keyed(letter) else body_hash(edit.edited)
            record = known[key] = changed[item.subject] = revived(letter.failed, known.get(key), now, digest)
            rows.append(_outgoing(letter, record, None if edit is None else edit.edited, now))
            done.append(Item(item.position, item.subject, ItemState.SENT, str(verdict), record.run, now))
        records.put(connection, list(changed.values()))
        by_run: defaultdict[int, list[int]] = defaultdict(list)
        for failure_id, record in changed.items():
            by_run[record.run].append(failure_id)
        for run, same in sorted(by_run.items()):
            failures.set_status(connection, same, Status.REDRIVEN, now=now, redriven_run=run)
        sent_edits = [edit.id for failure_id, edit in edited.items() if failure_id in changed]
        if sent_edits:
            edits.mark_sent(connection, sent_edits, operation.id, now)
        return Sent(rows, done)

    def look(self, connection: Connection, operation: Operation, items: Sequence[Item]) -> list[Item]:
        found = redriving.outcomes(connection, operation.id, [item.position for item in items])
        return [item._replace(state=found[item.position]) for item in items if item.position in found]

    def queues(self, operation: Operation) -> list[str]:
        return sorted(operation.asked.get("queues", ()))

    def cause(self, connection: Connection, operation: Operation) -> str:
        found = redriving.commonest(connection, operation.id)
        if found is None:
            return ""
        exception, message, number = found
        return f"{number:,} of them with {': '.join(filter(None, (exception, message[:200])))}"


def _key(letter: Letter) -> tuple[str, str]:
    return letter.failed.queue, letter.failed.event_id


def _keyed(letter: Letter) -> bool:
    """Whether its record goes by an idempotency key, and not by its event id."""
    return letter.failed.body_hash == key_hash(letter.failed.event_id)


def _skipped(item: Item, verdict: Verdict, now: float) -> Item:
    return item._replace(state=ItemState.SKIPPED, verdict=str(verdict), changed=now)


def _outgoing(letter: Letter, record: Record, body: bytes | None, now: float) -> Outgoing:
    """The message as it was, unless its body was edited, to its own queue under the new run."""
    original = letter.message()
    ours: dict[str, HeaderValue] = {
        names.RUN: record.run,
        names.EXCHANGE: letter.exchange,
        names.ROUTING_KEY: letter.routing_key,
    }
    own_id: str | None = record.event_id
    if _keyed(letter):
        ours[names.KEY] = record.event_id
        own_id = original.message_id
    message = replace(
        original,
        headers={**names.clean(original.headers, ours=True), **ours},
        message_id=own_id,
        body=original.body if body is None else body,
    )
    return Outgoing(new_id(), Kind.REDRIVE, "", record.queue, message, True, None, now)
