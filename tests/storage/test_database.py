from __future__ import annotations

import asyncio
import multiprocessing
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from engine.errors import ConfigurationError, DatabaseError, DatabaseNewer, DatabaseOutdated, DatabaseUnavailable
from engine.storage import schema
from engine.storage.database import Database
from engine.storage.tables import warren_metadata


async def test_open_makes_the_folder_and_the_tables(tmp_path: Path) -> None:
    database = await Database.open(f"sqlite:///{tmp_path}/deep/down/warren.db", migrate=True)
    assert (tmp_path / "deep" / "down" / "warren.db").is_file()
    assert (await database.read(schema.look)).current
    assert database.dialect == "sqlite"
    await database.close()


async def test_sqlite_is_durable_and_checks_foreign_keys(sqlite_database: Database) -> None:
    async def pragma(name: str) -> object:
        return await sqlite_database.pen.transact(
            lambda connection: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
        )

    assert await pragma("journal_mode") == "wal"
    assert await pragma("synchronous") == 2
    assert await pragma("foreign_keys") == 1


async def test_the_migrations_make_exactly_the_tables_of_the_models(database: Database) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    def ours(name: str | None, kind: str, _parents: object) -> bool:
        """All but the index of text, a virtual table of SQLite's, and what that keeps."""
        return kind != "table" or not str(name).startswith("warren_failure_text")

    def differences(connection: object) -> list[object]:
        context = MigrationContext.configure(
            connection,  # type: ignore[arg-type]
            opts={"version_table": schema.VERSION_TABLE, "compare_type": True, "include_name": ours},
        )
        return list(compare_metadata(context, warren_metadata))

    assert await database.read(differences) == []


def test_the_program_knows_its_newest_migration() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [schema.REVISION]


async def test_the_tables_of_a_user_are_left_alone(database_url: str) -> None:
    first = await Database.open(database_url, migrate=True)
    await first.write(lambda connection: connection.execute(text("CREATE TABLE alembic_version (mine TEXT)")))
    await first.write(lambda connection: connection.execute(text("CREATE TABLE events (mine TEXT)")))
    assert (await first.upgrade()).current
    statement = text("SELECT count(*) FROM alembic_version")
    assert await first.read(lambda connection: connection.scalar(statement)) == 0
    await first.close()


async def test_without_tables_it_is_outdated(database_url: str) -> None:
    with pytest.raises(DatabaseOutdated, match="no tables") as caught:
        await Database.open(database_url)
    assert "warren db upgrade" in caught.value.hint
    assert await Database.standing(database_url) == schema.Standing(None, None)


async def set_revision(url: str, revision: str, compatible_from: str | None) -> None:
    database = await Database.open(url, migrate=True)
    await database.write(
        lambda connection: connection.execute(
            text("UPDATE warren_alembic_version SET version_num = :revision"), {"revision": revision}
        )
    )
    if compatible_from is not None:
        await database.write(
            lambda connection: connection.execute(
                text("UPDATE warren_meta SET value = :oldest WHERE key = 'compatible_from'"),
                {"oldest": compatible_from},
            )
        )
    await database.close()


async def test_a_newer_database_that_was_only_expanded_still_serves(database_url: str) -> None:
    await set_revision(database_url, "0999", compatible_from="0001")
    database = await Database.open(database_url, migrate=True)
    assert (await database.read(schema.look)).revision == "0999"
    await database.close()


@pytest.mark.parametrize("revision", ["0999", "abc"])
async def test_a_newer_database_that_was_contracted_is_refused(database_url: str, revision: str) -> None:
    await set_revision(database_url, revision, compatible_from="0998")
    with pytest.raises(DatabaseNewer, match=revision) as caught:
        await Database.open(database_url, migrate=True)
    assert "Upgrade the package" in caught.value.hint


async def test_an_older_database_is_outdated(database_url: str) -> None:
    await set_revision(database_url, "0000", compatible_from=None)
    with pytest.raises(DatabaseOutdated, match="0000"):
        await Database.open(database_url)
    # Alembic knows no such revision, and says so instead of guessing.
    with pytest.raises(DatabaseError, match="0000"):
        await Database.open(database_url, migrate=True)


def open_once(url: str) -> None:
    async def main() -> None:
        await (await Database.open(url, migrate=True)).close()

    asyncio.run(main())


