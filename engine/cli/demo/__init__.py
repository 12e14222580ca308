"""The demo: a shop whose payment provider fails, is mended, and whose failures are put right."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.cli.call import Call


def run_demo(call: Call, *, headless: bool, orders: int) -> int:
    """Tell the story; the exit code is 1 when an order was lost or booked twice."""
    from engine.cli.demo.guided import guide
    from engine.cli.demo.plain import PlainView
    from engine.cli.demo.stage import Stage
    from engine.cli.demo.story import tell

    live = not (headless or call.output.as_json or os.environ.get("CI")) and sys.stdout.isatty()

    async def play() -> int:
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGTERM, signal.SIGHUP):  # as ctrl+c: the worker ends too, and nothing is left behind
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        async with Stage.set_up(call.options.broker, call.options.database) as stage:
            if live:
                return await guide(call, stage, orders)
            teller = PlainView(call.output)
            with teller:
                summary = await tell(stage, orders, teller)
            teller.conclude(summary, stage)
            call.output.result(summary.as_json())
            return 0 if summary.proven else 1

    try:
        return asyncio.run(play())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
