"""Schedules, and up to which tick each is settled."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "warren_schedules",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("name", "app", "spec", "timezone", "missed")),
        sa.Column("last", sa.Float(), nullable=False),
        sa.Column("next", sa.Float(), nullable=False),
        sa.Column("fired", sa.Float(), nullable=True),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("changed", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
