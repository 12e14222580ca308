"""The circuit of a queue as a pure machine."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.model.circuit import (
    CLOSED,
    FIRST_PROBE,
    LONGEST_PROBE,
    Cause,
    Circuit,
    Switch,
    failed,
    is_due,
    pause,
    probe,
    put_off,
    succeeded,
)

DOWN = Cause("f-1", "ConnectionError")
OTHER = Cause("f-2", "ValueError")


def failing(times: int, cause: Cause = DOWN, circuit: Circuit = CLOSED, threshold: int = 20) -> Circuit:
    for _ in range(times):
        circuit = failed(circuit, cause, 100.0, threshold)
    return circuit


def test_it_opens_after_so_many_failures_of_one_cause() -> None:
    assert failing(19).switch is Switch.CLOSED
    opened = failing(20)
    assert (opened.switch, opened.failures, opened.cause) == (Switch.OPEN, 20, DOWN)
    assert opened.next_probe == 100.0 + FIRST_PROBE


def test_another_cause_and_a_success_count_anew() -> None:
    mixed = failing(19, circuit=failing(1, OTHER, failing(19)))
    assert mixed.switch is Switch.CLOSED
    assert failed(mixed, DOWN, 100.0).switch is Switch.OPEN
    assert failing(19, circuit=succeeded(failing(19))).switch is Switch.CLOSED


def test_a_threshold_of_zero_never_opens_it() -> None:
    assert failing(1000, threshold=0).switch is Switch.CLOSED


def test_a_failed_probe_waits_twice_as_long_and_at_most_the_longest() -> None:
    circuit, now, waits = failing(20), 100.0, []
    for _ in range(10):
        now = circuit.next_probe
        assert not is_due(circuit, now - 0.01)
        assert is_due(circuit, now)
        circuit = failed(probe(circuit), OTHER, now)
        waits.append(circuit.next_probe - now)
    assert waits == [10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0, 300.0, 300.0]
    assert succeeded(probe(circuit)) == CLOSED


def test_an_attempt_that_was_under_way_neither_hastens_nor_delays_a_probe() -> None:
    opened = failing(20)
    assert failing(50, circuit=opened) == opened
    assert put_off(probe(opened)) == opened
    assert probe(CLOSED) == put_off(CLOSED) == CLOSED


steps = st.lists(
    st.one_of(
        st.tuples(st.just("failed"), st.sampled_from([DOWN, OTHER])),
        st.tuples(st.sampled_from(["succeeded", "probe", "put off"]), st.just(DOWN)),
    ),
    max_size=200,
)


@given(steps, st.integers(1, 8))
def test_whatever_happens(history: list[tuple[str, Cause]], threshold: int) -> None:
    """Against its meaning: open means that so many failed in a row of one cause; a success closes it."""
    circuit, now, row = CLOSED, 0.0, list[Cause]()
    for step, cause in history:
        now += 1.0
        before = circuit
        match step:
            case "failed":
                circuit = failed(circuit, cause, now, threshold)
                row.append(cause)
            case "succeeded":
                circuit, row = succeeded(circuit), []
            case "probe":
                circuit = probe(circuit) if is_due(circuit, now) else circuit
            case _:
                circuit = put_off(circuit)
        if before.switch is Switch.CLOSED and circuit.switch is not Switch.CLOSED:
            assert len(row) >= threshold
            assert len(set(row[-threshold:])) == 1
        if step == "succeeded":
            assert circuit == CLOSED
        elif before.switch is not Switch.CLOSED:
            assert circuit.switch is not Switch.CLOSED  # nothing but a success closes it
        if circuit.switch is not Switch.CLOSED:
            assert circuit.next_probe - now <= LONGEST_PROBE
        if before.switch is Switch.PROBING and step == "failed":
            assert circuit.next_probe == now + pause(circuit.probes)
            assert circuit.probes == before.probes + 1


@given(st.integers(0, 10**9))
def test_pauses_grow_and_stay_bounded(probes: int) -> None:
    assert FIRST_PROBE <= pause(probes) <= pause(probes + 1) <= LONGEST_PROBE
