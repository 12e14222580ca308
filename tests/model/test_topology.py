from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigurationError, PluginError
from engine.model.topology import (
    NO_DELIVERY_LIMIT,
    Binding,
    Difference,
    Exchange,
    Queue,
    Route,
    Topology,
    check_pattern,
    compare,
    delay_topology,
    dlq_name,
    dlx_name,
    due_name,
    handler_topology,
    journal_topology,
    merge,
    stream_name,
    topic_matches,
)
from engine.settings import Kept

ROUTES = [
    Route("shop.orders.reserve", "events", ["order.placed", "order.*"]),
    Route("shop.orders.audit", "trail", ["#"]),
]


def matches(pattern: list[str], words: list[str]) -> bool:
    """The definition, without regard to speed."""
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(matches(pattern[1:], words[taken:]) for taken in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and matches(pattern[1:], words[1:])


@given(
    st.lists(st.sampled_from(["a", "b", "*", "#", ""]), max_size=6),
    st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=6),
)
def test_topics_match_as_defined(pattern: list[str], words: list[str]) -> None:
    # One empty word and no word at all are both written as the empty text, which has no words.
    wanted = matches([] if pattern == [""] else pattern, [] if words == [""] else words)
    assert topic_matches(".".join(pattern), ".".join(words)) is wanted


def test_many_wildcards_cost_no_time() -> None:
    assert not topic_matches(".".join(["#", "a"] * 40), ".".join(["a"] * 100 + ["b"]))
    assert topic_matches(".".join(["#", "a"] * 40), ".".join(["a"] * 100))


@pytest.mark.parametrize("pattern", ["order.placed", "*", "#", "order.*", "#.failed.#", "*.*", "a" * 255, "ordre.créé"])
def test_patterns_that_are_right(pattern: str) -> None:
    check_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        ".",
        "order.",
        ".order",
        "order..placed",
        "order*",
        "order.pl#",
        "**",
        "##",
        " order",
        "a\nb",
        "a" * 256,
        "é" * 128,
    ],
)
def test_patterns_that_are_a_mistake(pattern: str) -> None:
    with pytest.raises(PluginError):
        check_pattern(pattern)


def queues(topology: Topology) -> dict[str, Queue]:
    return {queue.name: queue for queue in topology.queues}


def test_each_handler_gets_a_queue_and_a_dead_letter_queue_on_its_exchange() -> None:
    topology = handler_topology("shop", ROUTES)
    assert topology.exchanges == (Exchange("shop.dlx", "direct"), Exchange("events"), Exchange("trail"))
    assert set(queues(topology)) == {
        "shop.orders.reserve",
        "shop.orders.reserve.dlq",
        "shop.orders.audit",
        "shop.orders.audit.dlq",
    }
    assert set(topology.bindings) == {
        Binding("events", "shop.orders.reserve", "order.placed"),
        Binding("events", "shop.orders.reserve", "order.*"),
        Binding("trail", "shop.orders.audit", "#"),
        Binding("shop.dlx", "shop.orders.reserve.dlq", "shop.orders.reserve"),
        Binding("shop.dlx", "shop.orders.audit.dlq", "shop.orders.audit"),
    }


def test_no_queue_of_ours_drops_what_it_gives_up() -> None:
    """Whatever has a delivery limit that can be met dead-letters at least once, to a queue that is there."""
    topology = merge(handler_topology("shop", ROUTES), delay_topology("shop"))
    bound = {(binding.exchange, binding.pattern): binding.queue for binding in topology.bindings}
    bound |= {("", name): name for name in queues(topology)}
    for queue in topology.queues:
        arguments = queue.arguments
        assert arguments["x-queue-type"] == "quorum"
        if arguments["x-delivery-limit"] == NO_DELIVERY_LIMIT:
            assert queue.name.endswith(".dlq")
            continue
        assert arguments["x-delivery-limit"] == 1000
        target = (arguments["x-dead-letter-exchange"], arguments["x-dead-letter-routing-key"])
        assert bound[target] != queue.name  # type: ignore[index]
        assert arguments["x-dead-letter-strategy"] == "at-least-once"
        assert arguments["x-overflow"] == "reject-publish"


def test_the_rungs_expire_into_the_due_queue() -> None:
    topology = delay_topology("shop")
    rungs = [queue for queue in topology.queues if "x-message-ttl" in queue.arguments]
    assert len(rungs) == 20
    assert rungs[0].name == "shop.delay.250ms"
    assert rungs[0].arguments["x-message-ttl"] == 250
    assert all(rung.arguments["x-dead-letter-routing-key"] == due_name("shop") for rung in rungs)
    assert {due_name("shop"), dlq_name(due_name("shop"))} <= queues(topology).keys()


