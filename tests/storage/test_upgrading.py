"""A database of an older program, with failures in it, is brought up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from engine.model.filter import Filter
from engine.storage import failure_counts, failure_fields, failure_search, schema
from engine.storage.database import Database
from engine.storage.pen import Pen
from engine.storage.urls import parse

_FAILURE = {
    "queue": "q", "run": 1, "body_hash": b"h", "event_type": "order.placed", "handler": "charge", "worker": "w",
    "reason": "r", "exception": "TimeoutError", "message": "no answer", "fingerprint": "f", "attempts": 1,
    "first_failed": 1.0, "last_failed": 1.0, "arrived": 1.0, "exchange": "", "routing_key": "order.placed",
    "status": "open", "changed": 1.0,
}  # fmt: skip


def migrate_to(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    with schema._ALEMBIC:  # a migration that an earlier test gave up may be ending in its thread
        command.upgrade(config, revision)


def insert(connection: Connection, event_id: str) -> None:
    """Write a failure as the program of revision 0005 does."""
    values: dict[str, Any] = {**_FAILURE, "event_id": event_id}
    names = ", ".join(values)
    connection.execute(
        text(f"INSERT INTO warren_failures ({names}) VALUES ({', '.join(':' + name for name in values)})"), values
    )
    connection.execute(
        text(
            "INSERT INTO warren_failed_messages (failure_id, traceback, properties, body)"
            " SELECT id, '', '{}', :body FROM warren_failures WHERE event_id = :id"
        ),
        {"body": b'{"order_id": "17"}', "id": event_id},
    )


async def test_failures_of_before_are_found_by_all_that_is_new(database_url: str) -> None:
    pen = Pen(parse(database_url))

    def before(connection: Connection) -> None:
        migrate_to(connection, "0005")
        for number in range(3):
            insert(connection, f"old-{number}")

    await pen.transact(before)
    await pen.close()

    database = await Database.open(database_url, migrate=True)
    # A worker of the older program may go on writing.
    await database.write(lambda connection: insert(connection, "later"))

    async def found(**wanted: Any) -> list[str]:
        rows = await database.read(lambda connection: failure_search.search(connection, Filter(**wanted)))
        return sorted(row.event_id for row in rows)

    everything = ["later", "old-0", "old-1", "old-2"]
    assert await found(texts=("answer",)) == everything
    assert await found(texts=("old-1",)) == ["old-1"]
    assert await found(event_type="order.placed") == everything
    assert await database.read(lambda connection: failure_search.count(connection, Filter(handler="charge"))) == 4
    if database.dialect == "sqlite":
        assert await database.read(lambda connection: failure_counts.total(connection, Filter())) == 4
    assert await found(fields=(("data.order_id", "17"),)) == []
    assert await database.read(failure_fields.missing) == 4
    await database.write(lambda connection: failure_fields.catch_up(connection, 100))
    assert await found(fields=(("data.order_id", "17"),)) == everything
    await database.close()
