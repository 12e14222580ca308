"""Read a broker URL strictly: what is wrong with it is said before anything connects."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from yarl import URL

from engine.errors import ConfigurationError

#: Default heartbeat, in seconds. A silent connection is given up after 2 heartbeats and 2 s.
HEARTBEAT = 5
#: Default time-out of a connection attempt, in seconds.
CONNECTION_TIMEOUT = 10.0

#: What may stand in the query of a broker URL.
KNOWN = {
    "heartbeat": "seconds from 1 to 300",
    "connection_timeout": "seconds from 0.1 to 300",
    "cafile": "a file of certificates that sign the broker's, with amqps",
    "certfile": "the client's certificate, with amqps",
    "keyfile": "the key of the client's certificate, with amqps",
    "no_verify_ssl": "true or false: do not check the broker's certificate, with amqps",
}
_TLS = ("cafile", "certfile", "keyfile", "no_verify_ssl")


@dataclass(frozen=True, slots=True)
class Options:
    """A broker URL, taken apart. Its text never holds the password."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    vhost: str
    tls: bool
    heartbeat: int = HEARTBEAT
    connection_timeout: float = CONNECTION_TIMEOUT
    cafile: str | None = None
    certfile: str | None = None
    keyfile: str | None = None
    verify: bool = True

    def __str__(self) -> str:
        scheme = "amqps" if self.tls else "amqp"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{quote(self.user, safe='')}@{host}:{self.port}/{quote(self.vhost, safe='')}"

    def connect_url(self, name: str) -> URL:
        """The URL for aiormq, with a connection name that the broker shows; it holds the password."""
        return URL.build(
            scheme="amqp",  # the tap factory makes TLS
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            path="/" + self.vhost.replace("/", "%2F"),
            query={"heartbeat": str(self.heartbeat), "name": name},
        )

    def ssl_context(self) -> ssl.SSLContext | None:
        """The TLS settings, None for amqp. Reads files; raises `ConfigurationError`."""
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.cafile)
            if self.certfile:
                context.load_cert_chain(self.certfile, self.keyfile)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"The certificates named in the broker URL cannot be used: {error}.",
                hint="cafile, certfile and keyfile are PEM files.",
            ) from None
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def parse(url: str) -> Options:
    """Take a broker URL apart; raises `ConfigurationError` without repeating its password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # its text may hold a piece of the password
        raise ConfigurationError("The host or port of the broker URL cannot be read.", hint=_FORM + _ESCAPE) from None
    if parts.scheme not in ("amqp", "amqps"):
        raise ConfigurationError(f"The broker URL has the scheme {parts.scheme!r}.", hint=_FORM)
    tls = parts.scheme == "amqps"
    if not parts.hostname:
        raise ConfigurationError("The broker URL names no host.", hint=_FORM)
    if "#" in url or "@" in parts.path or any("@" in name for name, _ in parse_qsl(parts.query, True)):
        raise ConfigurationError("The broker URL has a '#' or '@' where none can be.", hint=_FORM + _ESCAPE)
    if port == 0:
        raise ConfigurationError("The broker URL names port 0.", hint=_FORM)
    given = _query(parts.query)
    if not tls and (misplaced := [name for name in _TLS if name in given]):
        raise ConfigurationError(
            f"The broker URL has {misplaced[0]}, which is of no use without TLS.", hint="Begin the URL with amqps://."
        )
    for name in ("cafile", "certfile", "keyfile"):
        if name in given and not Path(given[name]).is_file():
            raise ConfigurationError(f"The broker URL names the {name} {given[name]!r}, which is no file.")
    if "keyfile" in given and "certfile" not in given:
        raise ConfigurationError("The broker URL has a keyfile and no certfile.", hint="A key goes with a certificate.")
    return Options(
        host=parts.hostname,
        port=port or (5671 if tls else 5672),
        user=unquote(parts.username) if parts.username else "guest",
        password=unquote(parts.password) if parts.password is not None else "guest",
        vhost=_vhost(parts.path),
        tls=tls,
        heartbeat=_heartbeat(given),
        connection_timeout=_connection_timeout(given),
        cafile=given.get("cafile"),
        certfile=given.get("certfile"),
        keyfile=given.get("keyfile"),
        verify=not _flag(given, "no_verify_ssl"),
    )


_FORM = "Write it as amqp://user:password@host:5672/vhost, or amqps:// for TLS."
_ESCAPE = " In a user, password or virtual host write '@' as %40, '#' as %23, '/' as %2F, '?' as %3F and ':' as %3A."


def _query(text: str) -> dict[str, str]:
    given: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name not in KNOWN:
            near = get_close_matches(name, KNOWN, n=1)
            question = f" Did you mean {near[0]}?" if near else ""
            raise ConfigurationError(
                f"The broker URL has the unknown option {name!r}.{question}", hint=f"Known are: {', '.join(KNOWN)}."
            )
        if name in given:
            raise ConfigurationError(f"The broker URL has the option {name} twice.")
        given[name] = value
    return given


def _vhost(path: str) -> str:
    if path in ("", "/", "//"):
        return "/"
    if "/" in path[1:]:
        raise ConfigurationError(
            f"The broker URL has the path {path!r}, which is not one virtual host.",
            hint="Write a slash within its name as %2F.",
        )
    return unquote(path[1:])


def _heartbeat(given: dict[str, str]) -> int:
    text = given.get("heartbeat", str(HEARTBEAT))
    if not (text.isascii() and text.isdecimal() and len(text) < 5 and 1 <= int(text) <= 300):
        raise _bad("heartbeat", text)
    return int(text)


def _connection_timeout(given: dict[str, str]) -> float:
    text = given.get("connection_timeout", str(CONNECTION_TIMEOUT))
    try:
        seconds = float(text)
    except ValueError:
        raise _bad("connection_timeout", text) from None
    if not 0.1 <= seconds <= 300:
        raise _bad("connection_timeout", text)
    return seconds


def _flag(given: dict[str, str], name: str) -> bool:
    text = given.get(name, "false")
    if text not in ("true", "false"):
        raise _bad(name, text)
    return text == "true"


def _bad(name: str, text: str) -> ConfigurationError:
    return ConfigurationError(f"The broker URL has {name}={text!r}.", hint=f"{name} takes {KNOWN[name]}.")
