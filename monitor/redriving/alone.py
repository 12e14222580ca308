"""Performing an operation in this process, where no worker lives to do it. It goes on while other screens are shown."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.operations.progress import Operation
    from monitor.app import Monitor
    from monitor.source.source import Source


def begin(monitor: Monitor, operation: str) -> None:
    """Perform it, unless a worker lives."""
    if monitor.source.fleet is not None and any(worker.alive for worker in monitor.source.fleet.workers):
        return  # whether the broker is there is that worker's business
    monitor.run_worker(_perform(monitor, operation), group=f"performing {operation}", exit_on_error=False)


async def _perform(monitor: Monitor, operation: str) -> None:
    from engine.operations.performing import perform_alone

    source = monitor.source
    try:
        done = await perform_alone(
            source.database(), source.broker(), source.settings.app, operation, operator=source.operator
        )
    except Exception as error:
        monitor.failed(error, doing="performing the operation", loud=True)
        return
    if done is not None:
        left = f" {done.left:,} are left for a worker: {done.why}" if done.left else ""
        monitor.tell(f"No worker is alive, so this monitor sent {done.sent:,} messages.{left}")


def said(source: Source, operation: Operation) -> str:
    """What an operator has to know where no worker lives; else nothing."""
    if source.fleet is None or any(worker.alive for worker in source.fleet.workers):
        return ""
    if operation.owner is not None and operation.owner.startswith(f"{socket.gethostname()}:{os.getpid()}:"):
        return "No worker is alive: this monitor sends the messages itself."
    if operation.state == "running" and operation.pending:
        return "No worker is alive: the messages wait in their queues, and so do their outcomes."
    if operation.state in ("preparing", "running"):
        return "No worker is alive: nobody performs it. P pauses it, P again has this monitor send what it may."
    return ""
