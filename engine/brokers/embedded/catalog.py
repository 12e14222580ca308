"""Exchanges, queues and bindings of a broker file, cached in memory, and the routes through them."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from engine.errors import QueueMissing, TopologyMismatch
from engine.model.topology import SINGLE_ACTIVE, Binding, Difference, Exchange, Queue, Topology, compare, topic_matches

#: The size of a stream's segment where none is given, as in RabbitMQ, and its units of age in seconds.
SEGMENT_BYTES: Final = 500_000_000
_AGES: Final = {"Y": 365 * 86400, "M": 30 * 86400, "D": 86400, "h": 3600, "m": 60, "s": 1}

#: So many routes are remembered; keys with ids in them are without end.
MAX_ROUTES: Final = 10_000


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """How long a stream keeps its entries: `max_age` in seconds, sizes in bytes; None for ever."""

    max_age: float | None
    max_bytes: int | None
    segment_bytes: int


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """A queue and what its arguments mean here. `ttl` is in seconds; `stream` is None unless it is one."""

    id: int
    name: str
    arguments: Mapping[str, str | int]
    ttl: float | None
    max_length: int | None
    rejects: bool
    limit: int | None
    dead_letter_exchange: str | None
    dead_letter_key: str | None
    stream: StreamInfo | None = None
    single_active: bool = False


class Catalog:
    """The topology at one version of the file."""

    def __init__(self) -> None:
        self.version = 0
        self.queues: dict[str, QueueInfo] = {}
        self.by_id: dict[int, QueueInfo] = {}
        #: The queues, by id, with a single active consumer.
        self.single: frozenset[int] = frozenset()
        self._exchanges: dict[str, Exchange] = {}
        self._bindings: list[Binding] = []
        self._exact: dict[str, dict[str, list[QueueInfo]]] = {}
        # Patterns with wildcards, by exchange and first word; by "" where that is a wildcard itself.
        self._wild: dict[tuple[str, str], list[tuple[str, QueueInfo]]] = {}
        self._routes: dict[tuple[str, str], tuple[QueueInfo, ...]] = {}

    def load(self, connection: sqlite3.Connection, version: int) -> None:
        """Read it all anew."""
        queues = [
            _queue_info(number, name, json.loads(arguments))
            for number, name, arguments in connection.execute("SELECT id, name, arguments FROM queues")
        ]
        self.queues = {queue.name: queue for queue in queues}
        self.by_id = {queue.id: queue for queue in queues}
        self.single = frozenset(queue.id for queue in queues if queue.single_active)
        self._exchanges = {
            name: Exchange(name, kind, json.loads(arguments))
            for name, kind, arguments in connection.execute("SELECT name, kind, arguments FROM exchanges")
        }
        self._bindings, self._exact, self._wild = [], {}, {}
        for exchange, number, pattern in connection.execute("SELECT exchange, queue, pattern FROM bindings"):
            queue = self.by_id[number]
            self._bindings.append(Binding(exchange, queue.name, pattern))
            if self._exchanges[exchange].kind == "topic" and ("*" in pattern or "#" in pattern):
                first = pattern.split(".", 1)[0]
                self._wild.setdefault((exchange, "" if first in ("*", "#") else first), []).append((pattern, queue))
            else:
                self._exact.setdefault(exchange, {}).setdefault(pattern, []).append(queue)
        self._routes = {}
        self.version = version

    def has_exchange(self, name: str) -> bool:
        """Whether one can publish to it."""
        return not name or name in self._exchanges

    def route(self, exchange: str, key: str) -> tuple[QueueInfo, ...]:
        """The queues that take a message, each once; none where the exchange is missing."""
        route = self._routes.get((exchange, key))
        if route is None:
            if len(self._routes) >= MAX_ROUTES:
                self._routes.clear()
            route = self._routes[exchange, key] = self._find(exchange, key)
        return route

    def _find(self, exchange: str, key: str) -> tuple[QueueInfo, ...]:
        if not exchange:
            queue = self.queues.get(key)
            return () if queue is None else (queue,)
        tried: set[str] = set()
        while exchange in self._exchanges and exchange not in tried:
            tried.add(exchange)
            found = dict.fromkeys(queue.id for queue in self._exact.get(exchange, {}).get(key, ()))
            for first in {"", key.split(".", 1)[0]}:
                wild = self._wild.get((exchange, first), ())
                found |= dict.fromkeys(queue.id for pattern, queue in wild if topic_matches(pattern, key))
            if found:
                return tuple(self.by_id[number] for number in found)
            exchange = str(self._exchanges[exchange].arguments.get("alternate-exchange", ""))
        return ()

    def topology(self) -> Topology:
        """What there is."""
        return Topology(
            tuple(self._exchanges.values()),
            tuple(Queue(queue.name, queue.arguments) for queue in self.queues.values()),
            tuple(self._bindings),
        )

    def differences(self, wanted: Topology) -> list[Difference]:
        """Where this differs from what is wanted."""
        return compare(wanted, self.topology())

    def declare(self, connection: sqlite3.Connection, wanted: Topology) -> bool:
        """Make what is missing, all or nothing; whether anything was.

        Raises `TopologyMismatch` where something exists otherwise, `QueueMissing` for a
        binding between what is neither there nor wanted.
        """
        missing = self.differences(wanted)
        for difference in missing:
            if difference.problem == "mismatch":
                raise TopologyMismatch(
                    f"The {difference.kind} {difference.name!r} exists otherwise: {difference.detail}.",
                    hint="Delete it, or move it as `warren topology diff` explains, or declare it as it is.",
                )
        if not missing:
            return False
        for queue in wanted.queues:
            _queue_info(0, queue.name, queue.arguments)
        for exchange in wanted.exchanges:
            if exchange.kind not in ("topic", "direct"):
                raise TopologyMismatch(f"The exchange {exchange.name!r} is of the unknown type {exchange.kind!r}.")
        queues = self.queues.keys() | {queue.name for queue in wanted.queues}
        exchanges = self._exchanges.keys() | {exchange.name for exchange in wanted.exchanges}
        for binding in wanted.bindings:
            if binding.queue not in queues or binding.exchange not in exchanges:
                raise QueueMissing(
                    f"{binding.exchange!r} cannot be bound to {binding.queue!r}: one of them is not there.",
                    hint="Declare both first.",
                )
        connection.executemany(
            "INSERT OR IGNORE INTO exchanges VALUES (?, ?, ?)",
            [(exchange.name, exchange.kind, json.dumps(dict(exchange.arguments))) for exchange in wanted.exchanges],
        )
        connection.executemany(
            "INSERT OR IGNORE INTO queues (name, arguments) VALUES (?, ?)",
            [(queue.name, json.dumps(dict(queue.arguments))) for queue in wanted.queues],
        )
        connection.executemany(
            "INSERT OR IGNORE INTO bindings SELECT ?, id, ? FROM queues WHERE name = ?",
            [(binding.exchange, binding.pattern, binding.queue) for binding in wanted.bindings],
        )
        return True


def _queue_info(number: int, name: str, arguments: Mapping[str, str | int]) -> QueueInfo:
    ttl = _number(name, arguments, "x-message-ttl")
    exchange = arguments.get("x-dead-letter-exchange")
    key = arguments.get("x-dead-letter-routing-key")
    return QueueInfo(
        number,
        name,
        arguments,
        None if ttl is None else ttl / 1000,
        _number(name, arguments, "x-max-length"),
        arguments.get("x-overflow", "drop-head") != "drop-head",
        _number(name, arguments, "x-delivery-limit"),
        None if exchange is None else str(exchange),
        None if key is None else str(key),
        _stream_info(name, arguments) if arguments.get("x-queue-type") == "stream" else None,
        bool(arguments.get(SINGLE_ACTIVE, False)),
    )


def _stream_info(name: str, arguments: Mapping[str, str | int]) -> StreamInfo:
    age = arguments.get("x-max-age")
    found = None if age is None else re.fullmatch(r"([0-9]+)([YMDhms])", str(age))
    if age is not None and found is None:
        raise TopologyMismatch(f"The stream {name!r} cannot have x-max-age = {age!r}: it is such as 7D or 12h.")
    return StreamInfo(
        None if found is None else int(found[1]) * _AGES[found[2]],
        _number(name, arguments, "x-max-length-bytes"),
        _number(name, arguments, "x-stream-max-segment-size-bytes") or SEGMENT_BYTES,
    )


def _number(name: str, arguments: Mapping[str, str | int], argument: str) -> int | None:
    value = arguments.get(argument)
    if value is None:
        return None
    if type(value) is not int or value < 0:
        raise TopologyMismatch(f"The queue {name!r} cannot have {argument} = {value!r}: a whole number is wanted.")
    return value
