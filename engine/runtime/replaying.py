"""Replay as a kind of operation: recorded events go to the queue of one handler, and to nobody else.

In one transaction each event is judged once more, the run of its record in that queue is raised, and its
message is put into the outbox. So a replay really runs the handler again, and one event that
two operators replay at once runs once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.model import headers as names
from engine.model.message import HeaderValue
from engine.model.operation import Item, ItemState, Operation
from engine.model.outgoing import Kind, Outgoing
from engine.model.record import Record
from engine.model.replay import SENT, Verdict, judge, replayed
from engine.runtime.ids import new_id
from engine.runtime.intake import body_hash
from engine.runtime.kind import Sent
from engine.storage import event_log, records, replaying
from engine.storage.event_log import EventDetail

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Replay:
    """The kind whose items are positions of the log; the queue is the operation's target."""

    name = "replay"

    def send(
        self, connection: Connection, operation: Operation, items: Sequence[Item], now: float, gone: Collection[str]
    ) -> Sent:
        details = {each.row.position: each for each in event_log.get_many(connection, [item.subject for item in items])}
        return resend(connection, operation.target, details, items, now, gone)

    def look(self, connection: Connection, operation: Operation, items: Sequence[Item]) -> list[Item]:
        found = replaying.outcomes(connection, operation.id, [item.position for item in items])
        return [item._replace(state=found[item.position]) for item in items if item.position in found]

    def queues(self, operation: Operation) -> list[str]:
        return [operation.target]

    def cause(self, connection: Connection, operation: Operation) -> str:
        return cause_words(replaying.commonest(connection, operation.id))


def cause_words(found: tuple[str, str, int] | None) -> str:
    """What most of the events that failed failed with, in words; nothing where none did."""
    if found is None:
        return ""
    exception, message, number = found
    return f"{number:,} of them with {': '.join(filter(None, (exception, message[:200])))}"


def resend(
    connection: Connection,
    queue: str,
    details: Mapping[int, EventDetail],
    items: Sequence[Item],
    now: float,
    gone: Collection[str],
    since: float | None = None,
) -> Sent:
    """In the transaction: judge each item, whose event is that of its subject, raise the run of its record, and send it.

    For `since` see `judge`.
    """
    keys = [(queue, detail.row.event_id) for detail in details.values()]
    known = records.fetch(connection, keys, lock=True)
    verdicts: dict[int, Verdict] = {}
    raised: dict[int, Record] = {}
    taken: set[str] = set()
    for item in items:
        detail = details.get(item.subject)
        if detail is None or queue in gone:
            verdicts[item.position] = Verdict.GONE if detail is None else Verdict.NO_QUEUE
            continue
        digest = body_hash(detail.message.body)
        record = known.get((queue, detail.row.event_id))
        verdict = judge(record, digest, since)
        if verdict in SENT and detail.row.event_id in taken:
            verdict = Verdict.REPEATED
        verdicts[item.position] = verdict
        if verdict in SENT:
            taken.add(detail.row.event_id)
            raised[item.position] = replayed(record, queue, detail.row.event_id, digest, now)
    records.put(connection, [each for each in raised.values() if each[:2] in known])
    added = records.add(connection, [each for each in raised.values() if each[:2] not in known])
    rows: list[Outgoing] = []
    done: list[Item] = []
    for item in items:
        verdict, revived = verdicts[item.position], raised.get(item.position)
        if revived is not None and revived[:2] not in known and revived[:2] not in added:
            verdict, revived = Verdict.RUNNING, None  # its first copy was claimed in this moment
        if revived is None:
            done.append(item._replace(state=ItemState.SKIPPED, verdict=str(verdict), changed=now))
            continue
        rows.append(_outgoing(details[item.subject], revived, now))
        done.append(Item(item.position, item.subject, ItemState.SENT, str(verdict), revived.run, now))
    return Sent(rows, done)


def _outgoing(detail: EventDetail, record: Record, now: float) -> Outgoing:
    """The message as it was first published, body byte for byte, to the one queue under the new run."""
    original = detail.message
    ours: dict[str, HeaderValue] = {
        names.RUN: record.run,
        names.EXCHANGE: detail.row.exchange,
        names.ROUTING_KEY: detail.row.routing_key,
    }
    headers = {**names.clean(original.headers, ours=True), **ours}
    message = replace(original, headers=headers, message_id=record.event_id)
    return Outgoing(new_id(), Kind.REPLAY, "", record.queue, message, True, None, now)
