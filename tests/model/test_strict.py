"""A strict order as a pure decision: whatever happens, nothing overtakes what is not done with."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.model.strict import Line, arrived, done, failed, may_run


def test_the_line_of_one_key() -> None:
    line = failed(Line(), "1")
    line = arrived(arrived(line, "2"), "3")
    assert line == Line("1", ("2", "3"))
    assert [may_run(line, event) for event in ("1", "2", "3", "4")] == [True, False, False, False]
    assert arrived(line, "2") == line == arrived(line, "1")
    line, sent = done(line, "1")
    assert (line, sent) == (Line("2", ("3",)), "2")
    assert done(line, "3") == (line, None)
    assert failed(line, "2") == line
    line, sent = done(line, "2")
    assert (line, sent) == (Line("3"), "3")
    assert done(line, "3") == (Line(), None)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=60), st.integers(1, 12))
def test_events_end_in_their_order(steps: list[tuple[bool, int]], count: int) -> None:
    """Deliveries of one key come in order, copies too; runs fail and end, in whatever way."""
    line, ended, coming = Line(), list[str](), [str(number) for number in range(count)]
    sent: list[str] = []  # released, and on its way back
    for fails, what in [*steps, *((False, 0) for _ in range(4 * count))]:
        if sent and what != 1:
            event = sent[0]
        elif coming:
            event = coming[0]
            if what == 2 and len(coming) > 1:
                line = arrived(line, event)  # a copy; where it may run it does, below
        elif line.head is not None:
            event = line.head
        else:
            break
        if not may_run(line, event):
            line = arrived(line, event)
            coming = [one for one in coming if one != event]
            continue
        if fails:
            line = failed(line, event)
        else:
            ended.append(event)
            line, following = done(line, event)
            sent = [] if following is None else [following]
        coming = [one for one in coming if one != event]
        assert line.head is None or line.head not in ended
    assert ended == [str(number) for number in range(count)]
    assert line == Line()
