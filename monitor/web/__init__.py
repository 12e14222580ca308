"""The dashboard in a browser, through textual-serve: each page that is opened runs one of its own."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from ipaddress import ip_address
from urllib.parse import urlsplit

from engine import ConfigurationError, UsageError

#: Distributions that it needs beside Warren's own.
NEEDS = ("textual_serve", "aiohttp")


def command(*, writable: bool) -> str:
    """What runs for each page, as a shell takes it. Broker and database are said in its environment."""
    words = [sys.executable, "-m", "engine.cli", "monitor", *(() if writable else ("--read-only",))]
    return shlex.join(words)


def refusal(host: str, origin: str | None, *, served: str, url: str = "") -> str:
    """Why a request is refused; nothing, when it is not.

    A page from elsewhere must not reach the dashboard through somebody's browser: neither by its own script (the
    origin is another), nor by a name of its own that points to this machine (the host is another). `served`: the
    address that is listened on; `url`: that which browsers were told to use.
    """
    known = urlsplit(url).netloc
    if origin not in (None, "null") and urlsplit(origin or "").netloc not in (host, known):
        return f"A page of {origin} may not use this monitor. Behind a proxy: warren monitor --web --url {origin}"
    if _loopback(served) and host != known and not _ours(urlsplit(f"//{host}").hostname or "", served):
        return f"This monitor is not known as {host}. Behind a proxy: warren monitor --web --url http://{host}"
    return "" if origin != "null" else "A page without an origin may not use this monitor."


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _ours(name: str, served: str) -> bool:
    """Whether a name cannot be a stranger's: an address, or what this machine calls itself."""
    try:
        ip_address(name)
    except ValueError:
        return name in ("localhost", served)
    return True


def check() -> None:
    """Raise `ConfigurationError` when what it needs is not installed."""
    if any(find_spec(name) is None for name in NEEDS):
        raise ConfigurationError(
            "`warren monitor --web` needs textual-serve, which is not installed",
            hint="Install it with: pip install 'warren[web]'",
        )


def serve(
    *,
    environ: Mapping[str, str],
    host: str,
    port: int,
    writable: bool,
    url: str = "",
    say: Callable[[str], None] = print,
) -> None:
    """Serve the dashboard until interrupted; `environ` is what its processes are told beside our own environment.

    Raises `ConfigurationError` when textual-serve is missing, and `UsageError` for an address that cannot be had.
    """
    check()
    from monitor.web.site import Site, listening

    os.environ.update(environ)

    async def run() -> None:
        async with listening(Site(command(writable=writable), host, port, url)) as found:
            rights = "It may change things." if writable else "It is read-only."
            say(f"The monitor is at {url or found}. {rights} There is no login: whoever reaches it uses it.")
            say("Press ctrl+c to end it.")
            await until_interrupted()

    try:
        asyncio.run(run())
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host}:{port}: {error.strerror or error}", hint="Name another with --host or --port."
        ) from None


async def until_interrupted() -> None:
    """Wait for SIGINT or SIGTERM."""
    import signal

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, ended.set)
    await ended.wait()