def test_names() -> None:
    assert (dlx_name("shop"), due_name("shop"), dlq_name("shop.a.b")) == ("shop.dlx", "shop.due", "shop.a.b.dlq")


@pytest.mark.parametrize(
    "route",
    [
        Route("", "events", ["#"]),
        Route("q" * 252, "events", ["#"]),
        Route("amq.q", "events", ["#"]),
        Route("shop.due", "events", ["#"]),
        Route("shop.delay.1s", "events", ["#"]),
        Route("shop.a.dlq", "events", ["#"]),
        Route("q", "", ["#"]),
        Route("q", "amq.direct", ["#"]),
        Route("q", "shop.dlx", ["#"]),
        Route("q", "events", ["order."]),
    ],
    ids=repr,
)
def test_routes_that_cannot_be(route: Route) -> None:
    with pytest.raises(PluginError):
        handler_topology("shop", [route])


def test_one_queue_for_two_handlers_is_refused() -> None:
    with pytest.raises(PluginError, match=r"Two handlers claim the queue 'q'"):
        handler_topology("shop", [Route("q", "events", ["a"]), Route("q", "events", ["b"])])


@pytest.mark.parametrize("app", ["", "a" * 250, "a\nb", "amq.x"])
def test_applications_that_cannot_be(app: str) -> None:
    with pytest.raises(ConfigurationError):
        delay_topology(app)


def test_merge_joins_what_agrees() -> None:
    topology = handler_topology("shop", ROUTES)
    assert merge(topology, topology) == topology
    assert merge() == Topology()


def test_merge_refuses_what_contradicts() -> None:
    with pytest.raises(ConfigurationError, match="'events' is wanted in two ways"):
        merge(Topology((Exchange("events"),)), Topology((Exchange("events", "direct"),)))
    with pytest.raises(ConfigurationError, match="'q' is wanted in two ways"):
        merge(Topology(queues=(Queue("q"),)), Topology(queues=(Queue("q", {"x-max-length": 1}),)))


def test_compare_says_what_is_missing_and_what_is_otherwise() -> None:
    wanted = Topology(
        (Exchange("events"), Exchange("other")),
        (Queue("a", {"x-delivery-limit": 5, "x-max-length": 1}), Queue("b")),
        (Binding("events", "a", "#"), Binding("events", "b", "x")),
    )
    found = Topology(
        (Exchange("events", "direct"), Exchange("stranger")),
        (Queue("a", {"x-delivery-limit": 6, "x-message-ttl": 9}),),
        (Binding("events", "a", "#"),),
    )
    assert compare(wanted, wanted) == []
    assert compare(wanted, found) == [
        Difference("exchange", "events", "mismatch", "type is 'direct' instead of 'topic'"),
        Difference("exchange", "other", "missing", "topic exchange"),
        Difference(
            "queue",
            "a",
            "mismatch",
            "x-delivery-limit is 6 instead of 5, x-max-length is 'not set' instead of 1,"
            " x-message-ttl is 9 instead of 'not set'",
        ),
        Difference("queue", "b", "missing", "queue"),
        Difference("binding", "b", "missing", "from events by x"),
    ]


def test_a_journal_goes_to_a_stream_or_to_a_queue_and_never_to_both() -> None:
    assert journal_topology("shop", "events", (), Kept(30, 10**10)) == Topology()
    topology = journal_topology("shop", "events", ["order.*", "order.*", "payment.#"], Kept(1.5, 10**10))
    [stream] = topology.queues
    assert stream == Queue(
        "shop.journal.stream",
        {
            "x-queue-type": "stream",
            "x-max-age": "129600s",
            "x-max-length-bytes": 10**10,
            "x-stream-max-segment-size-bytes": 500_000_000,
        },
    )
    assert topology.exchanges == (Exchange("events"),)
    assert topology.bindings == tuple(Binding("events", stream.name, each) for each in ("order.*", "payment.#"))
    small = journal_topology("shop", "events", ["#"], Kept(1, 1_000_000)).queues[0]
    assert small.arguments["x-stream-max-segment-size-bytes"] == 50_000
    assert stream.name not in {queue.name for queue in journal_topology("shop", "events", ["order.*"]).queues}
    with pytest.raises(ConfigurationError, match="The setting journal"):
        journal_topology("shop", "events", ["order*"], Kept(1, 10**9))


def test_no_handler_owns_the_stream() -> None:
    with pytest.raises(PluginError, match="one that Warren makes for itself"):
        handler_topology("shop", [Route(stream_name("shop"), "events", ["#"])])
