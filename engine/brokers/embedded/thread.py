"""The thread that owns the database connection, and how work reaches it.

No timer gathers work: what comes in while a transaction is written is the next one.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final

from engine.brokers.embedded.consumers import Batch
from engine.brokers.embedded.file import explain, is_environment
from engine.brokers.embedded.session import Session
from engine.errors import BrokerError, BrokerUnavailable, WarrenError

#: How often the file is looked at for what other processes did, in seconds: while there is
#: traffic, when it is quiet, and when nothing here waits for messages.
POLL_BUSY: Final = 0.01
POLL_QUIET: Final = 0.02
POLL_IDLE: Final = 0.5

#: So long after the last sign of traffic it is quiet, in seconds.
QUIET_AFTER: Final = 1.0

#: How often other connections are looked after, in seconds.
REAP_EVERY: Final = 0.5

#: Messages in one transaction, roughly.
MAX_GROUP: Final = 2048

#: The pauses between tries while the file cannot be written, in seconds.
FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 2.0


class Request:
    """One piece of work, and the future that waits for it, if any."""

    __slots__ = ("error", "future", "reads", "result", "weight", "work")

    def __init__(
        self,
        work: Callable[[Session], Any],
        future: asyncio.Future[Any] | None,
        *,
        weight: int = 1,
        reads: bool = False,
    ) -> None:
        self.work = work
        self.future = future
        self.weight = weight
        self.reads = reads
        self.result: Any = None
        self.error: WarrenError | None = None

    @property
    def abandoned(self) -> bool:
        """Nobody waits for it any more."""
        return self.future is not None and self.future.done()

    def run(self, session: Session) -> None:
        """Do the work; an error of ours is its answer, any other fails the transaction."""
        self.error = None
        if self.abandoned:
            return
        try:
            self.result = self.work(session)
        except WarrenError as error:
            self.error = error

    def answer(self) -> None:
        """On the loop: let the future know."""
        if self.future is not None and not self.future.done():
            if self.error is None:
                self.future.set_result(self.result)
            else:
                self.future.set_exception(self.error)


class BrokerThread:
    """Runs a session. Its callbacks are called on the loop."""

    def __init__(
        self,
        session: Session,
        *,
        on_group: Callable[[Sequence[Request], Sequence[Batch]], None],
        on_state: Callable[[str | None, BrokerError | None], None],
    ) -> None:
        self._session = session
        self._on_group = on_group
        self._on_state = on_state
        self._loop = asyncio.get_running_loop()
        self._inbox: SimpleQueue[Request | None] = SimpleQueue()
        self._kept: list[Request] = []
        self._closing = False
        self._hurry = threading.Event()
        self._trouble = 0
        self._next_poll = self._next_reap = self._busy_until = 0.0
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="warren-broker", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> None:
        """From the loop: have it done in the next transaction."""
        self._inbox.put(request)

    def close(self) -> None:
        """Do what was submitted, once, and end; `ended` tells when."""
        self._hurry.set()
        self._inbox.put(None)

    def _run(self) -> None:
        try:
            self._session.open()
            batches = self._session.write(())
        except Exception as error:
            self._session.drop()
            self._call(_fail, self.opened, explain(error, self._session.file.path))
            return
        self._call(_succeed, self.opened)
        self._hand_over((), batches)
        try:
            while not self._closing:
                self._turn()
            self._session.close()
        except Exception:
            self._session.drop()
        finally:
            self._abandon()
            self._call(_succeed, self.ended)

    def _abandon(self) -> None:
        """Whoever still waits is told."""
        while not self._inbox.empty():
            if request := self._inbox.get():
                self._kept.append(request)
        for request in self._kept:
            request.error = BrokerUnavailable("The broker was closed.")
        self._call(self._on_group, self._kept, ())

    def _turn(self) -> None:
        """Wait for something to do, and do it in one transaction."""
        requests = self._gather()
        self._kept = []
        try:
            if not self._session.file.is_open:
                self._session.open()
            self._transact(requests, self._look_around())
        except Exception as error:
            if _is_trouble(error):
                self._pause(requests, error)
            else:
                self._one_by_one(requests)

    def _look_around(self) -> tuple[bool, bool]:
        """Whether there is something to write on our own account, and whether a connection has died."""
        now = time.monotonic()
        session = self._session
        reap = False
        due = session.due()
        if now >= self._next_poll or self._trouble:
            if session.poll():
                due = True
                self._busy_until = now + QUIET_AFTER
            self._next_poll = now + self._interval(now)
        if now >= self._next_reap:
            self._next_reap = now + REAP_EVERY
            if session.file.replaced():
                raise BrokerUnavailable(f"The broker file {session.file.path} was moved or deleted.")
            reap = session.member.anyone_gone(session.connection)
        return due, reap

    def _interval(self, now: float) -> float:
        if not self._session.consumers.by_queue:
            return POLL_IDLE
        return POLL_BUSY if now < self._busy_until else POLL_QUIET

    def _transact(self, requests: Sequence[Request], look: tuple[bool, bool]) -> None:
        due, reap = look
        batches: Sequence[Batch] = ()
        if due or reap or self._trouble or not all(request.reads for request in requests):
            batches = self._session.write(requests, reap=reap)
            self._busy_until = time.monotonic() + QUIET_AFTER
        elif requests:
            self._session.read(requests)
        if self._trouble:
            self._trouble = 0
            self._call(self._on_state, None, None)
        self._hand_over(requests, batches)

    def _one_by_one(self, requests: Sequence[Request]) -> None:
        """Something in the group cannot be written: only that is to fail."""
        for at, request in enumerate(requests):
            try:
                batches = self._session.write([request])
            except Exception as error:
                if _is_trouble(error):
                    self._pause(requests[at:], error)
                    return
                request.error = BrokerError(f"The broker file cannot take this: {type(error).__name__}: {error}")
                batches = []
            self._hand_over([request], batches)

    def _pause(self, requests: Sequence[Request], error: Exception) -> None:
        """The file cannot be used now: keep the work, wait a while, open it anew."""
        session = self._session
        self._kept = list(requests)
        self._trouble += 1
        if self._trouble == 1:
            self._call(self._on_state, None, explain(error, session.file.path))
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._trouble, 10)) * random.uniform(0.5, 1)
        if self._hurry.wait(pause):
            self._closing = True
            return
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CANTOPEN) & 0xFF
        if code not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL):
            session.file.close()

    def _gather(self) -> list[Request]:
        """What is to be done next: what was kept, and what came in. Waits while there is nothing."""
        requests = [request for request in self._kept if not request.abandoned]
        weight = sum(request.weight for request in requests)
        wait = not requests and not self._trouble
        try:
            while weight < MAX_GROUP:
                request = self._next() if wait else self._inbox.get_nowait()
                wait = False
                if request is None:
                    self._closing = True
                    break
                if not request.abandoned:
                    requests.append(request)
                    weight += request.weight
        except Empty:
            pass
        return requests

    def _next(self) -> Request | None:
        """The next request, None when closing; raises `Empty` when there is something else to do."""
        session = self._session
        if session.due():
            return self._inbox.get_nowait()
        while True:
            wait = min(self._next_poll, self._next_reap) - time.monotonic()
            expiry = session.until_expiry()
            if expiry is not None and expiry < wait:
                wait = expiry
            try:
                return self._inbox.get(True, max(0.0, wait))
            except Empty:
                now = time.monotonic()
                if now >= self._next_reap or session.stirred():
                    self._next_poll = 0.0
                    raise
                self._next_poll = now + self._interval(now)

    def _hand_over(self, requests: Sequence[Request], batches: Sequence[Batch]) -> None:
        for queue, error in self._session.news():
            self._call(self._on_state, queue, error)
        remade, self._session.remade = self._session.remade, []
        for consumer in remade:
            self._call(consumer.receiver.remade)
        if requests or batches:
            self._call(self._on_group, requests, batches)

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            self._closing = True  # the loop is gone: leave too


def _is_trouble(error: Exception) -> bool:
    """Whether the surroundings are to blame: then the same work is tried again."""
    return isinstance(error, (OSError, BrokerError)) or (isinstance(error, sqlite3.Error) and is_environment(error))


def _succeed(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _fail(future: asyncio.Future[None], error: BrokerError) -> None:
    if not future.done():
        future.set_exception(error)
