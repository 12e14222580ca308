"""A worker in several processes: this one only supervises, and imports nothing of a worker."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.cli.call import Call
from engine.cli.logging import configure_logging
from engine.cli.metering import Metrics
from engine.cli.supervisor import Supervisor


async def work_in_processes(
    call: Call,
    plugins: Sequence[str],
    queues: Sequence[str],
    concurrency: int | None,
    processes: int,
    metrics: Metrics | None = None,
) -> int:
    """Work in so many processes until SIGTERM or SIGINT, then drain; the exit code. A second signal ends all at once."""
    settings = call.settings  # a wrong setting is told here, once
    configure_logging(settings.log_level, settings.log_format)
    arguments = [*plugins, *(f"--queue={queue}" for queue in queues)]
    if concurrency is not None:
        arguments.append(f"--concurrency={concurrency}")
    if metrics is not None:
        arguments += metrics.arguments()
    arguments += [f"--{name}" for name in ("json", "debug") if getattr(call.options, name)]
    # What was said on the command line goes by the environment: `ps` shows no password.
    said = {f"WARREN_{name.upper()}": str(value) for name, value in call.options.overrides().items()}
    supervisor = Supervisor(
        [sys.executable, "-P", "-m", "engine.cli", "worker", *arguments],
        _environ(said),
        processes,
        drain=settings.drain_timeout,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    return await supervisor.run()


def _environ(said: Mapping[str, str]) -> dict[str, str]:
    """The environment of a worker process, in which this very package is the one that is found."""
    environ = {**os.environ, **said}
    home = Path(__file__).parents[2]
    if home not in (Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("platlib"))):
        others = [path for path in environ.get("PYTHONPATH", "").split(os.pathsep) if path and Path(path) != home]
        environ["PYTHONPATH"] = os.pathsep.join([str(home), *others])
    return environ
