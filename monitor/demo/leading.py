"""What the demo asks of the person before it: one sentence, by how far the story is and what is looked at. Pure."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple, Protocol


class Step(IntEnum):
    """The steps of the story; each has a word in the line."""

    FAIL = 0
    INSPECT = 1
    FIX = 2
    REDRIVE = 3
    PROVED = 4


class Told(Protocol):
    """How far the story is. Orders are placed, and in the end confirmed; `lost` is known once it is proved or not."""

    @property
    def ready(self) -> bool:
        """Whether the worker runs."""

    @property
    def orders(self) -> int:
        """How many orders there will be."""

    @property
    def confirmed(self) -> int:
        """How many came to their end."""

    @property
    def failed(self) -> int:
        """Failures that are open."""

    @property
    def mended(self) -> bool:
        """Whether the cause is mended."""

    @property
    def redriving(self) -> bool:
        """Whether a redrive is under way."""

    @property
    def redriven(self) -> int:
        """Messages that were redriven."""

    @property
    def lost(self) -> int | None:
        """Orders that did not end, by the shop's own ledger."""

    @property
    def double_effects(self) -> int | None:
        """Lines in the ledger that are there twice."""


class Lead(NamedTuple):
    """A step, what to do, and the keys in it that stand out."""

    step: Step
    text: str


def lead(told: Told, page: str) -> Lead:
    """What to say. `page` is the class of the page that is looked at."""
    if told.lost is not None:
        return _end(told)
    if not told.ready:
        return Lead(Step.FAIL, "A worker starts: four handlers of an order flow, each with its own queue.")
    if told.redriving:
        return _watch(page)
    if told.failed and not told.mended:
        return _inspect(told, page)
    if told.failed:
        return _redrive(told, page)
    if told.redriven:
        return Lead(Step.REDRIVE, f"They succeeded. {told.confirmed} of {told.orders} orders are through …")
    if told.mended:
        return Lead(Step.FIX, "The certificate is renewed. Attempts under way find their end …")
    return Lead(Step.FAIL, "Orders flow. One bank in eight refuses us: what is retried in vain fails …")


def _inspect(told: Told, page: str) -> Lead:
    match page:
        case "FailuresPage":
            return Lead(Step.INSPECT, f"One cause, {told.failed} messages. [enter] shows them.")
        case "MessagesPage":
            return Lead(Step.INSPECT, "All fail alike. [enter] shows one whole: body, traceback, history.")
        case "MessagePage":
            return Lead(Step.FIX, "The bank's certificate has expired. [F] renews it: that mends the cause.")
        case "PlanPage" | "OperationPage":
            return Lead(Step.FIX, "Sent now, they would fail again: the cause is not mended. [F] mends it.")
        case _:
            return Lead(Step.INSPECT, f"{told.failed} payments failed for good. [3] shows why.")


def _redrive(told: Told, page: str) -> Lead:
    match page:
        case "FailuresPage":
            return Lead(Step.REDRIVE, f"Mended. [r] plans to send all {told.failed} back to their queue.")
        case "MessagesPage" | "MessagePage" | "DifferencePage":
            return Lead(Step.REDRIVE, "Mended. [esc] leads back to the causes; there [r] redrives them all.")
        case "PlanPage":
            return Lead(Step.REDRIVE, "A dry run, nothing is sent yet. [enter] starts it, with a canary first.")
        case _:
            return Lead(Step.REDRIVE, f"Mended. [3], then [r]: send the {told.failed} failed payments again.")


def _watch(page: str) -> Lead:
    if page == "OperationPage":
        return Lead(Step.REDRIVE, "The canary goes first, the rest when it succeeded; each outcome is verified.")
    return Lead(Step.REDRIVE, "The redrive is under way. [5] shows the operations.")


def _end(told: Told) -> Lead:
    if told.lost or told.double_effects:
        said = f"NOT PROVED: lost {told.lost}, double effects {told.double_effects}. Please report it. [q] quits."
    else:
        said = f"Proved by the shop's ledger: {told.orders} orders, lost 0, double effects 0. [q] quits."
    return Lead(Step.PROVED, said)
