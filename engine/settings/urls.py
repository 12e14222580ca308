"""URLs of brokers and databases: checked before anything is opened, and shown without passwords."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from engine.errors import ConfigurationError

EMBEDDED = "embedded://"
SQLITE = "sqlite:///"

_BROKERS = ("embedded", "amqp", "amqps")
_DATABASES = ("sqlite", "postgresql", "postgres", "postgresql+psycopg")
_SECRET = re.compile(r"([?&][^=&#]*(?:pass|secret|token)[^=&#]*=)[^&#]*", re.IGNORECASE)


def redact(url: str) -> str:
    """The URL with `***` for its password. In doubt it hides too much."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        return "***" if "@" in url else url
    # The last @ ends the user's part, for a password may hold one.
    user, at, address = rest.rpartition("@")
    if at:
        name, colon, _ = user.partition(":")
        rest = f"{name}:***@{address}" if colon else f"{name}@{address}"
    return _SECRET.sub(r"\1***", f"{scheme}://{rest}")


def broker_url(url: str, where: str, base: Path) -> str:
    """Check a broker's URL; the path of an embedded one is made absolute from `base`."""
    _check_scheme(url, where, "broker", _BROKERS, "embedded://, amqp://user:password@host:5672/vhost or amqps://…")
    if url.startswith(EMBEDDED):
        path, mark, _ = url.removeprefix(EMBEDDED).partition("?")
        if mark:
            raise ConfigurationError(f"{where}: an embedded:// URL takes no options", hint="Use embedded:// alone.")
        return EMBEDDED + str(_absolute(path, base)) if path else url
    _check_host(url, where)
    return url


def database_url(url: str, where: str, base: Path) -> str:
    """Check a database's URL; the path of a SQLite one is made absolute from `base`."""
    forms = "sqlite:///path/to/file.db or postgresql://user:password@host:5432/name"
    _check_scheme(url, where, "database", _DATABASES, forms)
    if not url.startswith("sqlite"):
        _check_host(url, where)
        return url
    path = url.removeprefix(SQLITE)
    if path == url or not path or path.startswith((":", "?")):
        raise ConfigurationError(
            f"{where}: the SQLite URL names no file", hint="Write sqlite:///relative.db or sqlite:////absolute.db."
        )
    return SQLITE + str(_absolute(path, base))


def _absolute(path: str, base: Path) -> Path:
    return base / Path(path).expanduser()


def _check_scheme(url: str, where: str, what: str, known: tuple[str, ...], forms: str) -> None:
    scheme, mark, _ = url.partition("://")
    if not mark:  # what stands there instead may be a password
        raise ConfigurationError(f"{where} is not a {what} URL: it has no ://", hint=f"Use {forms}.")
    if scheme not in known:
        raise ConfigurationError(f"{where}: a {what} URL cannot have the scheme {scheme[:20]!r}", hint=f"Use {forms}.")


def _check_host(url: str, where: str) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigurationError(
            f"{where}: {redact(url)} is not a URL", hint="Write a / or @ within a password as %2F or %40."
        ) from None
    if not parts.hostname and not url.startswith("postgres"):  # libpq knows sockets
        raise ConfigurationError(f"{where}: {redact(url)} names no host")
    if port == 0:
        raise ConfigurationError(f"{where}: {redact(url)} has the port 0")
