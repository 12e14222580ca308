"""A recorded operation: its states, what it may send at this moment, and when it stops by itself.

    preparing ──▶ running ──▶ done
        │         ▲  │  ▲ └──(failures recur)──▶ stopped ──resume──▶ running
        │    resume  ▼  └──resume──┐
        │         paused           │
        └────────────┴───cancel────┴──▶ cancelled

While it runs it has stages: first some canaries are sent, and nothing more until the outcome of
each is known; then the rest, at a rate; then the last outcomes are waited for. Items are sent in
the order of their positions. Times are seconds since the epoch, UTC; nothing here reads a clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from engine.errors import UsageError

#: From this many messages on an operation begins with canaries, unless told otherwise.
LARGE = 100
#: Canaries of a large operation.
CANARY = 10
#: Failures after which an operation stops by itself, if they are also this share of the outcomes.
STOP_AFTER, STOP_SHARE = 10, 0.2
#: Seconds without news of the last outcomes after which an operation is done all the same.
PATIENCE = 600.0


class State(StrEnum):
    """Where an operation stands."""

    #: Its items are still being written.
    PREPARING = "preparing"
    RUNNING = "running"
    PAUSED = "paused"
    #: It stopped by itself, since failures recurred; it can be resumed.
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    DONE = "done"


#: States that are final.
ENDED = frozenset({State.CANCELLED, State.DONE})


class Stage(StrEnum):
    """What a running operation is at."""

    CANARY = "canary"
    SENDING = "sending"
    VERIFYING = "verifying"


class ItemState(StrEnum):
    """What became of one message of an operation."""

    WAITING = "waiting"
    #: Sent; its outcome is not known yet.
    SENT = "sent"
    SUCCEEDED = "succeeded"
    #: It failed again with the same fingerprint, or with another.
    FAILED_AGAIN = "failed again"
    FAILED_OTHERWISE = "failed otherwise"
    #: Not sent, for the reason that its verdict names.
    SKIPPED = "skipped"


class Wish(StrEnum):
    """What somebody wants of an operation."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


class Options(NamedTuple):
    """How an operation is to go.

    `canary`: so many are sent first, and the rest only if all of them succeed; 0 for none. `rate`: messages a
    second, None for as fast as it goes; with `ramp` it begins with 1 a second and grows tenfold. It stops by
    itself after `stop_after` failures, 0 for never, if they are at least `stop_share` (0 to 1) of the outcomes.
    """

    canary: int = 0
    rate: float | None = None
    ramp: bool = False
    stop_after: int = 0
    stop_share: float = 0.0


class Item(NamedTuple):
    """One message of an operation: `subject` is the id of a failure or the position of an event.

    `verdict` says why it was sent or skipped, `run` under which run of its record it was sent.
    """

    position: int
    subject: int
    state: ItemState
    verdict: str
    run: int | None
    changed: float


class Cursor(NamedTuple):
    """How far the replay of a stream has come: the offset to go on with, and how many of the events up to there were left alone, by verdict."""

    next: int
    skipped: Mapping[str, int]


class Operation(NamedTuple):
    """A redrive or a replay that somebody ordered, and how far it is.

    `asked` is what the kind of operation needs to know again, as JSON has it; `target` the queue of a replay.
    `pace` is how many messages a second were sent of late. `base_position` and `base_sent` are where it
    stood when it was started or resumed; `fresh_verified` and `fresh_failed` count outcomes since then.
    `cursor` is for the replay of a stream, whose messages are not written down one by one.
    """

    id: str
    app: str
    kind: str
    state: State
    stage: Stage
    who: str
    why: str
    asked: Mapping[str, Any]
    options: Options
    target: str
    total: int
    sent: int = 0
    succeeded: int = 0
    failed_again: int = 0
    failed_otherwise: int = 0
    skipped: int = 0
    base_position: int = 0
    base_sent: int = 0
    fresh_verified: int = 0
    fresh_failed: int = 0
    pace: float = 0.0
    note: str = ""
    owner: str | None = None
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    changed: float = 0.0
    cursor: Cursor | None = None

    @property
    def waiting(self) -> int:
        """Messages that are not sent yet."""
        return self.total - self.sent - self.skipped

    @property
    def failed(self) -> int:
        """Messages that failed again, whatever the fingerprint."""
        return self.failed_again + self.failed_otherwise

    @property
    def verified(self) -> int:
        """Messages whose outcome is known."""
        return self.succeeded + self.failed

    @property
    def pending(self) -> int:
        """Messages that were sent and whose outcome is not known."""
        return self.sent - self.verified

    @property
    def eta(self) -> float | None:
        """Seconds until the last message is sent at the present pace; None when nobody can tell."""
        if self.state is not State.RUNNING or not self.waiting or self.pace <= 0:
            return None
        return self.waiting / self.pace


