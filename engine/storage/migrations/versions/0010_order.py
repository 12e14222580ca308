"""The order of keys: which are blocked by what failed, what waits behind it, and whose order an outbox row is in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "warren_blocks",
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("queue", "key"),
    )
    op.create_index("warren_blocks_event", "warren_blocks", ["queue", "event_id"])
    op.create_table(
        "warren_held",
        sa.Column("position", number, nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("publication", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("arrived", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
        sqlite_autoincrement=True,
    )
    op.create_index("warren_held_line", "warren_held", ["queue", "key", "position"])
    op.create_index("warren_held_event", "warren_held", ["queue", "event_id"], unique=True)
    keyed = sa.text("order_key IS NOT NULL")
    op.add_column("warren_outbox", sa.Column("order_key", sa.Text(), nullable=True))
    op.create_index("warren_outbox_order", "warren_outbox", ["order_key"], sqlite_where=keyed, postgresql_where=keyed)
