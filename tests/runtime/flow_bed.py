"""What the machine of the flow works with: a database in memory, workers that are only memory, copies in queues."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple

from sqlalchemy import StaticPool, create_engine, event, text

from engine.model.codec import Limits
from engine.model.message import Publication
from engine.model.outgoing import Outgoing
from engine.model.topology import dlq_name, due_name
from engine.runtime.deadletters import Burial, DeadLetters
from engine.runtime.job import Job
from engine.storage.projection_tables import projections as _projections  # noqa: F401  # joins the metadata
from engine.storage.tables import warren_metadata

APP = "shop"
QUEUE = "shop.plugin.handle"
DLQ = dlq_name(QUEUE)
DUE = due_name(APP)
IDS = ("a", "b")

CONSUMER: Any = SimpleNamespace(
    queue=QUEUE, identity=None, name="handle", ordered=None, fingerprint=lambda reason: reason
)


def memory_database() -> Any:
    """An empty SQLite database in memory, with transactions and savepoints that are what they seem."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"isolation_level": None})
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    with engine.begin() as connection:
        warren_metadata.create_all(connection)
        connection.execute(text("CREATE TABLE effects (event_id TEXT)"))
    return engine


class Crash(Exception):
    """The process died before the commit."""


class Copy(NamedTuple):
    """A message in a queue of the broker; on a rung, `ready` is when its time there is up."""

    serial: int
    publication: Publication
    ready: float


@dataclass(eq=False)
class Worker:
    """A process: its memory, and the copies that it has not acked."""

    id: str
    jobs: dict[tuple[str, str], Job] = field(default_factory=dict)
    unacked: dict[tuple[str, str], list[Copy]] = field(default_factory=dict)
    rows: list[Outgoing] = field(default_factory=list)


def dead_letters(put: Callable[[Burial], None]) -> DeadLetters:
    """The intake, with what it would write handed to `put`."""
    writer: Any = SimpleNamespace(writer=SimpleNamespace(add=lambda section: SimpleNamespace(put=put)))
    broker: Any = None
    acker: Any = None
    return DeadLetters(broker, writer, app=APP, worker="intake", acker=acker, limits=Limits())
