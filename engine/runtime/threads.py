"""The threads in which plain `def` handlers run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from engine.model.handler import DEFAULT_CONCURRENCY, HandlerSpec


def for_handlers(specs: Sequence[HandlerSpec], concurrency: int | None) -> ThreadPoolExecutor:
    """As many threads as lanes of such handlers can be at work; `concurrency` overrides what the handlers say."""
    count = sum(concurrency or spec.concurrency or DEFAULT_CONCURRENCY for spec in specs if not spec.is_async)
    return ThreadPoolExecutor(count or 1, thread_name_prefix="handler")


def shutdown(threads: ThreadPoolExecutor) -> Callable[[], Awaitable[None]]:
    """What begins nothing more in them, and waits for nobody."""

    async def close() -> None:
        threads.shutdown(wait=False, cancel_futures=True)

    return close
