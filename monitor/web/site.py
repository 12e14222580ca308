"""The site that textual-serve makes, closed to pages from elsewhere. Needs the extra `web`."""

from __future__ import annotations

import contextlib
import copy
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web
from textual_serve.server import Server

from monitor.web import refusal

#: A style sheet of somebody else's: textual-serve has a font come from Google, who would learn of each look.
_ELSEWHERE = re.compile(r"<link[^>]*fonts\.googleapis\.com[^>]*>", re.IGNORECASE)


class Site(Server):
    """Serves one command; `url` is the address that browsers use, where that is not what they ask for."""

    def __init__(self, command: str, host: str, port: int, url: str = "") -> None:
        super().__init__(command, host, port, title="warren monitor", public_url=url.rstrip("/") or None)
        self._url = url

    async def _make_app(self) -> web.Application:
        application = await super()._make_app()
        application.middlewares.append(self._guard())
        return application

    def _guard(self) -> Any:
        @web.middleware
        async def guard(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            wrong = refusal(request.host, request.headers.get("Origin"), served=self.host, url=self._url)
            if wrong:
                return web.Response(status=403, text=f"{wrong}\n")
            return await handler(request)

        return guard

    async def handle_index(self, request: web.Request) -> Any:
        """The page, with the addresses that it was asked for by: it may listen on several. It asks nobody else for anything."""
        asked = self
        if not self._url:
            asked = copy.copy(self)
            asked.public_url = f"{request.scheme}://{request.host}"
        page = await super(Site, asked).handle_index(request)
        if isinstance(page, web.Response):
            page.text = _ELSEWHERE.sub("", page.text or "")
        return page

    async def on_startup(self, app: web.Application) -> None:
        """Print nothing: whoever serves says where."""

    async def application(self) -> web.Application:
        """The web application."""
        return await self._make_app()


@contextlib.asynccontextmanager
async def listening(site: Site) -> AsyncIterator[str]:
    """The site, up; gives its address. Raises `OSError` when that cannot be had."""
    runner = web.AppRunner(await site.application(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, site.host, site.port).start()
        host, port = runner.addresses[0][:2]
        yield f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
    finally:
        await runner.cleanup()
