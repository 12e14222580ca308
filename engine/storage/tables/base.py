"""What all tables of Warren have in common: their metadata, their base, and column types."""

from __future__ import annotations

from typing import Any

from sqlalchemy import MetaData, text
from sqlalchemy.orm import registry
from sqlmodel import BigInteger, Field, Integer, SQLModel, Text

#: Holds `warren_*` and nothing else.
warren_metadata = MetaData()

#: 64 bits; SQLite counts its ids only in a column called INTEGER, which has 64 bits there.
BIG = BigInteger().with_variant(Integer, "sqlite")


def where(said: str) -> dict[str, Any]:
    """For an index over some of the rows."""
    condition = text(said)
    return {"sqlite_where": condition, "postgresql_where": condition}


class WarrenTable(SQLModel, registry=registry(metadata=warren_metadata)):
    """The base of all tables of Warren."""


class MetaRow(WarrenTable, table=True):
    """Facts about the database itself, such as the oldest program that may still use it."""

    __tablename__ = "warren_meta"

    key: str = Field(primary_key=True, sa_type=Text)
    value: str = Field(sa_type=Text)
