"""Finding failures fast: by text, by a field of the payload, by type; counts of groups; undoing an act.

On SQLite text is found through FTS5 and counts are kept, both by triggers, so that a program one
release older keeps them too; what is there is taken in here, 100,000 failures in about two seconds.
The fields of payloads are taken in by and by, by whoever has time (`indexed` says of which).
"""

# ruff: noqa: S608  # what is put together here are names of columns

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_KIND = "fingerprint, status, handler, queue, exception, event_type"
_TEXTS = "message, exception, reason, event_id"


def upgrade() -> None:
    _columns()
    _tables()
    if op.get_bind().dialect.name == "sqlite":
        _counts()
        _text()
        _append_only_on_sqlite()
    else:
        _append_only_on_postgresql()


def _columns() -> None:
    op.add_column("warren_failures", sa.Column("indexed", sa.Boolean(), nullable=True))
    op.add_column("warren_failures", sa.Column("archived_by", sa.Text(), nullable=True))
    op.add_column("warren_failures", sa.Column("archived_from", sa.Text(), nullable=True))
    op.create_index("warren_failures_type", "warren_failures", ["event_type", "arrived", "id"])
    for name, columns, condition in (
        ("warren_failures_act", ["archived_by", "id"], "archived_by IS NOT NULL"),
        ("warren_failures_unindexed", ["id"], "indexed IS NULL"),
    ):
        op.create_index(
            name,
            "warren_failures",
            columns,
            sqlite_where=sa.text(condition),
            postgresql_where=sa.text(condition),
        )


def _tables() -> None:
    op.create_table(
        "warren_failure_fields",
        sa.Column("leaf", sa.BigInteger(), nullable=False),
        sa.Column("failure_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("leaf", "failure_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "warren_failure_counts",
        *(sa.Column(name, sa.Text(), nullable=False) for name in _KIND.split(", ")),
        sa.Column("total", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.PrimaryKeyConstraint(*_KIND.split(", ")),
        sqlite_with_rowid=False,
    )


def _counts() -> None:
    op.execute(
        f"INSERT INTO warren_failure_counts ({_KIND}, total)"
        f" SELECT {_KIND}, count(*) FROM warren_failures GROUP BY {_KIND}"
    )
    new = ", ".join(f"new.{name}" for name in _KIND.split(", "))
    old = " AND ".join(f"{name} = old.{name}" for name in _KIND.split(", "))
    add = (
        f"INSERT INTO warren_failure_counts ({_KIND}, total) VALUES ({new}, 1)"
        f" ON CONFLICT ({_KIND}) DO UPDATE SET total = total + 1;"
    )
    take = (
        f"UPDATE warren_failure_counts SET total = total - 1 WHERE {old};"
        f" DELETE FROM warren_failure_counts WHERE total < 1 AND {old};"
    )
    for name, when, what in (
        ("added", "AFTER INSERT", add),
        ("moved", f"AFTER UPDATE OF {_KIND}", take + " " + add),
        ("removed", "AFTER DELETE", take),
    ):
        op.execute(f"CREATE TRIGGER warren_failure_{name} {when} ON warren_failures BEGIN {what} END")


def _text() -> None:
    """The index of text; without FTS5 or its trigrams (SQLite 3.34) a search reads all texts instead."""
    try:
        op.execute(
            f"CREATE VIRTUAL TABLE warren_failure_text USING fts5({_TEXTS},"
            " content='warren_failures', content_rowid='id', tokenize='trigram', detail=none)"
        )
    except sa.exc.OperationalError:
        return
    op.execute(f"INSERT INTO warren_failure_text (rowid, {_TEXTS}) SELECT id, {_TEXTS} FROM warren_failures")
    new = ", ".join(f"new.{name}" for name in _TEXTS.split(", "))
    op.execute(
        "CREATE TRIGGER warren_failure_text_added AFTER INSERT ON warren_failures BEGIN"
        f" INSERT INTO warren_failure_text (rowid, {_TEXTS}) VALUES (new.id, {new}); END"
    )
    op.execute(
        "CREATE TRIGGER warren_failure_text_removed AFTER DELETE ON warren_failures BEGIN"
        f" INSERT INTO warren_failure_text (warren_failure_text, rowid, {_TEXTS})"
        f" VALUES ('delete', old.id, {new.replace('new.', 'old.')}); END"
    )


def _append_only_on_sqlite() -> None:
    for what in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER warren_audit_no_{what.lower()} BEFORE {what} ON warren_audit BEGIN"
            " SELECT RAISE(ABORT, 'the audit is append-only'); END"
        )


def _append_only_on_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION warren_append_only() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'the audit is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER warren_audit_append_only BEFORE UPDATE OR DELETE ON warren_audit"
        " FOR EACH ROW EXECUTE FUNCTION warren_append_only()"
    )
