"""The tables of projections: how far each has come, and the newest version of each key where it goes by versions."""

from __future__ import annotations

from typing import cast

from sqlalchemy import BigInteger, Integer, Table
from sqlmodel import Field, Index, Text

from engine.storage.tables import WarrenTable

_BIG = BigInteger().with_variant(Integer, "sqlite")


class ProjectionRow(WarrenTable, table=True):
    """One copy of a projection: the live one has no suffix, one that is rebuilt beside it has that of its tables.

    `position` is the last of the log that it is done with. `patterns`, `tables` and `pause` are JSON. While it
    stands at an event that fails, `failed_position` and what follows tell which and why.
    """

    __tablename__ = "warren_projections"
    __table_args__ = (Index("warren_projections_app", "app"),)

    name: str = Field(primary_key=True, sa_type=Text)
    suffix: str = Field(primary_key=True, sa_type=Text)
    app: str = Field(sa_type=Text)
    version: int = Field(sa_type=_BIG)
    state: str = Field(sa_type=Text)
    position: int = Field(sa_type=_BIG)
    patterns: str = Field(sa_type=Text)
    tables: str = Field(sa_type=Text)
    applied: int = Field(sa_type=_BIG)
    stale: int = Field(sa_type=_BIG)
    skipped: int = Field(sa_type=_BIG)
    pause: str = Field(sa_type=Text)
    failed_position: int | None = Field(default=None, sa_type=_BIG)
    failed_event: str = Field(sa_type=Text)
    failed_type: str = Field(sa_type=Text)
    error: str = Field(sa_type=Text)
    attempts: int = Field(sa_type=_BIG)
    retry_at: float
    created: float
    changed: float


class ProjectionVersionRow(WarrenTable, table=True):
    """The newest version of a key that a copy of a projection has seen; also of what it deleted."""

    __tablename__ = "warren_projection_versions"

    projection: str = Field(primary_key=True, sa_type=Text)
    suffix: str = Field(primary_key=True, sa_type=Text)
    key: str = Field(primary_key=True, sa_type=Text)
    version: int = Field(sa_type=_BIG)


projections = cast("Table", getattr(ProjectionRow, "__table__"))  # noqa: B009  # the attribute is untyped
versions = cast("Table", getattr(ProjectionVersionRow, "__table__"))  # noqa: B009
