"""The journal: foreign events of some patterns go into the log, each once; what cannot be read is a failure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine import ConfigurationError, Context, Event, EventData, Settings, handler
from engine.model.message import Message, Publication
from engine.model.topology import journal_name
from engine.operations.redrive import plan
from engine.runtime.worker import Worker
from engine.storage import event_log, event_search, failure_search, records, workers
from engine.storage.event_log import EventDetail, Origin
from engine.storage.event_search import EventFilter
from engine.storage.failure_search import Filter
from engine.storage.workers import JOURNAL
from tests.support.inprocess import own_settings, until, working


class Placed(EventData, type="order.placed", aggregate="order", key="order_id"):
    order_id: str


class Noted(EventData, type="order.noted", aggregate="order", key="order_id"):
    order_id: str


@handler(Placed)
async def note(event: Event[Placed], ctx: Context) -> None:
    ctx.emit(Noted(order_id=event.data.order_id))


def body(event_id: str, kind: str = "order.placed", **changes: Any) -> bytes:
    told = {
        "eventType": kind,
        "eventId": event_id,
        "timestamp": "2026-11-23T10:00:00.250Z",
        "source": "shop-frontend",
        "aggregateType": "order",
        "aggregateId": "42",
        "data": {"order_id": "42"},
        "metadata": {"streamVersion": 7},
    }
    return json.dumps(told | changes).encode()


@pytest.fixture(params=["embedded", "rabbitmq"])
def settings(request: pytest.FixtureRequest, tmp_path: Path, app: str) -> Settings:
    broker = request.getfixturevalue("amqp_url") if request.param == "rabbitmq" else None
    return own_settings(tmp_path, app, broker, journal=["order.*", "payment.#"])


async def publish(worker: Worker, key: str, message: Message | bytes) -> None:
    made = message if isinstance(message, Message) else Message(message, {"tenant": "t-1", "x-gone": 1})
    assert await worker.broker.publish([Publication(worker.settings.exchange, key, made, False)]) == [None]


async def log_of(worker: Worker) -> list[EventDetail]:
    def read(connection: Any) -> list[EventDetail]:
        return event_log.get_many(connection, event_search.positions(connection, EventFilter()))

    return await worker.database.read(read)


async def test_foreign_events_are_logged_once_and_ours_are_not_logged_again(settings: Settings) -> None:
    async with working(settings, note) as worker:
        assert worker.journal is not None
        journal = worker.journal
        await publish(worker, "order.placed", body("e-1"))
        await publish(worker, "order.placed", body("e-1"))
        await publish(worker, "payment.card.declined", Message(b'{"plain": 1}', message_id="e-2", correlation_id="v-7"))
        await publish(worker, "invoice.sent", body("e-3", "invoice.sent"))
        # e-1, e-2, and what `note` emitted, which was in the log before it was published.
        await until(lambda: _true(journal.logged + journal.known == 4), "four events in the journal")
        rows = {detail.row.event_id: detail for detail in await log_of(worker)}
        await journal.idle()
        await worker.acker.flushed()
        assert journal.logged == 2
        depths = await worker.broker.depths([journal.queue])

    assert depths[journal.queue] is not None
    assert depths[journal.queue].ready == 0
    assert sorted(row.row.origin for row in rows.values()) == [Origin.EMITTED, Origin.JOURNALLED, Origin.JOURNALLED]
    first, second = rows["e-1"], rows["e-2"]
    assert (first.row.source, first.row.time, first.row.correlation_id) == ("shop-frontend", 1795428000.25, "e-1")
    # It is about an aggregate, and not of its history: no stranger writes that.
    assert (first.row.aggregate_type, first.row.aggregate_id, first.row.version) == ("order", "42", None)
    assert (first.row.exchange, first.row.routing_key) == (settings.exchange, "order.placed")
    assert first.message.body == body("e-1")
    assert first.message.headers == {"tenant": "t-1"}
    assert (second.row.event_type, second.row.correlation_id) == ("payment.card.declined", "v-7")
    assert second.message == Message(b'{"plain": 1}', message_id="e-2", correlation_id="v-7")


async def _true(value: bool) -> bool:
    return value


async def test_what_cannot_be_read_is_a_failure_and_can_be_sent_again(settings: Settings) -> None:
    async with working(settings, note) as worker:
        journal = journal_name(settings.app)
        await publish(worker, "payment.taken", Message(b"{", message_id="broken"))
        await publish(worker, "payment.taken", body("e-1", "payment.taken"))
        [failure] = await until(
            lambda: worker.database.read(lambda connection: failure_search.search(connection, Filter())), "the failure"
        )
        assert (failure.queue, failure.event_id, failure.reason) == (journal, "broken", "unreadable")
        await until(lambda: log_of(worker), "the event that could be read")
        known = {queue.queue: queue for queue in await worker.database.read(workers.list_queues)}
        assert (known[journal].handler, known[journal].patterns) == (JOURNAL, settings.journal)
        made = await plan(worker.database, worker.broker, Filter(ids=[failure.id]))
        assert made.ids == [failure.id]


async def test_an_event_that_was_mended_is_logged_and_its_record_is_done(settings: Settings) -> None:
    """As a redrive sends it: under a run, to the journal's own queue."""
    async with working(settings, note) as worker:
        journal = journal_name(settings.app)
        await publish(worker, "payment.taken", Message(b"{", message_id="broken"))
        await until(lambda: worker.database.read(lambda c: failure_search.search(c, Filter())), "the failure")
        [record] = (await worker.database.read(lambda c: records.fetch(c, [(journal, "broken")]))).values()
        waiting = record._replace(state=records.State.WAITING, run=record.run + 1)
        await worker.database.write(lambda c: records.put(c, [waiting]))
        headers = {"warren-run": waiting.run, "warren-exchange": "events", "warren-routing-key": "payment.taken"}
        again = Message(body("broken", "payment.taken"), headers, message_id="broken")
        assert await worker.broker.publish([Publication("", journal, again)]) == [None]
        [detail] = await until(lambda: log_of(worker), "the event")
        assert (detail.row.event_id, detail.row.exchange, detail.row.routing_key) == (
            "broken",
            "events",
            "payment.taken",
        )
        assert detail.message.headers == {}

        async def done() -> bool:
            found = await worker.database.read(lambda c: records.fetch(c, [(journal, "broken")]))
            return found[journal, "broken"].state is records.State.DONE

        await until(done, "the record to be done")


async def test_without_patterns_there_is_no_journal(tmp_path: Path, app: str) -> None:
    async with working(own_settings(tmp_path, app), note) as worker:
        assert worker.journal is None
        assert (await worker.broker.depths([journal_name(app)]))[journal_name(app)] is None


async def test_a_pattern_that_was_taken_out_is_journalled_no_more(tmp_path: Path, app: str) -> None:
    """AMQP lists no bindings, so nobody unbinds it: the worker lets such events go by."""
    async with working(own_settings(tmp_path, app, journal=["order.*", "payment.*"]), note):
        pass
    async with working(own_settings(tmp_path, app, journal=["payment.*"])) as worker:
        await publish(worker, "order.placed", body("e-1"))
        await publish(worker, "payment.taken", body("e-2", "payment.taken"))
        found = await until(lambda: log_of(worker), "the event")
        await worker.acker.flushed()
    assert [detail.row.event_id for detail in found] == ["e-2"]


def test_a_pattern_that_cannot_be_is_refused(tmp_path: Path, app: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Worker(own_settings(tmp_path, app, journal=["ord*"]), [])
    assert "journal" in caught.value.message
    with pytest.raises(ConfigurationError, match="journal"):
        own_settings(tmp_path, app, journal=[1])
