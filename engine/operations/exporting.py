"""Failures as lines of JSON, for other tools and for whoever asks for proof."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial

from engine.model.filter import Filter
from engine.model.masking import Masking
from engine.operations.archiving import NOT_THERE, Selection
from engine.operations.failures import detail_dict
from engine.operations.filtering import format_filter
from engine.operations.masking import mask_detail
from engine.operations.operator import Operator
from engine.operations.writing import write
from engine.storage import audit, failure_search, failures
from engine.storage.database import Database

#: Failures that are read at a time.
GROUP = 100


async def plan_export(database: Database, wanted: Filter) -> Selection:
    """What `export` would write. Changes nothing."""
    ids = await database.read(lambda connection: failure_search.select_ids(connection, wanted))
    missing = 0 if wanted.ids is None else len(set(wanted.ids)) - len(ids)
    return Selection("export", tuple(ids), +Counter({NOT_THERE: missing}), format_filter(wanted))


async def export(
    database: Database, selection: Selection, *, operator: Operator, masking: Masking, why: str = ""
) -> AsyncIterator[bytes]:
    """The failures, oldest first, one line of ASCII JSON each; those deleted meanwhile are left out.

    Who exports what is written to the audit when it begins; an operator who only looks leaves no trace there,
    and gets no secrets: without masking it raises `ReadOnly`.
    """
    if not masking.on:
        operator.allow("export secrets unmasked")
    if not operator.read_only:
        entry = audit.Entry(
            time.time(),
            operator.who,
            "failures export",
            why,
            {"asked": selection.asked, "masked": masking.on},
            {"failures": len(selection.ids)},
        )
        await write(database, partial(audit.append, entry=entry))
    for start in range(0, len(selection.ids), GROUP):
        chunk = selection.ids[start : start + GROUP]
        yield await database.read(lambda connection, chunk=chunk: _lines(connection, chunk, masking))  # type: ignore[misc]


def _lines(connection: object, ids: tuple[int, ...], masking: Masking) -> bytes:
    found = failures.get_many(connection, ids)  # type: ignore[arg-type]
    return b"".join(_line(detail_dict(mask_detail(detail, masking))) for detail in found)


def _line(failure: dict[str, object]) -> bytes:
    return json.dumps(failure, default=str).replace("\x7f", "\\u007f").encode() + b"\n"
