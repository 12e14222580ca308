"""Entries, shared contents and dead letters: what the conformance suite does not look into."""

from __future__ import annotations

import asyncio

import pytest

from engine.brokers.embedded import EmbeddedBroker
from engine.errors import BrokerError, PublishRefused, QueueMissing, TopologyMismatch
from engine.model.message import Message, Publication
from engine.model.topology import Binding, Exchange, Queue, Topology
from tests.brokers.embedded.conftest import Connect, Inbox, declare, drain, ids, rows, to


async def test_a_body_is_stored_once_and_goes_with_its_last_queue(broker: EmbeddedBroker) -> None:
    names = [f"q{n}" for n in range(4)]
    await broker.declare(
        Topology((Exchange("x"),), tuple(map(Queue, names)), tuple(Binding("x", name, "#") for name in names))
    )
    assert await broker.publish([Publication("x", "k", Message(b"x" * 1000))]) == [None]
    assert (await rows(broker, "contents"), await rows(broker, "ready")) == (1, 4)
    assert await broker.get("q0") is not None
    inbox = Inbox()
    subscription = await broker.consume("q1", prefetch=1, receive=inbox.receive)
    await subscription.ack(await inbox.take(1))
    await broker.delete_queue("q2")
    assert await rows(broker, "contents") == 1
    message = await broker.get("q3")
    assert message is not None
    assert message.body == b"x" * 1000
    assert (await rows(broker, "contents"), await rows(broker, "shares")) == (0, 0)


async def test_a_dead_letter_to_several_queues_is_stored_once(broker: EmbeddedBroker) -> None:
    await broker.declare(
        Topology(
            (Exchange("dlx"), Exchange("x")),
            (
                Queue("a", {"x-dead-letter-exchange": "dlx"}),
                Queue("b", {"x-dead-letter-exchange": "dlx"}),
                Queue("d1"),
                Queue("d2"),
            ),
            (Binding("x", "a", "#"), Binding("x", "b", "#"), Binding("dlx", "d1", "k"), Binding("dlx", "d2", "#")),
        )
    )
    await broker.publish([Publication("x", "k", Message(b"x", message_id="1"))])
    for name in ("a", "b"):
        inbox = Inbox()
        subscription = await broker.consume(name, prefetch=1, receive=inbox.receive)
        await subscription.nack(await inbox.take(1), requeue=False)
    assert (await rows(broker, "contents"), await rows(broker, "ready")) == (1, 4)
    assert await drain(broker, "d1") == ["1", "1"]
    assert await rows(broker, "contents") == 1
    assert await drain(broker, "d2") == ["1", "1"]
    assert (await rows(broker, "contents"), await rows(broker, "shares")) == (0, 0)


async def test_a_dead_letter_that_no_queue_wants_waits_until_one_does(connect: Connect) -> None:
    broker, other = await connect(), await connect()
    queue = await declare(broker, "q", dead_letter_exchange="", dead_letter_routing_key="later")
    await broker.publish(to(queue, "1", "2"))
    inbox = Inbox()
    subscription = await broker.consume(queue, prefetch=2, receive=inbox.receive)
    await subscription.nack(await inbox.take(2), requeue=False)
    await subscription.close()
    assert (await broker.depths([queue]))[queue] == (0, 0)
    await declare(other, "later")
    assert await drain(broker, "later") == ["1", "2"]


async def test_drop_head_drops_the_oldest_to_the_dead_letter_queue(broker: EmbeddedBroker) -> None:
    dead = await declare(broker, "dead")
    queue = await declare(broker, "q", max_length=3, dead_letter_exchange="", dead_letter_routing_key=dead)
    assert await broker.publish(to(queue, *range(5))) == [None] * 5
    assert await drain(broker, queue) == ["2", "3", "4"]
    assert await drain(broker, dead) == ["0", "1"]


async def test_a_refused_message_reaches_none_of_its_queues(broker: EmbeddedBroker) -> None:
    await broker.declare(
        Topology(
            (Exchange("x"),),
            (Queue("full", {"x-max-length": 0, "x-overflow": "reject-publish"}), Queue("free")),
            (Binding("x", "full", "#"), Binding("x", "free", "#")),
        )
    )
    (answer,) = await broker.publish([Publication("x", "k", Message(b"x"))])
    assert isinstance(answer, PublishRefused)
    assert "full" in answer.message
    assert await drain(broker, "free") == []
    assert await rows(broker, "contents") == 0


async def test_requeued_messages_go_back_to_their_places(broker: EmbeddedBroker) -> None:
    queue = await declare(broker, "q")
    await broker.publish(to(queue, *range(6)))
    inbox = Inbox()
    subscription = await broker.consume(queue, prefetch=4, receive=inbox.receive)
    out = await inbox.take(4)
    await subscription.cancel()
    await subscription.nack([out[3], out[1]], requeue=True)
    assert await drain(broker, queue) == ["1", "3", "4", "5"]


