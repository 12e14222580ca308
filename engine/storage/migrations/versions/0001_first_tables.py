"""The first tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
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


def _failures() -> None:
    op.create_table(
        "warren_failures",
        *_bigs("id"),
        *_texts("queue", "event_id"),
        *_bigs("run"),
        *_bytes("body_hash"),
        *_texts("event_type", "handler", "worker", "reason", "exception", "message", "fingerprint"),
        *_bigs("attempts"),
        *_times("first_failed", "last_failed", "arrived"),
        *_texts("exchange", "routing_key"),
        *_texts("correlation_id", nullable=True),
        *_texts("status"),
        *_bigs("redriven_run", nullable=True),
        *_times("changed"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("warren_failures_key", "warren_failures", ["queue", "event_id", "run", "body_hash"], unique=True)
    op.create_index("warren_failures_arrived", "warren_failures", ["arrived", "id"])
    for name in ("status", "queue", "handler", "exception"):
        op.create_index(f"warren_failures_{name}", "warren_failures", [name, "arrived", "id"])
    op.create_index("warren_failures_correlation", "warren_failures", ["correlation_id", "arrived", "id"])
    op.create_index("warren_failures_fingerprint", "warren_failures", ["fingerprint", "arrived", "id", "status"])
    op.create_table(
        "warren_failed_messages",
        *_bigs("failure_id"),
        *_texts("traceback", "properties"),
        *_bytes("body"),
        sa.PrimaryKeyConstraint("failure_id"),
        sa.ForeignKeyConstraint(["failure_id"], ["warren_failures.id"], ondelete="CASCADE"),
    )


def _flow() -> None:
    op.create_table(
        "warren_records",
        *_texts("queue", "event_id", "state"),
        *_bigs("run", "attempts", "token"),
        *_texts("worker"),
        *_bytes("body_hash"),
        *_bigs("deaths"),
        sa.Column("probation", sa.Boolean(), nullable=False),
        *_times("created", "updated"),
        sa.PrimaryKeyConstraint("queue", "event_id"),
    )
    op.create_table(
        "warren_outbox",
        *_texts("id"),
        *_texts("owner", nullable=True),
        *_texts("kind", "publication"),
        *_bytes("body"),
        *_times("due", nullable=True),
        *_times("created"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("warren_outbox_owner", "warren_outbox", ["owner", "id"])


def _fleet() -> None:
    op.create_table(
        "warren_workers",
        *_texts("id", "app", "version", "state"),
        *_times("started", "beat"),
        *_texts("info"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table("warren_beats", *_texts("worker"), *_bigs("counter"), sa.PrimaryKeyConstraint("worker"))
    op.create_table(
        "warren_stats",
        *_texts("worker", "queue", "handler"),
        *_bigs("handled", "failed", "retried", "duplicates", "stale", "parked", "dead", "in_flight"),
        *_texts("latency"),
        *_times("updated"),
        sa.PrimaryKeyConstraint("worker", "queue"),
    )
    op.create_table(
        "warren_queues",
        *_texts("queue", "app", "handler", "patterns"),
        *_times("first_declared", "last_declared"),
        sa.PrimaryKeyConstraint("queue"),
    )
    op.create_table(
        "warren_leases",
        *_texts("name"),
        *_texts("owner", nullable=True),
        *_bigs("token"),
        *_times("taken"),
        sa.PrimaryKeyConstraint("name"),
    )


def upgrade() -> None:
    _flow()
    _failures()
    _fleet()
    op.create_table(
        "warren_audit",
        *_bigs("id"),
        *_times("at"),
        *_texts("who", "action", "why", "what", "outcome"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("warren_audit_at", "warren_audit", ["at", "id"])
    meta = op.create_table("warren_meta", *_texts("key", "value"), sa.PrimaryKeyConstraint("key"))
    op.bulk_insert(meta, [{"key": "compatible_from", "value": "0001"}])
