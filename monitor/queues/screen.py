"""Screen 2: what waits where, how fast it moves, and pausing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType

from monitor.frame.detail import Detail
from monitor.frame.dialogs import Question
from monitor.frame.page import Page
from monitor.frame.split import Split
from monitor.keys import bindings
from monitor.queues import wording
from monitor.table.memory import MemoryListing
from monitor.table.table import Table

if TYPE_CHECKING:
    from engine.operations.fleet import Fleet, QueueFigures


class QueuesPage(Page):
    """The queues of the application's handlers."""

    GROUP = "queues"
    BINDINGS: ClassVar[list[BindingType]] = bindings("queues")

    def body(self) -> ComposeResult:
        """The list, and the queue under the cursor beside it."""
        listing: MemoryListing[QueueFigures] = MemoryListing(
            (), key=lambda queue: queue.name, sorts=wording.SORTS, text=wording.searched
        )
        table = Table(
            wording.columns(self.source.settings.app, self.source.now),
            listing,
            noun="queues",
            empty="There are no queues yet: a worker declares them when it starts (`warren worker`).",
            live=False,
            id="queues",
        )
        yield Split(table, Detail(id="queue"))

    @property
    def table(self) -> Table[QueueFigures]:
        """The list."""
        return self.query_one("#queues", Table)

    async def fetch(self) -> Fleet | None:
        """What was last seen."""
        return self.source.fleet

    def show(self, found: Fleet | None) -> None:
        """Put it into the list."""
        if found is not None:
            self.table.put(found.queues)
            self._moved()

    @on(Table.Moved, "#queues")
    def _moved(self) -> None:
        queue = self.table.row
        pane = self.query_one("#queue", Detail)
        if queue is not None and self.query_one(Split).wide:
            pane.put(wording.detail(queue, self.source.now(), pane.size.width - 2))

    @on(Table.Opened, "#queues")
    def _opened(self, message: Table.Opened) -> None:
        from monitor.queues.one import QueuePage

        self.monitor.push_screen(QueuePage(message.row.name))

    def open(self, *, queue: str = "", **_: object) -> None:
        """Put the cursor on a queue."""
        if queue:
            self.table.go_to(queue)

    def action_pause(self) -> None:
        """Pause the chosen queues, or resume them when all of them are paused."""
        self.perform(self._pause(), doing="pausing or resuming the queue")

    async def _pause(self) -> None:
        names = [str(key) for key in await self.table.chosen()]
        fleet = self.source.fleet
        known = {} if fleet is None else {queue.name: queue for queue in fleet.queues}
        queues = [known[name] for name in names if name in known]
        if queues:
            await toggle(self, queues)
            self.table.unmark()


async def toggle(page: Page, queues: list[QueueFigures]) -> None:
    """Ask, and pause these queues, or resume them when all of them are held."""
    from engine.operations import pausing

    held = all(queue.paused or queue.circuit for queue in queues)
    names = [queue.name for queue in queues]
    shown = names[0] if len(names) == 1 else f"{len(names)} queues"
    what = [f"  {name}" for name in names[:12]] + (["  …"] if len(names) > 12 else []) if len(names) > 1 else []
    if held:
        said = ["Workers consume again within about two seconds."]
        agreed = await page.confirm(Question(f"Resume {shown}?", [*said, *what], count=len(names), verb="Resume"))
    else:
        said = [
            "Workers stop consuming within about two seconds. What runs is finished; what waits stays, and loses no attempt."
        ]
        agreed = await page.confirm(
            Question(f"Pause {shown}?", [*said, *what], count=len(names), verb="Pause", why=True)
        )
    if agreed is None:
        return
    act = pausing.resume if held else pausing.pause
    changed = await act(page.source.database(), names, operator=page.source.operator, why=agreed.why)
    done = "Resumed" if held else "Paused"
    page.tell(
        f"{done} {changed[0] if len(changed) == 1 else f'{len(changed)} queues'}." if changed else "It was so already."
    )
    page.source.refresh()
