from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import ConfigurationError
from engine.storage.urls import hide_password, parse


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    address = parse("sqlite:///.warren/warren.db")
    assert address.path == tmp_path / ".warren" / "warren.db"
    assert address.shown == f"sqlite:///{tmp_path}/.warren/warren.db"


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_postgresql_in_all_its_spellings(scheme: str) -> None:
    address = parse(f"{scheme}://me:secret@host:5432/name")
    assert address.dialect == "postgresql"
    assert address.target == "postgresql://me:secret@host:5432/name"
    assert address.shown == "postgresql://me:***@host:5432/name"


def test_several_hosts() -> None:
    url = "postgresql://me@one:5432,two:5433/name?target_session_attrs=read-write"
    assert parse(url).target == url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me@host/name", "postgresql://me@host/name"),
        ("postgresql://me:p%40ss:word@host/name", "postgresql://me:***@host/name"),
        ("postgresql://host/name?user=me&password=secret&x=1", "postgresql://host/name?user=me&password=***&x=1"),
    ],
)
def test_passwords_are_not_shown(url: str, shown: str) -> None:
    assert hide_password(url) == shown


def test_an_error_does_not_show_the_password() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse("postgresql://me:secret@host:port:x/name")
    assert "secret" not in str(caught.value)
