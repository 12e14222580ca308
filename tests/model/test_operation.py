"""The course of an operation: canaries first, the rest only if they succeed, and a stop when failures recur."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.model.operation import (
    ENDED,
    PATIENCE,
    Item,
    ItemState,
    Operation,
    Options,
    Stage,
    State,
    Wish,
    advanced,
    allowed,
    check_options,
    counted,
    default_options,
    steer,
)

NOW = 1000.0


def operation(total: int = 100, options: Options | None = None, **rest: object) -> Operation:
    chosen = options or Options()
    stage = Stage.CANARY if chosen.canary else Stage.SENDING
    made = Operation("rd-1", "shop", "redrive", State.RUNNING, stage, "anna", "", {}, chosen, "", total, changed=NOW)
    return made._replace(**rest)  # type: ignore[arg-type]


def moved(stands: Operation, first: int, states: list[ItemState], now: float = NOW) -> Operation:
    """After the items from position `first` on came into these states."""
    items = [Item(first + number, number, state, "", 1, now) for number, state in enumerate(states)]
    return advanced(counted(stands, items, now), now)


def sent(stands: Operation, count: int) -> Operation:
    return moved(stands, stands.sent + stands.skipped + 1, [ItemState.SENT] * count)


def test_the_rest_waits_for_the_canaries() -> None:
    stands = operation(options=Options(canary=3))
    assert allowed(stands) == 3
    stands = sent(stands, 3)
    assert (allowed(stands), stands.stage) == (0, Stage.CANARY)
    stands = moved(stands, 1, [ItemState.SUCCEEDED] * 2)
    assert allowed(stands) == 0
    stands = moved(stands, 3, [ItemState.SUCCEEDED])
    assert (allowed(stands), stands.stage) == (97, Stage.SENDING)


def test_skipped_messages_are_no_canaries() -> None:
    stands = moved(operation(options=Options(canary=2)), 1, [ItemState.SKIPPED] * 5)
    assert allowed(stands) == 2


@pytest.mark.parametrize("failed", [ItemState.FAILED_AGAIN, ItemState.FAILED_OTHERWISE])
def test_one_canary_that_fails_stops_it_and_a_resume_sends_others(failed: ItemState) -> None:
    stands = moved(sent(operation(options=Options(canary=3)), 3), 1, [ItemState.SUCCEEDED, failed])
    assert (stands.state, stands.note, allowed(stands)) == (State.STOPPED, "1 of 3 canaries failed again", 0)
    # What was sent before may still fail; that says nothing of the new canaries.
    stands = steer(stands, Wish.RESUME, NOW)
    assert (stands.state, stands.stage, stands.note, allowed(stands)) == (State.RUNNING, Stage.CANARY, "", 3)
    stands = moved(stands, 3, [failed])
    assert stands.state is State.RUNNING
    stands = moved(sent(stands, 3), 4, [ItemState.SUCCEEDED] * 3)
    assert (stands.stage, allowed(stands)) == (Stage.SENDING, 94)


def test_it_stops_when_failures_recur() -> None:
    stands = sent(operation(1000, Options(stop_after=5, stop_share=0.5)), 20)
    stands = moved(stands, 1, [ItemState.SUCCEEDED] * 6 + [ItemState.FAILED_AGAIN] * 5)
    assert stands.state is State.RUNNING, "five, but of eleven"
    stands = moved(stands, 12, [ItemState.FAILED_OTHERWISE])
    assert (stands.state, stands.note) == (State.STOPPED, "6 of 12 failed again")


def test_without_a_limit_it_never_stops() -> None:
    assert moved(sent(operation(1000), 500), 1, [ItemState.FAILED_AGAIN] * 500).state is State.RUNNING


def test_it_is_done_when_the_last_outcome_is_known() -> None:
    stands = sent(operation(2), 2)
    assert (stands.state, stands.stage) == (State.RUNNING, Stage.VERIFYING)
    assert moved(stands, 1, [ItemState.SUCCEEDED]).state is State.RUNNING
    done = moved(stands, 1, [ItemState.SUCCEEDED, ItemState.FAILED_AGAIN])
    assert (done.state, done.ended, done.failed, done.pending) == (State.DONE, NOW, 1, 0)


def test_it_does_not_wait_for_ever() -> None:
    stands = sent(operation(2), 2)
    assert advanced(stands, NOW + PATIENCE - 1).state is State.RUNNING
    done = advanced(stands, NOW + PATIENCE + 1)
    assert (done.state, done.note) == (
        State.DONE,
        "2 are still on their way: nothing was heard of them for 10 minutes",
    )


@pytest.mark.parametrize(
    ("state", "wish", "then"),
    [
        (State.RUNNING, Wish.PAUSE, State.PAUSED),
        (State.PAUSED, Wish.RESUME, State.RUNNING),
        (State.STOPPED, Wish.RESUME, State.RUNNING),
        (State.PREPARING, Wish.CANCEL, State.CANCELLED),
        (State.RUNNING, Wish.CANCEL, State.CANCELLED),
        (State.PAUSED, Wish.CANCEL, State.CANCELLED),
        (State.STOPPED, Wish.CANCEL, State.CANCELLED),
    ],
)
def test_what_may_be_wished(state: State, wish: Wish, then: State) -> None:
    assert steer(operation(state=state), wish, NOW).state is then


@pytest.mark.parametrize("wish", list(Wish))
@pytest.mark.parametrize("state", sorted(ENDED))
def test_what_has_ended_cannot_be_steered(state: State, wish: Wish) -> None:
    with pytest.raises(UsageError, match=f"operation rd-1 is {state}, it cannot be"):
        steer(operation(state=state), wish, NOW)


@pytest.mark.parametrize(
    "options", [Options(canary=-1), Options(rate=0), Options(rate=float("inf")), Options(stop_share=2), Options(stop_after=-1)]
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(options: Options) -> None:
    with pytest.raises(UsageError):
        check_options(options)


def test_a_large_set_begins_with_canaries() -> None:
    assert default_options(99).canary == 0
    assert default_options(100).canary == 10
    check_options(default_options(10**6))


OUTCOMES = st.sampled_from([ItemState.SUCCEEDED, ItemState.FAILED_AGAIN, ItemState.FAILED_OTHERWISE])


@given(st.data())
def test_whatever_happens_the_counts_agree_and_canaries_go_first(data: st.DataObject) -> None:
    """Any course of sending, skipping, outcomes in any order, pauses and resumes, until nothing moves."""
    total, canary = data.draw(st.integers(1, 30)), data.draw(st.integers(0, 5))
    stop_after = data.draw(st.integers(0, 4))
    stands = operation(total, Options(canary=canary, stop_after=stop_after))
    states = dict.fromkeys(range(1, total + 1), ItemState.WAITING)
    since = {"sent": 0, "failed": 0, "base": 0}
    pauses = data.draw(st.integers(0, 3))
    for _ in range(200):
        waiting = [position for position, state in states.items() if state is ItemState.WAITING]
        pending = [position for position, state in states.items() if state is ItemState.SENT]
        assert (stands.waiting, stands.pending) == (len(waiting), len(pending))
        assert stands.failed == sum(state.startswith("failed") for state in states.values())
        acts = ["send"] * (allowed(stands) > 0) + ["look"] * bool(pending)
        if stands.state is State.RUNNING and pauses:
            acts.append("pause")
        if stands.state in (State.PAUSED, State.STOPPED):
            acts = [*acts, "resume"]
        if not acts:
            break
        act = data.draw(st.sampled_from(acts))
        if act in ("pause", "resume"):
            stands = steer(stands, Wish(act), NOW)
            pauses -= act == "pause"
            if act == "resume":
                since = {"sent": 0, "failed": 0, "base": total - len(waiting)}
            continue
        if act == "send":
            group = waiting[: data.draw(st.integers(1, allowed(stands)))]
            new = [data.draw(st.sampled_from([ItemState.SENT, ItemState.SKIPPED])) for _ in group]
            since["sent"] += new.count(ItemState.SENT)
            if stands.stage is Stage.CANARY:
                assert since["sent"] <= canary
        else:
            group = data.draw(st.lists(st.sampled_from(pending), min_size=1, unique=True))
            new = [data.draw(OUTCOMES) for _ in group]
            fresh = [
                position > since["base"] and state.startswith("failed")
                for position, state in zip(group, new, strict=True)
            ]
            since["failed"] += sum(fresh)
        before = stands
        items = [Item(position, 0, state, "", 1, NOW) for position, state in zip(group, new, strict=True)]
        stands = advanced(counted(stands, items, NOW), NOW)
        states.update(zip(group, new, strict=True))
        if before.state is State.RUNNING and stands.waiting:
            limit = stop_after and since["failed"] >= stop_after
            canary_failed = before.stage is Stage.CANARY and since["failed"] > 0
            assert (stands.state is State.STOPPED) == bool(limit or canary_failed)
    else:
        pytest.fail("it did not come to an end")
    if stands.state is State.RUNNING:
        pytest.fail(f"nothing can be done, but it is not done: {stands}")
