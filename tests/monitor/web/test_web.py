"""The dashboard in a browser: on loopback, closed to pages from elsewhere, and without its extra a clear error."""

from __future__ import annotations

import re
import shlex
import sys

import pytest
from aiohttp import ClientSession, WSServerHandshakeError

from engine import ConfigurationError
from monitor import web
from monitor.web.site import Site, listening


def echo() -> str:
    """In the place of the dashboard: says that it is there, in textual-serve's form, and waits for its end."""
    return shlex.join([sys.executable, "-S", "-c", "import sys; print('__GANGLION__', flush=True); sys.stdin.read()"])


async def test_it_answers_on_loopback_and_refuses_pages_from_elsewhere() -> None:
    async with listening(Site(echo(), "127.0.0.1", 0)) as address, ClientSession() as browser:
        assert address.startswith("http://127.0.0.1:")
        port = address.rstrip("/").rsplit(":", 1)[1]
        for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
            answer = await browser.get(address, headers={"Host": host})
            assert answer.status == 200
            page = await answer.text()
            assert f"ws://{host}/ws" in page
            assert set(re.findall(r"""(?:src|href)=["'](https?://[^/"']+)""", page)) <= {f"http://{host}"}
        async with browser.ws_connect(f"{address}ws", headers={"Origin": address.rstrip("/")}):
            pass
        async with browser.ws_connect(f"{address}ws"):
            pass
        with pytest.raises(WSServerHandshakeError, match="403"):
            await browser.ws_connect(f"{address}ws", headers={"Origin": "http://evil.example"})
        rebound = await browser.get(address, headers={"Host": f"evil.example:{port}"})
        assert (rebound.status, "--url" in await rebound.text()) == (403, True)


@pytest.mark.parametrize(
    ("host", "origin", "served", "url", "refused"),
    [
        ("127.0.0.1:8137", None, "127.0.0.1", "", False),
        ("localhost:8137", "http://localhost:8137", "127.0.0.1", "", False),
        ("[::1]:8137", "http://[::1]:8137", "::1", "", False),
        ("warren.example", "https://warren.example", "127.0.0.1", "https://warren.example/", False),
        ("127.0.0.1:8137", "https://warren.example", "127.0.0.1", "https://warren.example", False),
        ("warren.example:8137", "http://warren.example:8137", "0.0.0.0", "", False),
        ("127.0.0.1:8137", "http://127.0.0.1:9999", "127.0.0.1", "", True),
        ("127.0.0.1:8137", "null", "127.0.0.1", "", True),
        ("evil.example:8137", "http://evil.example:8137", "127.0.0.1", "", True),
        ("warren.example:8137", "http://evil.example", "0.0.0.0", "", True),
    ],
)
def test_who_is_refused(host: str, origin: str | None, served: str, url: str, refused: bool) -> None:
    assert bool(web.refusal(host, origin, served=served, url=url)) is refused


def test_it_is_read_only_unless_told_otherwise() -> None:
    assert shlex.split(web.command(writable=False))[-2:] == ["monitor", "--read-only"]
    assert "--read-only" not in web.command(writable=True)


def test_without_textual_serve_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "NEEDS", ("textual_serve_that_is_not_here",))
    with pytest.raises(ConfigurationError, match="textual-serve") as refused:
        web.serve(environ={}, host="127.0.0.1", port=1, writable=False)
    assert "warren[web]" in str(refused.value.hint)
