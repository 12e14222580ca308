"""New ids: unique, of the standard form, in the order in which they were made."""

from __future__ import annotations

import time
import uuid

from engine.runtime.ids import new_id


def test_ids_are_uuids_of_version_7_that_tell_the_time() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(new_id())
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000


def test_ids_sort_by_when_they_were_made() -> None:
    ids = []
    for _ in range(2000):
        ids.append(new_id())
        until = time.time_ns() + 1000  # as long as it takes to make the row that goes by the id
        while time.time_ns() < until:
            pass
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