async def test_settling_twice_or_elsewhere_changes_nothing(broker: EmbeddedBroker) -> None:
    queue = await declare(broker, "q")
    await broker.publish(to(queue, "1"))
    first, second = Inbox(), Inbox()
    holder = await broker.consume(queue, prefetch=1, receive=first.receive)
    other = await broker.consume(queue, prefetch=1, receive=second.receive)
    out = await (first if not first.empty() else second).take(1)
    owner, stranger = (holder, other) if first.empty() and second.empty() and out else (other, holder)
    await stranger.cancel()
    await owner.cancel()
    depth = (await broker.depths([queue]))[queue]
    assert depth == (0, 0)
    for subscription in (holder, other):
        await subscription.nack(out, requeue=True)
        await subscription.ack(out)
    assert await drain(broker, queue) == ["1"]


async def test_a_deleted_queue_is_reported_and_consumed_again_when_it_is_back(connect: Connect) -> None:
    broker, other = await connect(), await connect()
    queue = await declare(broker, "q")
    await declare(broker, "unhurt")
    states: asyncio.Queue[tuple[str | None, BrokerError | None]] = asyncio.Queue()
    broker.on_state = lambda name, error: states.put_nowait((name, error))
    inbox, unhurt = Inbox(), Inbox()
    subscription = await broker.consume(queue, prefetch=1, receive=inbox.receive)
    await broker.consume("unhurt", prefetch=1, receive=unhurt.receive)
    await other.publish(to(queue, "1", "2"))
    out = await inbox.take(1)
    assert await other.delete_queue(queue) == 1
    name, error = await states.get()
    assert name == queue
    assert isinstance(error, QueueMissing)
    await other.publish(to("unhurt", "3"))
    assert ids(await unhurt.take(1)) == ["3"]
    await declare(other, queue)
    assert await states.get() == (queue, None)
    await subscription.ack(out)
    await other.publish(to(queue, "4"))
    assert ids(await inbox.take(1)) == ["4"]


async def test_an_alternate_exchange_takes_what_nobody_wanted(broker: EmbeddedBroker) -> None:
    await broker.declare(
        Topology(
            (Exchange("x", "direct", {"alternate-exchange": "y"}), Exchange("y", "topic", {"alternate-exchange": "x"})),
            (Queue("q"), Queue("rest")),
            (Binding("x", "q", "a"), Binding("y", "rest", "b.#")),
        )
    )
    answers = await broker.publish([Publication("x", key, Message(b"x", message_id=key)) for key in ("a", "b.c", "c")])
    assert [answer is None for answer in answers] == [True, True, False]
    assert await drain(broker, "rest") == ["b.c"]


async def test_a_declare_that_cannot_be_changes_nothing(broker: EmbeddedBroker) -> None:
    await declare(broker, "q", message_ttl=5)
    with pytest.raises(TopologyMismatch, match=r"'q'.*x-message-ttl is 5 instead of 6"):
        await broker.declare(Topology((), (Queue("new"), Queue("q", {"x-message-ttl": 6})), ()))
    with pytest.raises(TopologyMismatch, match="x-max-length"):
        await broker.declare(Topology((), (Queue("new", {"x-max-length": "many"}),), ()))
    with pytest.raises(QueueMissing):
        await broker.declare(Topology((Exchange("x"),), (Queue("new"),), (Binding("x", "nowhere", "#"),)))
    with pytest.raises(BrokerError, match="fanout"):
        await broker.declare(Topology((Exchange("x", "fanout"),), (Queue("new"),), ()))
    assert await broker.depths(["new"]) == {"new": None}


@pytest.mark.parametrize(
    "message",
    [
        Message(b"x", message_id="i" * 256),
        Message(b"x", message_id="\ud800"),
        Message(b"x", timestamp=2**63),
        Message(b"x", {"a": 10**5000}),
        Message("text"),  # type: ignore[arg-type]
    ],
    ids=["long id", "surrogate", "timestamp", "integer", "text body"],
)
async def test_what_cannot_travel_is_refused_alone(broker: EmbeddedBroker, message: Message) -> None:
    queue = await declare(broker, "q")
    good = Message(b"x", message_id="good")
    answers = await broker.publish([Publication("", queue, m) for m in (good, message, good)])
    assert [type(answer) for answer in answers] == [type(None), PublishRefused, type(None)]
    assert await drain(broker, queue) == ["good", "good"]


async def test_ids_may_hold_control_characters(broker: EmbeddedBroker) -> None:
    queue = await declare(broker, "q")
    for text in ("a\x00b", "\x1b]52;c;x\x07", "a\r\nb"):
        await broker.publish([Publication("", queue, Message(b"", {text: text}, message_id=text))])
        found = await broker.get(queue)
        assert found is not None
        assert (found.message_id, found.headers) == (text, {text: text})


async def test_two_subscriptions_get_equal_parts(broker: EmbeddedBroker) -> None:
    queue = await declare(broker, "q")
    left, right = Inbox(), Inbox()
    for inbox in (left, right):
        await broker.consume(queue, prefetch=50, receive=inbox.receive)
    await broker.publish(to(queue, *range(40)))
    found = ids(await left.take(20)) + ids(await right.take(20))
    assert sorted(int(i or 0) for i in found) == list(range(40))


async def test_a_wrong_type_of_exchange_is_a_mismatch(broker: EmbeddedBroker) -> None:
    await broker.declare(Topology((Exchange("x", "topic"),)))
    with pytest.raises(TopologyMismatch, match="'x'"):
        await broker.declare(Topology((Exchange("x", "direct"),)))
