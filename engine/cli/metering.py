"""Where a worker serves its metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from engine.runtime.worker import Worker


class Metrics(NamedTuple):
    """The first port, its host, and how many ports there are: one for each process."""

    port: int
    host: str
    ports: int

    def arguments(self) -> list[str]:
        """The same, as options for the processes of a supervisor."""
        return [f"--metrics-port={self.port}", f"--metrics-host={self.host}", f"--metrics-ports={self.ports}"]

    def serve(self, worker: Worker) -> Callable[[], None]:
        """Serve the worker's metrics; what it returns ends that. Raises `ConfigurationError`."""
        from engine.runtime.metrics import serve

        return serve(worker, self.port, host=self.host, ports=self.ports)
