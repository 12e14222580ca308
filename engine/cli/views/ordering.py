"""What the verbs have in common that order an operation: how it is to go, and how it ended."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from engine.cli.call import Call
from engine.cli.progress import progress
from engine.operations.performing import Performed
from engine.operations.progress import Operation, Options, Stage, State, default_options, follow
from engine.storage.database import Database


class Course(NamedTuple):
    """How it is to go, as far as the call says so; None is what is sensible."""

    canary: int | None
    rate: float | None
    ramp: bool
    stop_after: int | None

    def options(self, total: int) -> Options:
        """The options for so many messages."""
        usual = default_options(total)
        return Options(
            canary=usual.canary if self.canary is None else self.canary,
            rate=self.rate,
            ramp=self.ramp,
            stop_after=usual.stop_after if self.stop_after is None else self.stop_after,
            stop_share=usual.stop_share if self.stop_after is None else 0.0,
        )


def course_words(options: Options) -> list[str]:
    """How it will go, for the plan."""
    words = []
    if options.canary == 1:
        words.append("1 canary first, the rest once it has succeeded")
    elif options.canary:
        words.append(f"{options.canary:,} canaries first, the rest once all of them have succeeded")
    if options.ramp:
        words.append("then 1 a second, 10, 100 … each for 5 s" + (f", up to {options.rate:g}" if options.rate else ""))
    elif options.rate is not None:
        words.append(f"{options.rate:g} a second")
    return words


async def verified(call: Call, database: Database, stands: Operation, wait: float | None) -> Operation:
    """The operation once the outcomes are known, or after so many seconds."""
    if wait is None:
        return stands
    with progress(call.output, "waiting for the outcomes", stands.sent) as advance:
        known = 0
        try:
            async with asyncio.timeout(wait):
                async for stands in follow(database, stands.id, until_verified=True):  # noqa: B020  # as it stands now
                    advance(stands.verified - known)
                    known = stands.verified
        except TimeoutError:
            return stands
    return stands


def outcomes(stands: Operation) -> dict[str, int]:
    """How many messages ended how, for programs."""
    return {name: getattr(stands, name) for name in ("pending", "succeeded", "failed_again", "failed_otherwise")}


def say_how_it_went(call: Call, stands: Operation, performed: Performed | None, *, waited: bool) -> int:
    """Print what became of the messages, and what is left to do; the exit code."""
    out = call.output
    if stands.skipped:
        out.line(f"Left alone, since they changed after the plan was made: {stands.skipped:,}.")
    if performed is not None:
        out.line(
            f"No worker is alive, so {performed.sent:,} messages were published from here; they wait in their queues for one."
        )
        if performed.left:
            out.note(
                f"{performed.left:,} messages could not be published; a worker will do it when it starts. {performed.why}"
            )
    if waited:
        words = [f"{name.replace('_', ' ')}: {count:,}" for name, count in outcomes(stands).items() if count]
        out.line("  ".join(words))
    if stands.waiting:
        out.note(_why_not_all(stands, performed is not None))
    elif not waited and performed is None:
        out.note(f"`warren operations show {stands.id}` shows what becomes of them; --wait waits for it.")
    amiss = stands.state in (State.STOPPED, State.CANCELLED) or (waited and stands.failed > 0)
    return 1 if amiss or (performed is not None and performed.left) else 0


def _why_not_all(stands: Operation, alone: bool) -> str:
    rest = f"{stands.waiting:,} messages are not sent:"
    if stands.state is State.STOPPED:
        return f"{rest} it stopped, since {stands.note}.\n`warren operations resume {stands.id}` goes on."
    if alone:
        which = "the canaries have" if stands.stage is Stage.CANARY else "what was sent has"
        return f"{rest} {which} no outcome without a worker. The first that starts goes on."
    return f"{rest} the operation is {stands.state}."
