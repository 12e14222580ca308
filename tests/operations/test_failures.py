"""Filters from words, pages, and failures in words."""

from __future__ import annotations

import json

import pytest

from engine.errors import ConfigurationError, UsageError
from engine.operations.failures import detail_dict, groups, make_filter, narrows, one, page, pretty_body
from engine.operations.masking import UNMASKED
from engine.storage.database import Database
from engine.storage.failures import Status
from tests.support.failing import bury


async def test_ages_are_reckoned_from_now(database: Database) -> None:
    old = await bury(database, "old", arrived=1000.0)
    new = await bury(database, "new", arrived=9000.0)
    now = 10_000.0

    async def found(older_than: str | None = None, newer_than: str | None = None) -> list[int]:
        wanted = make_filter(now=now, older_than=older_than, newer_than=newer_than)
        return [row.id for row in (await page(database, wanted, limit=10, masking=UNMASKED)).rows]

    assert await found(older_than="1h") == [old]
    assert await found(newer_than="1h") == [new]
    assert await found() == [new, old]
    assert await found(older_than="1h", newer_than="1h") == []


async def test_a_page_knows_how_many_there_are_and_where_the_next_begins(database: Database) -> None:
    ids = [await bury(database, f"e-{number}", arrived=1000.0 + number) for number in range(5)]
    first = await page(database, make_filter(now=0), limit=3, masking=UNMASKED)
    assert ([row.id for row in first.rows], first.total) == (ids[:1:-1], 5)
    second = await page(database, make_filter(now=0), limit=3, masking=UNMASKED, after=first.after)
    assert ([row.id for row in second.rows], second.after) == (ids[1::-1], None)


async def test_failures_are_grouped_by_cause(database: Database) -> None:
    for number in range(3):
        await bury(database, f"a-{number}")
    await bury(database, "b", exception="ValueError")
    assert [group.total for group in await groups(database, make_filter(now=0), limit=10, masking=UNMASKED)] == [3, 1]


def test_a_status_that_is_none_names_the_nearest() -> None:
    with pytest.raises(ConfigurationError) as refused:
        make_filter(now=0, status="opne")
    assert "open" in refused.value.hint
    assert make_filter(now=0).status is Status.OPEN
    assert make_filter(now=0, status="all").status is None


def test_a_filter_by_status_alone_narrows_nothing() -> None:
    assert not narrows(make_filter(now=0))
    assert narrows(make_filter(now=0, ids=[1]))
    assert narrows(make_filter(now=0, handler="charge"))


async def test_a_failure_that_is_not_there_is_said_so(database: Database) -> None:
    with pytest.raises(UsageError, match="there is no failure 7"):
        await one(database, 7, masking=UNMASKED)


@pytest.mark.parametrize(("body", "key"), [(b'{"a": 1}', "body"), (b"\xff\xfe\x00", "body_base64")])
async def test_a_failure_is_json_whatever_its_body_and_headers_are(database: Database, body: bytes, key: str) -> None:
    detail = await one(database, await bury(database, "e-1", body=body), masking=UNMASKED)
    found = json.loads(json.dumps(detail_dict(detail), allow_nan=False))
    assert found[key]
    assert found["headers"]["tenant"] == "t-1"


def test_bodies_for_people() -> None:
    assert pretty_body(b'{"a":[1.50]}') == '{\n  "a": [\n    1.50\n  ]\n}'
    assert pretty_body("Grüße".encode()) == "Grüße"
    assert "3 bytes that are not text" in pretty_body(b"\xff\x00\xfe")
    assert pretty_body(b"x" * 100, limit=10).endswith("(100 bytes in all)")
    assert pretty_body(b"[" * 60_000) == "[" * 60_000
