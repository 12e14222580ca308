"""What a client can ask of a broker file. Each runs inside a transaction of its session.

An action that raises has written nothing. What it changes of consumers in memory it can undo.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.brokers.base import Depth
from engine.brokers.embedded.consumers import TAKE_AT_ONCE, Consumer, Receiver
from engine.brokers.embedded.encoding import Row, decode
from engine.brokers.embedded.session import Session
from engine.brokers.embedded.store import Held, Standing
from engine.brokers.embedded.streams import Log
from engine.errors import BrokerError, QueueMissing
from engine.model.message import Message
from engine.model.topology import Topology


def declare(session: Session, topology: Topology) -> None:
    """Make what is missing, or raise `TopologyMismatch` or `QueueMissing`."""
    if session.catalog.declare(session.connection, topology):
        session.topology_changed()
    if topology not in session.declared:
        session.declared.append(topology)


def delete_queue(session: Session, name: str) -> int:
    """Delete a queue; how many messages waited in it."""
    queue = session.catalog.queues.get(name)
    if queue is None:
        return 0
    waiting = session.store.delete_queue(queue.id)
    session.declared = [_without(topology, queue=name) for topology in session.declared]
    session.topology_changed()
    return waiting


def delete_exchange(session: Session, name: str) -> None:
    """Delete an exchange with its bindings, if it is there."""
    session.store.delete_exchange(name)
    session.declared = [_without(topology, exchange=name) for topology in session.declared]
    session.topology_changed()


def _without(topology: Topology, *, queue: str | None = None, exchange: str | None = None) -> Topology:
    """What a file that takes the place of this one is to have."""
    return Topology(
        tuple(kept for kept in topology.exchanges if kept.name != exchange),
        tuple(kept for kept in topology.queues if kept.name != queue),
        tuple(kept for kept in topology.bindings if kept.queue != queue and kept.exchange != exchange),
    )


def publish(session: Session, rows: Sequence[tuple[Row, bool]]) -> list[BrokerError | None]:
    """Write messages to their queues; per message why it was not."""
    return session.router.publish(rows, session.clock())


def consume(session: Session, number: int, name: str, prefetch: int, receiver: Receiver) -> None:
    """Add a consumer; raises `QueueMissing`."""
    queue = session.catalog.queues.get(name)
    if queue is None:
        raise QueueMissing(f"There is no queue {name!r} on the broker.", hint="Declare it first.")
    consumers = session.consumers
    consumer = Consumer(number, name, prefetch, receiver)
    consumer.queue_id = queue.id
    consumers.all[number] = consumer
    session.undo.append(lambda: consumers.all.pop(number, None))
    session.enrol(consumer)
    consumers.index()


def listen(session: Session, number: int, name: str, temporary: tuple[str, Sequence[str]], receiver: Receiver) -> None:
    """Add a consumer with a queue of its own, bound to patterns of an exchange; raises `QueueMissing` without that."""
    exchange, patterns = temporary
    if patterns and not (exchange and session.catalog.has_exchange(exchange)):
        raise QueueMissing(f"There is no exchange {exchange!r} on the broker.", hint="Declare it first.")
    consumer = Consumer(number, name, TAKE_AT_ONCE, receiver, temporary)
    session.consumers.all[number] = consumer
    session.undo.append(lambda: session.consumers.all.pop(number, None))
    session.make_temporary(consumer)
    session.topology_changed()  # which finds the consumer its queue


def cancel(session: Session, number: int) -> None:
    """A consumer takes no more; what is out with it stays so."""
    consumer = session.consumers.all.get(number)
    if consumer is not None and consumer.open:
        session.undo.append(lambda: setattr(consumer, "open", True))
        consumer.open = False
        session.enrol(consumer)
        session.consumers.index()


def remove(session: Session, number: int) -> None:
    """Cancel a consumer and give back what is out with it."""
    consumer = session.consumers.all.get(number)
    if consumer is not None:
        cancel(session, number)
        nack(session, number, list(consumer.unacked), requeue=True)
        session.undo.append(lambda: session.consumers.all.__setitem__(number, consumer))
        del session.consumers.all[number]
        if consumer.temporary is not None and consumer.queue_id is not None:
            session.store.delete_queue(consumer.queue_id)
            session.topology_changed()


def ack(session: Session, number: int, tags: Sequence[int]) -> None:
    """Done with these. Tags that are not out are ignored: they come again, or are settled."""
    held = _let_go(session, number, tags)
    if held:
        session.store.settle(held)


def nack(session: Session, number: int, tags: Sequence[int], *, requeue: bool) -> None:
    """Return these to their queue, or dead-letter them."""
    positions = sorted(held.position for held in _let_go(session, number, tags))
    if positions and requeue:
        session.router.give_back(positions, session.clock())
    else:
        session.router.bury(positions, session.clock())


def _let_go(session: Session, number: int, tags: Sequence[int]) -> list[Held]:
    consumer = session.consumers.all.get(number)
    if consumer is None:
        return []
    unacked = consumer.unacked
    gone = {tag: unacked.pop(tag) for tag in tags if tag in unacked}
    session.undo.append(lambda: unacked.update(gone))
    return list(gone.values())


def depths(session: Session, names: Sequence[str]) -> dict[str, Depth | None]:
    """What waits in each queue, and its consumers; None where it is missing."""
    found: dict[str, Depth | None] = {}
    for name in names:
        queue = session.catalog.queues.get(name)
        if queue is None:
            found[name] = None
            continue
        own = len(session.consumers.by_queue.get(queue.id, ()))
        if queue.stream is not None:
            first, after = Log(session.connection).span(queue)
            found[name] = Depth(after - first, 0)
            continue
        found[name] = Depth(session.store.count(queue.id), own + session.consumers.others.get(queue.id, 0))
    return found


def get(session: Session, name: str) -> Message | None:
    """Take the first message off a queue for good; raises `QueueMissing`."""
    queue = session.catalog.queues.get(name)
    if queue is None:
        raise QueueMissing(f"There is no queue {name!r} on the broker.")
    taken, _ = session.store.take(queue.id, session.member.id, 1, session.clock())
    if not taken:
        return None
    session.store.settle([taken[0].held])
    return decode(taken[0].properties)


def standing(session: Session) -> Standing:
    """What moves now, and what moves later."""
    return session.store.standing(session.clock())
