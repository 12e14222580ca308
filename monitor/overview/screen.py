"""Screen 1: how it stands at a glance, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.events import Resize

from monitor.drawing.charts import sparkline
from monitor.drawing.figures import age, count, rate
from monitor.drawing.text import Piece
from monitor.drawing.tones import Tone
from monitor.frame.page import Page
from monitor.frame.saying import Saying
from monitor.frame.split import Split
from monitor.keys import bindings
from monitor.overview.advice import Advice, advise
from monitor.overview.chart import Chart
from monitor.queues.wording import columns, urgency
from monitor.source.pace import Pace
from monitor.table.columns import Cell, Column
from monitor.table.memory import MemoryListing
from monitor.table.table import Table
from monitor.workers.wording import WorkerRow, living_rows
from monitor.workers.wording import columns as worker_columns

if TYPE_CHECKING:
    from engine.operations.failing import Failing, FailingLook
    from engine.operations.failures import Group
    from engine.operations.fleet import Fleet, QueueFigures
    from monitor.screens import Place

#: The time that the chart of dead letters spans, in seconds, and its parts.
SPAN, PARTS = 3600.0, 60
#: Causes of failure that are read, and the parts of that time in the sparkline of each.
CAUSES, BUCKETS = 50, 20


class Seen(NamedTuple):
    """What was read."""

    fleet: Fleet | None
    failing: Failing | None


class OverviewPage(Page):
    """Advice, rates as charts, and the causes of failure that are hottest."""

    GROUP = "overview"
    BINDINGS: ClassVar[list[BindingType]] = bindings("overview")
    AUTO_FOCUS = "#advice"

    DEFAULT_CSS = """
    OverviewPage #advice { height: 1; max-height: 3; margin: 1 0 0 0; }
    OverviewPage #charts { height: 6; margin: 1 0 0 0; }
    OverviewPage #totals { height: 1; padding: 0 1; margin: 0 0 1 0; }
    OverviewPage.-tall #advice { max-height: 8; }
    OverviewPage Split > .split--detail { max-width: 80; padding: 0; }
    OverviewPage #workers { max-height: 40%; margin-top: 1; }
    OverviewPage.-tall #charts { height: 11; }
    """

    def __init__(self, place: Place | None = None) -> None:
        super().__init__(place)
        self._pace = Pace()
        self._look: FailingLook | None = None
        self._failing: Failing | None = None

    def body(self) -> ComposeResult:
        """From the most urgent down."""
        advice: MemoryListing[Advice] = MemoryListing((), key=lambda one: one.key)
        causes: MemoryListing[Group] = MemoryListing((), key=lambda group: group.fingerprint)
        yield Table(_ADVICE, advice, bare=True, empty="", live=False, id="advice")
        with Horizontal(id="charts"):
            yield Chart("in", "/s", id="in")
            yield Chart("out", "/s", "good", id="out")
            yield Chart("dead letters", "/min", "bad", id="letters")
        yield Saying(id="totals")
        failed = Table(
            self._causes(), causes, noun="causes of failure", empty="Nothing has failed.", live=False, id="causes"
        )
        app = self.source.settings.app
        moving: MemoryListing[QueueFigures] = MemoryListing((), key=lambda queue: queue.name)
        shown = [column for column in columns(app, self.source.now) if column.id != "dead"]  # the causes tell of those
        waiting = Table(shown, moving, noun="queues", empty="No queues yet.", live=False, id="queues")
        living: MemoryListing[WorkerRow] = MemoryListing((), key=lambda row: row.id)
        working = Table(
            worker_columns(self.source.now),
            living,
            noun="workers",
            empty="No worker is alive.",
            live=False,
            id="workers",
        )
        yield Split(failed, Vertical(waiting, working))

    def _causes(self) -> list[Column[Group]]:
        now = self.source.now
        return [
            Column("total", "OPEN", lambda group: Cell(count(group.total), "bad"), width=6, right=True),
            Column("last", "LAST", lambda group: age(now() - group.last_seen), width=4, right=True),
            Column(
                "trend", "LAST HOUR", lambda group: Cell(sparkline(group.buckets, BUCKETS), "bad"), width=20, rank=2
            ),
            Column(
                "handler",
                "HANDLER",
                lambda group: group.latest.handler or group.latest.queue,
                width=16,
                grow=1,
                most=30,
            ),
            Column(
                "what",
                "EXCEPTION",
                lambda group: group.latest.exception or group.latest.reason,
                width=16,
                grow=1,
                most=30,
            ),
            Column("message", "MESSAGE", lambda group: Cell(group.latest.message, "muted"), width=12, grow=4, rank=1),
        ]

    async def fetch(self) -> Seen:
        """The newest picture, the causes of failure, when dead letters came, and the projections that stand still."""
        database = self.source.database()
        if self._look is None:
            from engine.operations.failing import Causes, FailingLook

            causes = Causes(limit=CAUSES, masking=self.source.masking, buckets=BUCKETS, span=SPAN)
            self._look = FailingLook(self.source.settings.app, causes, span=SPAN, parts=PARTS)
        if self._pace.due:
            with self._pace.reading():
                self._failing = await self._look.look(database, self.source.now())
        return Seen(self.source.fleet, self._failing)

    def refresh_now(self) -> None:
        """Read again at once."""
        self._pace.hurry()
        if self._look is not None:
            self._look.forget()
        super().refresh_now()

    def show(self, found: Seen) -> None:
        """Put it into tables and charts."""
        fleet, failing = found.fleet, found.failing
        self._advise(fleet, failing)
        if failing is not None:
            self.query_one("#causes", Table).put(failing.groups)
            newest = f"{sum(failing.arrivals[-5:]) / 5:.0f}"
            self.query_one("#letters", Chart).put(newest, failing.arrivals, SPAN / PARTS)
        if fleet is not None:
            from engine.operations.fleet import STEP

            self.query_one("#in", Chart).put(rate(fleet.rates.arrived), fleet.arrived, STEP)
            self.query_one("#out", Chart).put(rate(fleet.rates.left), fleet.left, STEP)
            self.query_one("#totals", Saying).say(*_totals(fleet))
            self.query_one("#queues", Table).put(sorted(fleet.queues, key=urgency))
            self.query_one("#workers", Table).put(living_rows(fleet.workers))

    def pulse(self) -> None:
        """Advice about the links needs no database."""
        super().pulse()
        if self.composed and self.source.database_state.word == "lost":
            self._advise(self.source.fleet, None)

    def _advise(self, fleet: Fleet | None, failing: Failing | None) -> None:
        links = {"database": self.source.database_state, "broker": self.source.broker_state}
        found = advise(fleet, failing, links, self.source.now(), self.source.settings.app)
        table = self.query_one("#advice", Table)
        table.styles.height = max(len(found), 1)
        table.put(found)

    def on_resize(self, event: Resize) -> None:
        """Tall terminals have room for higher charts."""
        self.set_class(event.size.height >= 34, "-tall")

    @on(Table.Opened, "#advice")
    def _follow(self, message: Table.Opened) -> None:
        advice: Advice = message.row
        if advice.place:
            self.monitor.go(advice.place, **advice.open)
        else:
            self.tell("\n".join(part for part in (advice.text, advice.todo) if part), advice.tone)

    @on(Table.Opened, "#queues")
    def _open_queue(self, message: Table.Opened) -> None:
        self.monitor.go("queues", queue=message.row.name)

    @on(Table.Opened, "#workers")
    def _open_worker(self, message: Table.Opened) -> None:
        self.monitor.go("workers", worker=message.row.id)

    @on(Table.Opened, "#causes")
    def _open_cause(self, message: Table.Opened) -> None:
        self.monitor.go("failures", filter=f"cause:{message.row.fingerprint}")


_ADVICE: list[Column[Advice]] = [
    Column("text", "", lambda one: [Cell(f"{one.glyph} ", one.tone), Cell(one.text)], width=64, grow=4),
    Column("todo", "", lambda one: Cell(f"{one.todo} →" if one.place else one.todo, "muted"), width=22, grow=1, rank=1),
]


def _totals(fleet: Fleet) -> list[Piece]:
    """The sums that are not in the charts."""
    waiting = sum(queue.ready or 0 for queue in fleet.queues)
    in_hand = sum(queue.unacked for queue in fleet.queues)
    dead = sum(queue.dead for queue in fleet.queues)
    known = any(queue.ready is not None for queue in fleet.queues)
    pieces: list[Piece] = []
    sums = {
        "waiting": waiting if known else None,
        "in hand": in_hand,
        "delayed": fleet.delayed,
        "outbox": fleet.outbox.waiting,
        "dead": dead,
    }
    for name, number in sums.items():
        tone: Tone = "muted" if not number else "bad" if name == "dead" else ""
        pieces += [(f"{name} ", "muted"), (count(number), tone), "   "]
    return pieces
