"""The story as lines, for pipes, logs and CI."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol, Self

from engine.cli.demo.figures import Figures, Summary
from engine.cli.demo.stage import Stage
from engine.cli.demo.story import Teller
from engine.cli.output import Output

#: Seconds between two lines of progress.
INTERVAL = 1.0


class View(Teller, Protocol):
    """Shows the story from its beginning to its conclusion."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def conclude(self, summary: Summary, stage: Stage) -> None:
        """What happened, and whether it is proven."""


class PlainView:
    """Prints each act, and a line of figures a second."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._said = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def act(self, title: str) -> None:
        """A new act begins."""
        self._output.line(f"\n{title}.")
        self._said = 0.0

    def show(self, figures: Figures, published: int) -> None:
        """One line, once a second at most."""
        now = time.monotonic()
        if now - self._said < INTERVAL:
            return
        self._said = now
        self._output.line(
            f"  published {published:>4}   handled {figures.sum('handled'):>4}   retried {figures.sum('retried'):>3}"
            f"   dead letters {figures.open_failures:>3}   duplicates {figures.sum('duplicates'):>3}"
            f"   orders confirmed {figures.confirmed:>4}"
        )

    def quote(self, lines: list[str]) -> None:
        """One message's attempts, for example."""
        for before, line in zip(("  for example:", *[" " * 14] * len(lines)), lines, strict=False):
            self._output.line(f"{before}  {line}")

    def conclude(self, summary: Summary, stage: Stage) -> None:
        """What happened, and whether it is proven."""
        for line in conclusion(summary, stage):
            self._output.line(line)


def conclusion(summary: Summary, stage: Stage) -> list[str]:
    """The last lines of both views."""
    verdict = (
        "Every order ended, and ended once: the shop's ledger has each step of each order exactly once."
        if summary.proven
        else "NOT PROVEN: orders were lost or booked twice. Please report this."
    )
    return [
        "",
        f"  published           {summary.published:>6}",
        f"  handled             {summary.handled:>6}",
        f"  retried             {summary.retried:>6}",
        f"  dead-lettered       {summary.dead_lettered:>6}",
        f"  redriven            {summary.redriven:>6}",
        f"  duplicates skipped  {summary.duplicates_skipped:>6}",
        f"  lost                {summary.lost:>6}",
        f"  double effects      {summary.double_effects:>6}",
        f"  seconds             {summary.duration_s:>6.1f}",
        "",
        verdict,
        f"It ran on {stage.settings.broker_shown} and {stage.database.url}.",
        "Next: `warren worker` runs the handlers of your project, `warren --help` shows the rest.",
    ]
