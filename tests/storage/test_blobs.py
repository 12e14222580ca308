"""Large bodies of failures: written a piece at a time on SQLite, and the same everywhere."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import Connection, text

from engine.model.message import Message
from engine.storage import failures
from engine.storage.blobs import LARGE, PIECE
from engine.storage.database import Database
from engine.storage.failures import FailureDetail
from tests.storage.test_failures import failure


async def whole(database: Database) -> list[FailureDetail]:
    def work(connection: Connection) -> list[FailureDetail]:
        ids = list(connection.scalars(text("SELECT id FROM warren_failures")))
        return failures.get_many(connection, ids)

    return await database.read(work)


@pytest.mark.parametrize("size", [LARGE - 1, LARGE, 3 * LARGE + PIECE // 2 + 1])
async def test_a_body_of_any_size_is_kept_exactly_and_once(database: Database, size: int) -> None:
    body = random.Random(size).randbytes(size)
    found = [failure("small"), failure("large", original=Message(body, message_id="large")), failure("empty")]
    found[2] = found[2]._replace(original=Message(b""))
    assert await database.write(lambda connection: failures.add(connection, found)) == 3
    again = failure("large", original=Message(b"-" * size), body_hash=found[1].body_hash)
    assert await database.write(lambda connection: failures.add(connection, [again])) == 0
    details = await whole(database)
    assert {detail.row.event_id: detail.original.body for detail in details} == {
        "small": b"\x00body\xff",
        "large": body,
        "empty": b"",
    }


async def test_a_large_body_is_rolled_back_with_its_transaction(database: Database) -> None:
    def work(connection: Connection) -> None:
        failures.add(connection, [failure(original=Message(bytes(2 * LARGE)))])
        raise RuntimeError("the process had died here")

    with pytest.raises(RuntimeError):
        await database.write(work)
    assert await whole(database) == []
