"""What any dashboard costs on this machine: a clock and a table of 50 rows in Textual, nothing read from anywhere.

Without an argument it is shown in the terminal; with `rest` it tells what it takes of a core while it is left open.
"""

from __future__ import annotations

import asyncio
import sys
import time

from textual.app import App, ComposeResult
from textual.widgets import DataTable, Static

from benchmarks.bed import report

#: Columns and lines of the terminal.
SIZE = (200, 60)
#: Rows whose age is told anew each second.
ROWS = 50
#: Seconds over which it is measured, and those before.
WHILE, SETTLING = 10.0, 3.0


class Dashboard(App[None]):
    """A clock above rows that grow older."""

    def compose(self) -> ComposeResult:
        """The widgets."""
        yield Static("Dashboard", id="clock")
        yield DataTable()

    def on_mount(self) -> None:
        """Fill the table, and go on each second."""
        table = self.query_one(DataTable)
        table.add_columns("age", "name", "message")
        for row in range(ROWS):
            table.add_row("0s", f"queue {row}", "the provider did not answer within 0.5 s", key=str(row))
        self.age = 0
        self.set_interval(1.0, self.grow)

    def grow(self) -> None:
        """One second older."""
        self.age += 1
        self.query_one("#clock", Static).update(time.strftime("%H:%M:%S"))
        table = self.query_one(DataTable)
        column = next(iter(table.columns))
        for row in range(ROWS):
            table.update_cell(str(row), column, f"{self.age}s")


async def rest() -> float:
    """The part of a core in percent."""
    async with Dashboard().run_test(size=SIZE):
        await asyncio.sleep(SETTLING)
        begun, used = time.perf_counter(), time.process_time()
        await asyncio.sleep(WHILE)
        return (time.process_time() - used) / (time.perf_counter() - begun) * 100


def main() -> None:
    if sys.argv[1:] == ["rest"]:
        report(share=asyncio.run(rest()))
    else:
        Dashboard().run()


if __name__ == "__main__":
    main()
