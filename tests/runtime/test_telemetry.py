"""Metrics, traces and logs: every name in one table, and no payload anywhere."""

from __future__ import annotations

import logging
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from socket import create_server
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from engine import AsyncSession, ConfigurationError, Context, Event, EventData, RetryPolicy, handler
from engine.model.message import Message
from engine.runtime import tracing
from engine.runtime.metrics import WorkerMetrics, serve
from engine.runtime.telemetry import METRICS, SPANS
from engine.storage import failures
from engine.testing.harness import Harness

DOCUMENT = Path(__file__).parents[2] / "docs" / "telemetry.md"
SECRET = "4111-1111-1111-1111"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = "0af7651916cd43dd8448eb211c80319c"


class Placed(EventData, type="order.placed"):
    card: str
    failures: int = 0


class Charged(EventData, type="order.charged"):
    card: str


@handler(Placed, retry=RetryPolicy(max_attempts=3))
async def charge(event: Event[Placed], ctx: Context) -> None:
    if ctx.attempt <= event.data.failures:
        raise ValueError(f"the card {event.data.card} is refused")
    ctx.emit(Charged(card=event.data.card))
    ctx.delay(Charged(card=event.data.card), 60)


@handler(Charged)
async def ship(event: Event[Charged], session: AsyncSession) -> None:
    await session.execute(text("INSERT INTO missing VALUES (:card)"), {"card": event.data.card})


@handler(Placed)
async def batch(events: list[Event[Placed]], ctx: Context) -> None:
    for event in events:
        ctx.emit(Charged(card=event.data.card), cause=event)


def families(worker: Any) -> dict[str, Any]:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(WorkerMetrics(worker))
    return {family.name: family for family in text_string_to_metric_families(generate_latest(registry).decode())}


async def test_the_metrics_are_those_of_the_table_and_count_what_happened() -> None:
    async with Harness(charge, ship, app="shop") as harness:
        for failures in (0, 1, 9):
            await harness.publish(Placed(card="c", failures=failures), id=f"e-{failures}")
        await harness.publish(Placed(card="c"), id="e-0")
        await harness.finish()
        found = families(harness.worker)
        assert set(found) == {metric.name.removesuffix("_total") for metric in METRICS}
        for metric in METRICS:
            family = found[metric.name.removesuffix("_total")]
            assert family.type == metric.kind
            assert (
                {*metric.labels}
                <= {name for sample in family.samples for name in sample.labels}
                <= {*metric.labels, "le"}
            )

        def value(name: str) -> float:
            samples = [each for each in found[name].samples if each.labels.get("handler", "charge") == "charge"]
            return samples[0].value

        assert value("warren_messages_handled") == 2
        assert value("warren_attempts_failed") == 4
        assert value("warren_messages_retried") == 3
        assert value("warren_messages_dead") == 1
        assert value("warren_messages_duplicate") == 1
        assert value("warren_messages_in_flight") == 0
        assert value("warren_outbox_messages") == 0
        assert value("warren_broker_up") == value("warren_database_up") == value("warren_worker_info") == 1
        samples = [
            each for each in found["warren_handler_duration_seconds"].samples if each.labels["handler"] == "charge"
        ]
        buckets = [each.value for each in samples if each.name.endswith("_bucket")]
        assert buckets == sorted(buckets)
        assert buckets[-1] == next(each.value for each in samples if each.name.endswith("_count")) == 6
        assert next(each.value for each in samples if each.name.endswith("_sum")) > 0


async def test_metrics_are_served_on_the_first_free_port() -> None:
    async with Harness(charge) as harness:
        with closing(create_server(("127.0.0.1", 0))) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(ConfigurationError, match=f"127.0.0.1:{port}"):
                serve(harness.worker, port)
            stop = serve(harness.worker, port, ports=50)
            try:
                for candidate in range(port + 1, port + 50):
                    try:
                        page = urllib.request.urlopen(f"http://127.0.0.1:{candidate}/metrics", timeout=5).read()
                    except OSError:
                        continue
                    if b"warren_worker_info{" in page:
                        break
                else:
                    pytest.fail("no port answered")
            finally:
                stop()


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    """Tracing is on, and the spans are kept."""
    made = InMemorySpanExporter()
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider()
        trace.set_tracer_provider(provider)  # once in a process
    provider.add_span_processor(SimpleSpanProcessor(made))
    tracing.enable()
    yield made
    tracing.spans = None


def told(spans: tuple[ReadableSpan, ...], name: str) -> list[dict[str, Any]]:
    return [dict(span.attributes or {}) for span in spans if span.name == name]


