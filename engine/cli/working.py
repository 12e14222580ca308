"""Run a worker in this process until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import structlog

from engine.cli.call import Call
from engine.cli.leash import FAILED, GRACE, READY, Leash
from engine.cli.logging import configure_logging
from engine.cli.metering import Metrics
from engine.errors import PluginError
from engine.runtime.worker import Worker

logger = logging.getLogger("warren.worker")


async def work(
    call: Call,
    plugins: Sequence[str],
    queues: Sequence[str],
    concurrency: int | None,
    metrics: Metrics | None = None,
) -> None:
    """Work until SIGTERM or SIGINT, then drain; a second signal ends it at once."""
    leash = Leash.found()
    asyncio.get_running_loop().set_default_executor(_Unawaited(thread_name_prefix="asyncio"))
    ending = contextlib.ExitStack()
    try:
        worker = _prepare(call, plugins, queues, concurrency, leash)
        if metrics is not None:
            ending.callback(metrics.serve(worker))
        task = asyncio.create_task(worker.run(None if leash is None else partial(leash.say, READY)))
        loop = asyncio.get_running_loop()
        if leash is not None:
            leash.watch(lambda: _stop_from_outside(loop, worker), call.settings.drain_timeout)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _stop, worker, task, number)
        await task
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    except Exception:
        if leash is not None:
            leash.say(FAILED)  # unheard once it has said that it is ready
        raise
    finally:
        ending.close()


class _Unawaited(ThreadPoolExecutor):
    """The threads of `asyncio.to_thread`, which the event loop does not wait for when it ends."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait=False, cancel_futures=cancel_futures)


def _prepare(
    call: Call, plugins: Sequence[str], queues: Sequence[str], concurrency: int | None, leash: Leash | None
) -> Worker:
    settings = call.settings
    configure_logging(settings.log_level, settings.log_format)
    if leash is not None:
        structlog.contextvars.bind_contextvars(pid=os.getpid())  # whose line it is
    found = call.plugins(plugins)
    if not any(found):
        raise PluginError(
            "there are no handlers to run",
            hint="Name a module or a file with handlers, put one into handlers/ of the project, or see `warren demo`.",
        )
    if "WARREN_CRASH_AT" in os.environ:
        from engine.testing.faults import kill_as_told

        kill_as_told()
    return Worker(
        settings,
        found.handlers,
        queues=queues,
        concurrency=concurrency,
        schedules=found.schedules,
        projections=found.projections,
        group="" if leash is None else leash.group,
    )


def _stop_from_outside(loop: asyncio.AbstractEventLoop, worker: Worker) -> None:
    logger.warning("the supervisor is gone: the worker finishes what it has in hand")
    with contextlib.suppress(RuntimeError):  # the loop is closed: it has ended anyway
        loop.call_soon_threadsafe(worker.stop)


def _stop(worker: Worker, task: asyncio.Task[None], number: int) -> None:
    logger.info("%s: the worker finishes what it has in hand; once more ends it at once", signal.Signals(number).name)
    worker.stop()
    # Whatever a handler does to the event loop: the end comes.
    last = threading.Timer(worker.settings.drain_timeout + GRACE, os._exit, [1])
    last.daemon = True
    last.start()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(each)
        loop.add_signal_handler(each, task.cancel)
