"""Projections: how far each copy of each has come in the log, and the versions it has seen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "warren_projections",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("suffix", sa.Text(), nullable=False),
        sa.Column("app", sa.Text(), nullable=False),
        sa.Column("version", number, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("position", number, nullable=False),
        sa.Column("patterns", sa.Text(), nullable=False),
        sa.Column("tables", sa.Text(), nullable=False),
        sa.Column("applied", number, nullable=False),
        sa.Column("stale", number, nullable=False),
        sa.Column("skipped", number, nullable=False),
        sa.Column("pause", sa.Text(), nullable=False),
        sa.Column("failed_position", number, nullable=True),
        sa.Column("failed_event", sa.Text(), nullable=False),
        sa.Column("failed_type", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("attempts", number, nullable=False),
        sa.Column("retry_at", sa.Float(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("changed", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", "suffix"),
    )
    op.create_index("warren_projections_app", "warren_projections", ["app"])
    op.create_table(
        "warren_projection_versions",
        sa.Column("projection", sa.Text(), nullable=False),
        sa.Column("suffix", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version", number, nullable=False),
        sa.PrimaryKeyConstraint("projection", "suffix", "key"),
    )