async def test_a_span_for_each_attempt_under_the_trace_of_the_message(exporter: InMemorySpanExporter) -> None:
    async with Harness(charge, app="shop") as harness:
        body = b'{"eventType": "order.placed", "eventId": "e-1", "data": {"card": "%s", "failures": 1}}'
        await harness.publish_message("order.placed", Message(body % SECRET.encode(), {"traceparent": PARENT}))
        await harness.finish()
        emitted = await harness.sql("SELECT count(*) FROM warren_outbox")
    assert emitted == [(0,)]
    spans = exporter.get_finished_spans()
    queue = f"shop.{Path(__file__).stem}.charge"
    first, second = told(spans, f"process {queue}")
    assert first["error.type"] == "ValueError"
    assert (first["warren.attempt"], second["warren.attempt"]) == (1, 2)
    assert {*first} - {"error.type"} == {*second} == {*SPANS[0].attributes}
    assert all(f"{span.context.trace_id:032x}" == TRACE for span in spans)
    assert [f"{span.parent.span_id:016x}" for span in spans if span.parent] == [PARENT.split("-")[2]] * 2
    assert SECRET not in "".join(span.to_json() for span in spans)


async def test_a_batch_is_one_span_with_a_link_for_each_message(exporter: InMemorySpanExporter) -> None:
    async with Harness(batch, app="shop") as harness:
        messages = [
            ("order.placed", Message(b'{"eventType":"order.placed","eventId":"e-%d","data":{"card":"c"}}' % n, {"traceparent": PARENT}))
            for n in range(4)
        ]  # fmt: skip
        await harness.engine.publish_messages(messages)
        await harness.settle()
        harness.handled(batch, count=4)
    for span in exporter.get_finished_spans():
        if span.attributes and "messaging.batch.message_count" in span.attributes:
            assert len(span.links) == span.attributes["messaging.batch.message_count"]
            assert {*span.attributes} == {*SPANS[1].attributes}


@pytest.mark.parametrize("traced", [False, True])
async def test_the_trace_context_goes_on_through_emits_delays_and_retries(
    request: pytest.FixtureRequest, traced: bool
) -> None:
    if traced:
        request.getfixturevalue("exporter")
    found: list[Message] = []
    async with Harness(charge, app="shop") as harness:
        observe = harness.story.observe
        harness.worker.outcomes.observer = lambda outcome: (
            observe(outcome),
            found.extend(row.message for row in outcome.rows),
        )  # type: ignore[func-returns-value]
        body = b'{"eventType": "order.placed", "eventId": "e-1", "data": {"card": "c", "failures": 1}}'
        headers = {"traceparent": PARENT, "tracestate": "vendor=1", "tenant": "t-1"}
        await harness.publish_message("order.placed", Message(body, headers), delay=5)
        await harness.finish()
    retry, *emitted = found
    assert len(emitted) == 2
    assert retry.headers["traceparent"] == PARENT  # the copy itself: its next span has the same parent
    assert retry.headers["tenant"] == "t-1"
    for message in emitted:
        context = str(message.headers["traceparent"])
        assert context.split("-")[1] == TRACE
        assert (context == PARENT) is not traced
        assert message.headers["tracestate"] == "vendor=1"
        assert "tenant" not in message.headers


async def test_an_event_of_a_message_without_a_trace_has_none() -> None:
    rows: list[Any] = []
    async with Harness(charge) as harness:
        harness.worker.outcomes.observer = lambda outcome: rows.extend(outcome.rows)
        await harness.publish(Placed(card="c"))
        await harness.settle()
    assert [dict(row.message.headers) for row in rows] == [{}, {}]


async def test_a_dead_letter_keeps_the_trace_context_for_its_redrive() -> None:
    async with Harness(charge) as harness:
        body = b'{"eventType": "order.placed", "eventId": "e-1", "data": {"card": "c", "failures": 9}}'
        await harness.publish_message("order.placed", Message(body, {"traceparent": PARENT}))
        await harness.finish()
        (letter,) = harness.dead_letters(charge)
        (detail,) = await harness.database.read(lambda connection: failures.get_many(connection, [letter.id]))
        assert detail.original.headers["traceparent"] == PARENT


async def test_no_log_holds_a_payload(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with Harness(charge, ship, batch) as harness:
        for failures in (0, 1, 9):
            await harness.publish(Placed(card=SECRET, failures=failures))
        await harness.publish("order.placed", {"card": [SECRET]})
        await harness.publish("order.placed", {"failures": SECRET})
        await harness.publish_message("order.placed", f'{{"card": "{SECRET}"'.encode())
        await harness.publish_message("order.placed", Message(b"{}", {"note": SECRET}, type="order.placed"))
        await harness.finish()
        assert harness.dead_letters(ship)
    formatter = logging.Formatter()
    written = [formatter.format(record) + str(vars(record)) for record in caplog.records]
    assert any("gave up" in line for line in written)
    assert [line for line in written if SECRET in line] == []


def table(rows: list[tuple[str, ...]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def test_the_document_has_the_tables() -> None:
    shown = DOCUMENT.read_text()
    metrics = [(f"`{m.name}`", m.kind, m.unit, ", ".join(m.labels), m.meaning) for m in METRICS]
    assert table(metrics) in shown, f"write into {DOCUMENT.name}:\n{table(metrics)}"
    spans = [(f"`{s.name}`", s.kind, ", ".join(f"`{a}`" for a in s.attributes), s.meaning) for s in SPANS]
    assert table(spans) in shown, f"write into {DOCUMENT.name}:\n{table(spans)}"
