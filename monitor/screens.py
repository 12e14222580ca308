"""The screens with a number, and where each is found. A module is imported when its screen is first shown."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from monitor.frame.page import Page


class Place(NamedTuple):
    """A screen with a number. `found` is `module:class` of its page."""

    number: int
    name: str
    title: str
    found: str


PLACES = (
    Place(1, "overview", "Overview", "monitor.overview.screen:OverviewPage"),
    Place(2, "queues", "Queues", "monitor.queues.screen:QueuesPage"),
    Place(3, "failures", "Failures", "monitor.failures.screen:FailuresPage"),
    Place(4, "traces", "Traces", "monitor.traces.screen:TracesPage"),
    Place(5, "operations", "Operations", "monitor.redriving.screen:OperationsPage"),
    Place(6, "workers", "Workers", "monitor.workers.screen:WorkersPage"),
    Place(7, "audit", "Audit", "monitor.audits.screen:AuditPage"),
    Place(8, "events", "Events", "monitor.events.screen:EventsPage"),
)


def make(place: Place) -> Page:
    """A new page for this place."""
    module, _, name = place.found.partition(":")
    page: type[Page] = getattr(import_module(module), name)
    return page(place)
