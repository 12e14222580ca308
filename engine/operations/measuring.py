"""How fast queues move: a watch of a few seconds for whoever asks once."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Sequence
from time import monotonic
from typing import Any

from engine.brokers.base import Broker
from engine.operations.connecting import Doors
from engine.operations.fleet import QueueFigures
from engine.operations.watching import Watch
from engine.storage.database import Database
from engine.storage.liveness import Liveness

#: Seconds between two looks.
INTERVAL = 0.5


async def measure(database: Database, broker: Broker, app: str, seconds: float) -> Sequence[QueueFigures]:
    """The queues of an application, watched for so long. Less than two seconds tell no rate, since workers report each second."""
    async with contextlib.AsyncExitStack() as stack:
        liveness = await Liveness.open(database, None)
        stack.push_async_callback(liveness.close)
        watch = Watch(app)
        end = monotonic() + seconds
        while True:
            await watch.look(Doors(database, liveness), time.time())
            await watch.listen(broker, time.time())
            if monotonic() >= end:
                break
            await asyncio.sleep(min(INTERVAL, end - monotonic()))
        await watch.look(Doors(database, liveness), time.time())  # with what the broker said last
    seen = watch.picture()
    return () if seen is None else seen.queues


def pace_dict(figures: QueueFigures) -> dict[str, Any]:
    """How a queue moves, for programs: keys are stable. `lag_s` is None where nobody knows, and where nothing moves: `stuck`."""
    stuck = figures.lag is not None and math.isinf(figures.lag)
    return {
        "in_per_second": _rounded(figures.rates.arrived),
        "out_per_second": _rounded(figures.rates.left),
        "failed_per_second": _rounded(figures.rates.failed),
        "lag_s": None if stuck else _rounded(figures.lag),
        "stuck": stuck,
        "oldest_s": None if figures.oldest is None else _rounded(figures.oldest.seconds),
        "oldest_at_least": figures.oldest is not None and figures.oldest.at_least,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
