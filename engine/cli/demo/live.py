"""The story as a live picture in a terminal, drawn with Rich."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from engine.cli.demo.figures import Figures, Handler, Summary
from engine.cli.demo.plain import conclusion
from engine.cli.demo.stage import Stage


class LiveView:
    """One picture: the act, the handlers with their counters, and how many orders are through."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._acts: list[str] = []
        self._figures = Figures()
        self._published = 0
        self._live = Live(console=self._console, refresh_per_second=8, get_renderable=self._picture)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def act(self, title: str) -> None:
        """A new act begins."""
        self._acts.append(title)

    def show(self, figures: Figures, published: int) -> None:
        """The figures of this moment."""
        self._figures = figures
        self._published = published

    def conclude(self, summary: Summary, stage: Stage) -> None:
        """What happened, and whether it is proven."""
        for line in conclusion(summary, stage):
            self._console.print(Text(line))

    def _picture(self) -> RenderableType:
        told = Text()
        for title in self._acts[:-1]:
            told.append(f"✓ {title}\n", style="dim")
        if self._acts:
            told.append(f"▶ {self._acts[-1]}", style="bold")
        return Panel(Group(told, Text(), self._table(), Text(), self._progress()), title="warren demo", padding=(1, 2))

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, expand=True)
        table.add_column("handler", no_wrap=True)
        for title in ("handled", "retried", "dead", "dup", "now", "p50", "p95"):
            table.add_column(title, justify="right", no_wrap=True)
        for handler in self._figures.handlers:
            table.add_row(*_row(handler))
        return table

    def _progress(self) -> RenderableType:
        confirmed, failed = self._figures.confirmed, self._figures.open_failures
        grid = Table.grid(padding=(0, 2))
        grid.add_row(
            Text(f"{self._published} published"),
            ProgressBar(total=max(1, confirmed + failed), completed=confirmed, width=24),
            Text(f"{confirmed} orders confirmed"),
            Text(f"✗ {failed} dead letters" if failed else "no dead letters", style="red" if failed else "green"),
        )
        return grid


def _row(handler: Handler) -> list[Text]:
    return [
        Text(handler.name),
        Text(f"{handler.handled}"),
        Text(f"{handler.retried}", style="yellow" if handler.retried else "dim"),
        Text(f"{handler.dead}", style="red" if handler.dead else "dim"),
        Text(f"{handler.duplicates}", style="cyan" if handler.duplicates else "dim"),
        Text(f"{handler.in_flight}"),
        Text(_milliseconds(handler.p50)),
        Text(_milliseconds(handler.p95)),
    ]


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f} ms"
