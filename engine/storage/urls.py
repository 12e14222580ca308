"""Database URLs: `sqlite:///path/to/file` and `postgresql://user@host/name`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from engine.errors import ConfigurationError

Dialect: TypeAlias = Literal["sqlite", "postgresql"]

_FORMS = "Use sqlite:///path/to/file.db or postgresql://user@host:5432/name."
_POSTGRESQL = re.compile(r"(?:postgresql|postgres)(?:\+psycopg)?://")
_PASSWORD = re.compile(r"(//[^/@:]*):[^/]*@")
_PASSWORD_OPTION = re.compile(r"([?&](?:ssl)?password=)[^&]*")


class Address(NamedTuple):
    """Where a database is. `target` is an absolute path, or a URL as libpq reads it."""

    dialect: Dialect
    target: str
    #: The URL without its password, to be shown and logged.
    shown: str

    @property
    def path(self) -> Path:
        """The file of a SQLite database."""
        return Path(self.target)


def parse(url: str) -> Address:
    """Read a database URL. Raises `ConfigurationError` for one that cannot be used."""
    if url.startswith("sqlite:"):
        return _sqlite(url)
    match = _POSTGRESQL.match(url)
    if match is None:
        scheme = url.partition(":")[0] if ":" in url else url
        raise ConfigurationError(f"no database is known by a URL that starts with {scheme[:40]!r}", hint=_FORMS)
    target = "postgresql://" + url[match.end() :]
    shown = hide_password(target)
    _check_libpq(target, shown)
    return Address("postgresql", target, shown)


def hide_password(url: str) -> str:
    """The URL with `***` in the place of a password."""
    return _PASSWORD_OPTION.sub(r"\1***", _PASSWORD.sub(r"\1:***@", url))


def _sqlite(url: str) -> Address:
    if not url.startswith("sqlite:///"):
        raise ConfigurationError(f"the database URL {url!r} names no file", hint=_FORMS)
    name, mark, options = url.removeprefix("sqlite:///").partition("?")
    if mark:
        raise ConfigurationError(
            f"the database URL has the option {options.partition('=')[0]!r}, and a SQLite URL takes none", hint=_FORMS
        )
    if not name or name.startswith(":memory:") or "\0" in name:
        raise ConfigurationError(
            f"the database URL {url!r} names no file",
            hint="Workers and the command line share the database, so it cannot be in memory. " + _FORMS,
        )
    path = Path(name).expanduser().absolute()
    return Address("sqlite", str(path), f"sqlite:///{path}")


def _check_libpq(target: str, shown: str) -> None:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        ports = str(conninfo_to_dict(target).get("port", "")).split(",")
    except psycopg.Error as error:
        reason = hide_password(str(error).strip())
        raise ConfigurationError(f"the database URL {shown} cannot be used: {reason}", hint=_FORMS) from None
    for port in ports:
        if port and not (port.isdecimal() and 0 < int(port) < 65536):
            raise ConfigurationError(f"the database URL {shown} has no valid port", hint=_FORMS)
