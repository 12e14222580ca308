"""Replays of a stream: how far each has read, and which events of it have no outcome yet."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("warren_operations", sa.Column("cursor", sa.Text(), nullable=True))
    op.add_column("warren_operation_items", sa.Column("event_id", sa.Text(), nullable=True))
