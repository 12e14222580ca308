"""Providers at work: those of the worker opened once, those of a message around each attempt."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

from engine.errors import PluginError
from engine.runtime.context import Context
from engine.runtime.depends import Depends, Given, Plan, Replaced, Step

logger = logging.getLogger("warren.providers")

#: For a handler that depends on nothing.
NOTHING: Given = {}


class Providers:
    """What the providers of the scope "worker" gave to this worker; all its handlers share it.

    `replaced` names functions that take the place of providers, in a test.
    """

    def __init__(self, replaced: Replaced | None = None) -> None:
        self.replaced: Replaced = replaced or {}
        self.given: dict[Depends, Any] = {}
        self._open: list[tuple[Depends, AsyncExitStack]] = []

    async def open(self, plans: Iterable[Plan]) -> None:
        """Call all that these handlers need; raises `PluginError` when one fails."""
        for plan in plans:
            for wanted, step in plan.worker.items():
                if wanted in self.given:
                    continue
                stack = AsyncExitStack()
                self._open.append((wanted, stack))
                try:
                    self.given[wanted] = await _enter(stack, step, None, None, None, self.given)
                except Exception as error:
                    raise PluginError(
                        f"{wanted.place}: the provider {wanted.name} failed when the worker started: "
                        f"{type(error).__name__}: {error}",
                        hint="The worker takes no messages without it. See that what it connects to is there.",
                    ) from error

    async def close(self) -> None:
        """Close them in reverse order. One that fails is logged; the others are closed all the same."""
        self.given.clear()
        while self._open:
            wanted, stack = self._open.pop()
            try:
                await stack.aclose()
            except Exception:
                logger.exception("the provider %s failed when the worker closed it", wanted.name)


async def supplied(
    plan: Plan, common: Given, call: Callable[[Given], Awaitable[None]], subject: Any, ctx: Context, session: Any
) -> None:
    """Open the providers of a message, call with what they and the worker's gave, close them again.

    What the handler raises is raised in the generators too, and comes out whatever they do with it.
    """
    if not plan.message:
        await call(common)
        return
    failure: BaseException | None = None
    try:
        async with AsyncExitStack() as stack:
            given = dict(common)
            for wanted, step in plan.message.items():
                given[wanted] = await _enter(stack, step, subject, ctx, session, given)
            try:
                await call(given)
            except BaseException as error:
                failure = error
                raise
        if failure is not None:
            raise failure  # a provider swallowed it, but the attempt failed
    finally:
        failure = None  # it holds this frame, and the message with it


async def _enter(stack: AsyncExitStack, step: Step, subject: Any, ctx: Any, session: Any, given: Given) -> Any:
    provider = inspect.unwrap(step.wanted.provider)
    if inspect.isasyncgenfunction(provider):
        opened = asynccontextmanager(step.call)(subject, ctx, session, given)
        return await stack.enter_async_context(opened)
    if inspect.isgeneratorfunction(provider):
        return stack.enter_context(contextmanager(step.call)(subject, ctx, session, given))
    value = step.call(subject, ctx, session, given)
    return await value if inspect.isawaitable(value) else value