async def test_several_processes_may_migrate_at_once(database_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=open_once, args=(database_url,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        await asyncio.to_thread(process.join, 60)
        assert process.exitcode == 0


async def refused(url: str) -> DatabaseUnavailable:
    with pytest.raises(DatabaseUnavailable) as caught:
        await Database.open(url, migrate=True)
    assert caught.value.hint
    return caught.value


async def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert "is a directory" in (await refused(f"sqlite:///{tmp_path}")).message


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("This is not a database, but a long enough text to be sure of it. " * 20)
    assert "is not a SQLite database" in (await refused(f"sqlite:///{tmp_path}/x.db")).message


async def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be made" in (await refused(f"sqlite:///{tmp_path}/file/x.db")).message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
async def test_a_read_only_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").touch(mode=0o444)
    assert "read-only" in (await refused(f"sqlite:///{tmp_path}/x.db")).message


async def test_a_locked_database_is_refused_when_it_must_be_migrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.storage.engines.BUSY_TIMEOUT", 0.1)
    foreign = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    foreign.execute("CREATE TABLE mine (x)")
    foreign.execute("BEGIN EXCLUSIVE")
    assert "locked by another process" in (await refused(f"sqlite:///{tmp_path}/x.db")).message
    foreign.close()


async def test_a_database_that_a_session_of_another_process_holds_is_refused_in_the_end(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await Database.open(sqlite_url, migrate=True)
    session = first.session()
    await session.execute(text("UPDATE warren_alembic_version SET version_num = '0000'"))
    other = await Database.open(sqlite_url)
    monkeypatch.setattr("engine.storage.database.MIGRATION_PATIENCE", 0.1)
    with pytest.raises(DatabaseUnavailable, match="locked by another process"):
        await other.upgrade()
    monkeypatch.undo()
    await session.abandon()
    assert (await other.upgrade()).current
    await other.close()
    await first.close()


@pytest.mark.parametrize("port", [1, 65000])
async def test_a_server_that_is_not_there(port: int) -> None:
    error = await refused(f"postgresql://someone:secret@127.0.0.1:{port}/name")
    assert "not reached" in error.message
    assert "secret" not in str(error)


async def test_a_database_that_the_server_does_not_have(postgres_url: str) -> None:
    error = await refused(postgres_url.rpartition("/")[0] + "/no_such_database")
    assert "does not exist" in error.message


async def test_reading_cannot_write(sqlite_database: Database) -> None:
    with pytest.raises(DatabaseUnavailable, match="read-only"):
        await sqlite_database.read(lambda connection: connection.execute(text("DELETE FROM warren_meta")))


async def test_reading_leaves_no_transaction_open(database: Database) -> None:
    """An open reader would keep the WAL growing on SQLite, and dead rows on PostgreSQL."""
    await database.read(lambda connection: connection.scalar(text("SELECT count(*) FROM warren_meta")))
    for number in range(50):
        await database.write(lambda connection: connection.execute(text("UPDATE warren_meta SET value = value || 'x'")))
        assert number >= 0
    if database.dialect == "sqlite":
        checkpoint = text("PRAGMA wal_checkpoint(TRUNCATE)")
        with sqlite3.connect(database.address.path) as foreign:
            busy, pages, _ = foreign.execute(str(checkpoint)).fetchone()
        foreign.close()
        assert (busy, pages) == (0, 0)
    else:
        idle = text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
        )
        assert await database.read(lambda connection: connection.scalar(idle)) == 0


async def test_reads_run_side_by_side(database: Database) -> None:
    async with asyncio.timeout(20):
        results = await asyncio.gather(
            *(database.read(lambda connection: connection.scalar(text("SELECT 1"))) for _ in range(50))
        )
    assert results == [1] * 50


async def test_trouble_is_told_from_mistakes(database: Database) -> None:
    with pytest.raises(SQLAlchemyError) as caught:
        await database.read(lambda connection: connection.execute(text("SELECT nonsense FROM nowhere")))
    assert database.trouble(caught.value) is None
    assert isinstance(database.trouble(DatabaseUnavailable("gone")), DatabaseUnavailable)


def test_a_database_that_is_up_to_date_opens_without_alembic(sqlite_url: str) -> None:
    open_once(sqlite_url)
    program = (
        "import asyncio, sys\n"
        "from engine.storage.database import Database\n"
        "database = asyncio.run((lambda: Database.open(sys.argv[1], migrate=True))())\n"
        "assert 'alembic' not in sys.modules\n"
        "assert 'psycopg' not in sys.modules\n"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", program, sqlite_url], check=True, cwd=root, timeout=60)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "warren.db",
        "mysql://localhost/x",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///x.db?mode=ro",
        "postgresql://host:port/x",
        "postgresql://host/x?no_such_option=1",
    ],
)
async def test_wrong_urls(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await Database.open(url)
    assert "sqlite:///path" in caught.value.hint
