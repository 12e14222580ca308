"""Recorded operations and their items, edited bodies, and the log of events."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _texts(*names: str, nullable: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text(), nullable=nullable) for name in names]


def _bigs(*names: str, nullable: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, _BIG, nullable=nullable) for name in names]


def _times(*names: str, nullable: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Float(), nullable=nullable) for name in names]


def _bytes(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.LargeBinary(), nullable=False) for name in names]


def upgrade() -> None:
    _operations()
    _edits()
    _events()


def _operations() -> None:
    op.create_table(
        "warren_operations",
        *_texts("id", "app", "kind", "state", "stage", "who", "why", "asked", "options", "target"),
        *_bigs("total", "sent", "succeeded", "failed_again", "failed_otherwise", "skipped"),
        *_bigs("base_position", "base_sent", "fresh_verified", "fresh_failed"),
        *_times("pace"),
        *_texts("note"),
        *_texts("owner", nullable=True),
        *_times("created"),
        *_times("started", "ended", nullable=True),
        *_times("changed"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("warren_operations_created", "warren_operations", ["created", "id"])
    op.create_index("warren_operations_state", "warren_operations", ["state"])
    op.create_table(
        "warren_operation_items",
        *_texts("operation"),
        *_bigs("position", "subject"),
        *_texts("state", "verdict"),
        *_bigs("run", nullable=True),
        *_times("changed"),
        sa.PrimaryKeyConstraint("operation", "position"),
    )
    op.create_index("warren_operation_items_state", "warren_operation_items", ["operation", "state", "position"])
    op.create_index("warren_operation_items_subject", "warren_operation_items", ["subject"])


def _edits() -> None:
    op.create_table(
        "warren_edits",
        *_bigs("id", "failure_id"),
        *_texts("operation", nullable=True),
        *_times("at"),
        *_texts("who", "why"),
        *_bytes("original", "edited"),
        *_texts("diff", "state"),
        *_times("changed"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("warren_edits_failure", "warren_edits", ["failure_id", "id"])
    pending = sa.text("state = 'pending'")
    op.create_index(
        "warren_edits_pending", "warren_edits", ["failure_id"], unique=True, sqlite_where=pending, postgresql_where=pending
    )  # fmt: skip


def _events() -> None:
    op.create_table(
        "warren_events",
        *_bigs("position"),
        *_texts("event_id", "event_type"),
        *_texts("aggregate_type", "aggregate_id", nullable=True),
        *_bigs("version", nullable=True),
        *_texts("origin", "queue", "source"),
        *_texts("correlation_id", "causation_id", nullable=True),
        *_texts("exchange"),
        *_texts("routing_key", nullable=True),
        *_times("time"),
        *_times("due", nullable=True),
        *_times("recorded"),
        *_texts("properties"),
        *_bytes("body"),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("warren_events_id", "warren_events", ["event_id"], unique=True)
    stream = ["aggregate_type", "aggregate_id", "version"]
    _partial_index("warren_events_stream", stream, "version", unique=True)
    _partial_index("warren_events_aggregate", ["aggregate_id"], "aggregate_id", unique=False)
    op.create_index("warren_events_type", "warren_events", ["event_type", "position"])
    op.create_index("warren_events_correlation", "warren_events", ["correlation_id"])
    op.create_index("warren_events_recorded", "warren_events", ["recorded"])


def _partial_index(name: str, columns: list[str], there: str, *, unique: bool) -> None:
    """Over the rows alone that have something in the column `there`."""
    condition = sa.text(f"{there} IS NOT NULL")
    op.create_index(
        name, "warren_events", columns, unique=unique, sqlite_where=condition, postgresql_where=condition
    )  # fmt: skip
