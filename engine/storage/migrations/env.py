"""What alembic runs: the migrations, on the connection and in the transaction that it is handed."""

from __future__ import annotations

from alembic import context

from engine.storage import projection_tables  # noqa: F401  # they join the metadata
from engine.storage.schema import VERSION_TABLE
from engine.storage.tables import warren_metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=warren_metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
