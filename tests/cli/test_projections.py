"""An operator looks at projections, rebuilds them, and leaves an event out, with the real command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.cli.test_flow import start_worker, until

if TYPE_CHECKING:
    from tests.cli.conftest import Warren

PLUGIN = """
from sqlmodel import Field, SQLModel
from engine import AsyncSession, Context, Event, EventData, handler, projection

class Placed(EventData, type="order.placed"):
    n: int

class Booked(EventData, type="order.booked"):
    n: int

class Book(SQLModel, table=True):
    n: int = Field(primary_key=True)
    doubled: int = Field(index=True)

@handler(Placed, emits=[Booked])
async def book(event: Event[Placed], ctx: Context) -> None:
    ctx.emit(Booked(n=event.data.n))

@projection(Booked, tables=[Book], version=1)
async def books(event: Event[Booked], session: AsyncSession) -> None:
    if event.data.n == 13:
        raise ValueError("an unlucky number")
    session.add(Book(n=event.data.n, doubled=2 * event.data.n))
"""


def listed(warren: Warren) -> Any:
    return warren("projections", "list", "--json").json["items"][0]


def test_a_projection_is_followed_stopped_and_goes_on_past_an_event(warren: Warren) -> None:
    warren.write("handlers/orders.py", PLUGIN)
    start_worker(warren)
    for n in (1, 13, 2):
        assert warren("publish", "order.placed", f'{{"n": {n}}}').code == 0
        until(lambda n=n: events(warren) == [1, 13, 2].index(n) + 1)
    state = until(lambda: listed(warren)["live"]["failed"] and listed(warren))
    assert (state["name"], state["live"]["state"], state["live"]["applied"]) == ("shop.orders.books", "failing", 1)
    assert (state["live"]["behind"], state["live"]["failed"]["position"]) == (2, 2)
    assert "ValueError: an unlucky number" in warren("projections", "show", "books").out
    assert "shop.orders.books stands at event 2" in warren("doctor").out
    assert warren("projections", "skip", "bocks").code == 2
    skipped = warren("projections", "skip", "books", "--why", "a joke", "--yes", "--json")
    assert skipped.json == {"skipped": [state["live"]["failed"]["event_id"]]}
    state = until(lambda: listed(warren)["live"]["behind"] == 0 and listed(warren))
    assert (state["live"]["applied"], state["live"]["skipped"], state["live"]["failed"]) == (2, 1, None)
    assert "projection skip" in warren("audit").out
    # A rebuild stops at the same event, which might have been mended.
    stopped = warren("projections", "rebuild", "books", "--yes", "--json")
    assert (stopped.code, stopped.json["failed"]["position"]) == (1, 2)
    assert warren("projections", "skip", "books", "--rebuild", "--yes").code == 0
    done = warren("projections", "rebuild", "books", "--yes", "--json")
    assert (done.code, done.json["swapped"], done.json["comparison"]["same"]) == (0, True, True)


def test_a_new_version_waits_for_its_rebuild_which_needs_no_worker(warren: Warren) -> None:
    warren.write("handlers/orders.py", PLUGIN)
    worker = start_worker(warren)
    assert warren("publish", "order.placed", '{"n": 4}').code == 0
    until(lambda: (items := warren("projections", "list", "--json").json["items"]) and items[0]["live"]["applied"])
    worker.terminate()
    assert worker.wait(30) == 0
    new = PLUGIN.replace("version=1", "version=2").replace("2 * event.data.n", "3 * event.data.n")
    warren.write("handlers/orders.py", new.replace("doubled: int =", "name: str = ''\n    doubled: int ="))
    state = listed(warren)
    assert (state["live"]["state"], state["live"]["version"], state["declared"]) == ("outdated", 1, 2)
    assert warren("--read-only", "projections", "rebuild", "books", "--yes").code == 2
    beside = warren("projections", "rebuild", "books", "--no-swap", "--yes")
    assert beside.code == 0, beside.err
    assert "only one of them has the columns name" in beside.out
    assert "live {'n': 4, 'doubled': 8}" in beside.out
    assert "rebuilt {'n': 4, 'doubled': 12}" in beside.out
    assert warren("projections", "compare", "books").code == 1
    assert warren("projections", "rebuild", "books", "--yes").code == 0
    state = listed(warren)
    assert (state["live"]["version"], state["live"]["applied"], state["rebuild"]) == (2, 1, None)
    assert warren("projections", "rebuild", "books", "--detach", "--yes").code == 0
    dropped = warren("projections", "rebuild", "books", "--cancel", "--yes", "--json")
    assert dropped.json == {"cancelled": ["shop.orders.books"]}


def events(warren: Warren) -> int:
    return len(warren("events", "list", "--type", "order.booked", "--json").json["items"])
