"""Which migration the database is at, whether this program may use it, and how it is brought up to date.

Migrations expand first and contract in a later release. A migration writes into
`warren_meta` the oldest revision whose programs still run on what it leaves behind
(`compatible_from`), so that a fleet can be upgraded one worker at a time.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import NamedTuple

from sqlalchemy import Connection, String, column, inspect, select, table, text

from engine.errors import DatabaseError, DatabaseNewer, DatabaseOutdated
from engine.storage.tables import meta

#: The revision that this program is written for: the newest in `migrations/versions`.
REVISION = "0010"

#: Alembic keeps what it migrates in globals of its modules: one thread at a time.
_ALEMBIC = Lock()

VERSION_TABLE = "warren_alembic_version"
COMPATIBLE_FROM = "compatible_from"

#: Held on PostgreSQL while migrating, so that two programs that start together take turns ("WARREN").
_ADVISORY_LOCK = 0x57415252454E


class Standing(NamedTuple):
    """Where a database stands: its revision (None without tables), and whom it still suits."""

    revision: str | None
    compatible_from: str | None

    @property
    def current(self) -> bool:
        """Whether it is exactly what this program is written for."""
        return self.revision == REVISION

    @property
    def outdated(self) -> bool:
        """Whether it lacks migrations that this program has."""
        return self.revision is None or (self.revision.isdigit() and self.revision < REVISION)


def look(connection: Connection) -> Standing:
    """Read where the database stands; changes nothing."""
    inspector = inspect(connection)
    if not inspector.has_table(VERSION_TABLE):
        return Standing(None, None)
    version = column("version_num", String())
    revision = connection.scalar(select(version).select_from(table(VERSION_TABLE, version)))
    oldest = None
    if inspector.has_table("warren_meta"):
        oldest = connection.scalar(select(meta.c.value).where(meta.c.key == COMPATIBLE_FROM))
    return Standing(revision, oldest)


def judge(standing: Standing, shown: str) -> DatabaseError | None:
    """Why this program may not use the database, or None if it may."""
    if standing.current:
        return None
    if standing.revision is None:
        return DatabaseOutdated(f"the database {shown} has no tables of Warren", hint="Make them: `warren db upgrade`.")
    if standing.outdated:
        return DatabaseOutdated(
            f"the database {shown} is at revision {standing.revision}, and this program needs {REVISION}",
            hint="Bring it up to date: `warren db upgrade`.",
        )
    if standing.compatible_from is not None and standing.compatible_from <= REVISION:
        return None
    return DatabaseNewer(
        f"the database {shown} is at revision {standing.revision}, newer than this program, which knows {REVISION}",
        hint="Upgrade the package `warren` here to the version that the other workers run.",
    )


def upgrade(connection: Connection) -> Standing:
    """Apply the missing migrations within the present transaction, and say where the database now stands."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    if look(connection).outdated:  # another program may have been quicker
        _run_alembic(connection)
    return look(connection)


def _run_alembic(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    scripts = Path(__file__).with_name("migrations")
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        with _ALEMBIC:
            command.upgrade(config, "head")
    except CommandError as error:
        raise DatabaseError(
            f"the database cannot be migrated: {error}", hint="Was it made by a development version? Start a new one."
        ) from error
