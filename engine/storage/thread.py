"""One thread that runs what it is given, in order, for a single event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

_Job: TypeAlias = "tuple[Callable[[], Any], asyncio.Future[Any], asyncio.AbstractEventLoop] | None"


class WorkThread:
    """Runs functions one after the other in a thread of its own.

    The thread is a daemon: a database that never answers must not keep the process from
    ending. A cancelled caller does not stop its function; the next one waits for it.
    """

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Queue a function; the future holds what it returns or raises."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.resolve(function, future)
        return future

    def resolve(self, function: Callable[[], T], future: asyncio.Future[T]) -> None:
        """Queue a function for a future that is there already. From any thread."""
        self._jobs.put((function, future, future.get_loop()))

    def stop(self) -> None:
        """End the thread after what is queued already."""
        self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            function, future, loop = job
            try:
                result = function()
            except BaseException as error:
                _deliver(loop, _fail, future, error)
            else:
                _deliver(loop, _resolve, future, result)
                del result
            del job, function, future  # nothing of the last caller stays alive while idle


def _deliver(loop: asyncio.AbstractEventLoop, how: Callable[..., None], future: Any, value: Any) -> None:
    try:
        loop.call_soon_threadsafe(how, future, value)
    except RuntimeError:
        if not loop.is_closed():
            raise


def _resolve(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
