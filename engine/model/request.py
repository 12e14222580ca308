"""Commands and queries: messages that somebody is asked to act on, or to answer.

class GetOrder(Query[OrderView], type="order.get"):
    order_id: str

class Withdraw(Command[Receipt], type="account.withdraw", rejections=(InsufficientFunds,)):
    account: str
    amount: Decimal
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Unpack

from pydantic import ConfigDict, TypeAdapter
from typing_extensions import TypeVar

from engine.errors import PluginError, UsageError
from engine.model.event import KEYWORDS, EventData

#: The type of the reply; None where nothing is said.
R = TypeVar("R", default=None)


class Request(EventData, Generic[R]):
    """What commands and queries have in common; derive from `Command` or `Query`.

    The type in brackets is that of the reply: an event class, any pydantic model, or whatever pydantic can read,
    such as `list[OrderView]`. Class keywords are those of `EventData`, and `rejections`: the classes of reasons
    that a sender gets as such in `Rejected.reason`. Raises `PluginError`.
    """

    __warren_keywords__: ClassVar[tuple[str, ...]] = (*KEYWORDS, "rejections")
    __warren_rejections__: ClassVar[tuple[type[EventData], ...]] = ()

    if TYPE_CHECKING:

        def __init_subclass__(
            cls,
            *,
            type: str | None = None,
            version: int = 1,
            aggregate: str | None = None,
            key: str | None = None,
            rejections: Sequence[type[EventData]] = (),
            **config: Unpack[ConfigDict],
        ) -> None: ...

    else:

        @classmethod
        def __pydantic_init_subclass__(cls, **keywords: Any) -> None:
            super().__pydantic_init_subclass__(**{k: v for k, v in keywords.items() if k != "rejections"})
            if "rejections" in keywords:
                cls.__warren_rejections__ = _checked(cls, keywords["rejections"])


class Command(Request[R], Generic[R]):
    """What one handler is asked to do: imperative, sent to exactly one queue. Its reply, if any, is of type `R`."""


class Query(Request[R], Generic[R]):
    """What one handler is asked: it changes nothing, and is answered by an `R`."""


def _checked(cls: type, given: Any) -> tuple[type[EventData], ...]:
    found = tuple(given) if isinstance(given, (list, tuple)) else (given,)
    for each in found:
        if not isinstance(each, type) or not issubclass(each, EventData) or each.__warren_type__ is None:
            raise PluginError(
                f"class {cls.__name__}: rejections= has {each!r}, which is no event class with a type",
                hint='Declare a reason as class InsufficientFunds(EventData, type="insufficient_funds").',
            )
    return found


def refuse_request(data: object, done: str, instead: str) -> None:
    """Raise `UsageError` for a command or query that was to be treated as an event."""
    if isinstance(data, Request):
        kind = "query" if isinstance(data, Query) else "command"
        if kind == "query":
            instead = "engine.request"
        raise UsageError(
            f"{type(data).__name__} is a {kind}, which is not {done}: it goes to the one who handles it",
            hint=f"Use {instead}(…).",
        )


def reply_type(cls: type[EventData]) -> Any:
    """What a command or query is answered by; `Any` for other event classes, which do not say."""
    if not issubclass(cls, Request):
        return Any
    for base in cls.__mro__:
        given = base.__dict__.get("__pydantic_generic_metadata__") or {}
        origin, args = given.get("origin"), given.get("args")
        if origin is not None and issubclass(origin, Request) and args and not isinstance(args[0], TypeVar):
            return args[0]
    return None


@cache
def adapter(cls: type[EventData]) -> TypeAdapter[Any]:
    """Reads and writes the replies to this class."""
    return adapter_of(reply_type(cls), f"class {cls.__name__}")


def adapter_of(reply: Any, what: str) -> TypeAdapter[Any]:
    """Reads and writes such replies; raises `PluginError` for a type that pydantic does not know."""
    try:
        return TypeAdapter(reply)
    except Exception as error:
        raise PluginError(
            f"{what}: its reply {reply!r} is no type that can be read from JSON: {type(error).__name__}",
            hint="Name an event class, a pydantic model, or a plain type such as list[str].",
        ) from None
