"""What a worker counted, for Prometheus: read when it is scraped, nothing is done per message."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigurationError
from engine.model.stats import BOUNDS, HandlerStats, Histogram
from engine.runtime.heartbeat import program_version
from engine.runtime.telemetry import BUCKET_STEP, METRICS, Metric

if TYPE_CHECKING:
    from engine.runtime.worker import Worker

logger = logging.getLogger("warren.metrics")


class WorkerMetrics:
    """A collector of prometheus-client. `collect` is called in the thread of a scrape."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def collect(self) -> Iterator[Any]:
        """The families of all metrics, as they stand."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        families = {
            "counter": CounterMetricFamily,
            "gauge": GaugeMetricFamily,
            "histogram": HistogramMetricFamily,
        }
        worker = self._worker
        app = worker.settings.app
        stats = [((app, each.queue, each.name), each.stats.snapshot()) for each in list(worker.consumers)]
        # A scrape may come before the worker has opened them.
        relay, database = getattr(worker, "relay", None), getattr(worker, "database", None)
        alone: dict[str, tuple[tuple[str, ...], float]] = {
            "warren_outbox_messages": ((app,), relay.backlog if relay else 0),
            "warren_broker_up": ((app,), worker.broker_up),
            "warren_database_up": ((app,), database is not None and database.writer.trouble is None),
            "warren_worker_info": ((app, worker.id, program_version()), 1),
        }
        for metric in METRICS:
            family = families[metric.kind](metric.name, metric.meaning, labels=metric.labels)
            if metric.field:
                _add_handlers(family, metric, stats)
            else:
                labels, value = alone[metric.name]
                family.add_metric(labels, float(value))
            yield family


def _add_handlers(family: Any, metric: Metric, stats: Iterable[tuple[tuple[str, ...], HandlerStats]]) -> None:
    for labels, counts in stats:
        value = getattr(counts, metric.field)
        if isinstance(value, Histogram):
            family.add_metric(labels, buckets=_buckets(value), sum_value=value.seconds)
        else:
            family.add_metric(labels, float(value))


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Cumulative counts at every fourth bound, and of all."""
    found: list[tuple[str, float]] = []
    below = 0
    for index, count in enumerate(histogram.counts):
        below += count
        if index < len(BOUNDS) and index % BUCKET_STEP == 0:
            found.append((f"{BOUNDS[index]:.6g}", float(below)))
    return [*found, ("+Inf", float(below))]


def serve(worker: Worker, port: int, *, host: str = "127.0.0.1", ports: int = 1) -> Callable[[], None]:
    """Answer Prometheus on the first free one of so many ports, in a thread; returns what ends it.

    Raises `ConfigurationError` without prometheus-client, and where no port is free.
    """
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError:
        raise ConfigurationError(
            "metrics need the package prometheus-client", hint="Install it: pip install 'warren[metrics]'."
        ) from None
    registry = CollectorRegistry(auto_describe=False)
    registry.register(WorkerMetrics(worker))
    for candidate in range(port, port + ports):
        try:
            server, thread = start_http_server(candidate, host, registry)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and candidate + 1 < port + ports:
                continue
            raise ConfigurationError(
                f"metrics cannot be served on {host}:{candidate}: {error.strerror}",
                hint="Choose another --metrics-port.",
            ) from None
        break
    logger.info("metrics are at http://%s:%d/metrics", host, server.server_port)

    def stop() -> None:
        server.shutdown()
        thread.join()
        server.server_close()

    return stop