def default_options(total: int) -> Options:
    """What is sensible for so many messages: a large operation begins with canaries."""
    return Options(canary=CANARY if total >= LARGE else 0, stop_after=STOP_AFTER, stop_share=STOP_SHARE)


def check_options(options: Options) -> None:
    """Raise `UsageError` for what makes no sense."""
    if options.canary < 0 or options.stop_after < 0:
        raise UsageError("the number of canaries and of failures to stop after cannot be negative")
    if options.rate is not None and not (options.rate > 0 and math.isfinite(options.rate)):
        raise UsageError(f"a rate of {options.rate:g} messages a second sends nothing", hint="Pause it instead.")
    if not 0 <= options.stop_share <= 1:
        raise UsageError("the share of failures to stop at is between 0 and 1")


def steer(operation: Operation, wish: Wish, now: float) -> Operation:
    """The operation after somebody's wish; raises `UsageError` where its state does not allow it."""
    state = operation.state
    if wish is Wish.PAUSE and state is State.RUNNING:
        return operation._replace(state=State.PAUSED, pace=0.0, changed=now)
    if wish is Wish.RESUME and state in (State.PAUSED, State.STOPPED):
        stage = Stage.CANARY if operation.stage is Stage.CANARY else Stage.SENDING
        return advanced(begun(operation._replace(state=State.RUNNING, stage=stage, note="", changed=now)), now)
    if wish is Wish.CANCEL and state not in ENDED:
        return operation._replace(state=State.CANCELLED, pace=0.0, ended=now, changed=now)
    raise UsageError(f"operation {operation.id} is {state}, it cannot be {wish}{'d' if wish[-1] == 'e' else 'led'}")


def begun(operation: Operation) -> Operation:
    """The operation as it begins, or begins again: what it stops for is counted from here."""
    return operation._replace(
        base_position=operation.sent + operation.skipped,
        base_sent=operation.sent,
        fresh_verified=0,
        fresh_failed=0,
    )


def allowed(operation: Operation) -> int:
    """How many messages it may send now, its rate aside."""
    if operation.state is not State.RUNNING:
        return 0
    if operation.stage is Stage.CANARY:
        canaries = operation.options.canary - (operation.sent - operation.base_sent)
        return max(min(canaries, operation.waiting), 0)
    return operation.waiting


def counted(operation: Operation, changed: Iterable[Item], now: float) -> Operation:
    """The operation after these items changed into the states that they have now."""
    sent = succeeded = again = otherwise = skipped = fresh = fresh_failed = 0
    news = False
    for item in changed:
        news = True
        match item.state:
            case ItemState.SENT:
                sent += 1
                continue
            case ItemState.SKIPPED:
                skipped += 1
                continue
            case ItemState.SUCCEEDED:
                succeeded += 1
            case ItemState.FAILED_AGAIN:
                again += 1
            case ItemState.FAILED_OTHERWISE:
                otherwise += 1
            case ItemState.WAITING:
                continue
        if item.position > operation.base_position:
            fresh += 1
            fresh_failed += item.state is not ItemState.SUCCEEDED
    return operation._replace(
        sent=operation.sent + sent,
        succeeded=operation.succeeded + succeeded,
        failed_again=operation.failed_again + again,
        failed_otherwise=operation.failed_otherwise + otherwise,
        skipped=operation.skipped + skipped,
        fresh_verified=operation.fresh_verified + fresh,
        fresh_failed=operation.fresh_failed + fresh_failed,
        changed=now if news else operation.changed,
    )


def advanced(operation: Operation, now: float) -> Operation:
    """The operation after something became of its messages: its next stage, stopped, or done."""
    if operation.state is not State.RUNNING:
        return operation
    if not operation.waiting:
        if not operation.pending:
            return operation._replace(state=State.DONE, pace=0.0, ended=now)
        if now - operation.changed > PATIENCE:
            note = (
                f"{operation.pending:,} are still on their way: nothing was heard of them for {PATIENCE / 60:g} minutes"
            )
            return operation._replace(state=State.DONE, pace=0.0, note=note, ended=now)
        return operation._replace(stage=Stage.VERIFYING)
    reason = reason_to_stop(operation)
    if reason is not None:
        return operation._replace(state=State.STOPPED, pace=0.0, note=reason)
    canaries = operation.sent - operation.base_sent
    if operation.stage is Stage.CANARY and not allowed(operation) and operation.fresh_verified >= canaries:
        return operation._replace(stage=Stage.SENDING)
    return operation


def reason_to_stop(operation: Operation) -> str | None:
    """Why the operation must not go on, if failures recur."""
    failed, verified, options = operation.fresh_failed, operation.fresh_verified, operation.options
    if operation.stage is Stage.CANARY and failed:
        return f"{failed:,} of {options.canary:,} canaries failed again"
    if options.stop_after and failed >= max(options.stop_after, options.stop_share * verified):
        return f"{failed:,} of {verified:,} failed again"
    return None
