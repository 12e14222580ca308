"""Aggregates: what a stream of events comes to, and what decides about the next ones.

    class Account(Aggregate, type="account"):
        balance: Decimal = Decimal(0)

        def withdraw(self, amount: Decimal) -> None:
            if amount > self.balance:
                raise InsufficientFunds(self.id)
            self.emit(MoneyWithdrawn(account_id=self.id, amount=amount))

        @applies(MoneyWithdrawn)
        def _withdrawn(self, event: MoneyWithdrawn) -> None:
            self.balance -= event.amount

A command method decides, and may refuse; an applier only takes over what has happened, and never refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, TypeVar, Unpack

from pydantic import BaseModel, ConfigDict, PrivateAttr

from engine.errors import ApplierFailed, PluginError, UsageError
from engine.model.applying import Appliers, applies, collect
from engine.model.event import EventData
from engine.model.names import flaw, nearest
from engine.model.stream import StreamId, checked

__all__ = ("Aggregate", "Pending", "applies")

_KEYWORDS = ("type", "ignores", "snapshot_every", "snapshot_version")

D = TypeVar("D", bound=EventData)


class Pending(NamedTuple):
    """An event that was emitted and is not appended yet."""

    data: EventData
    metadata: Mapping[str, Any] | None


@dataclass(slots=True)
class Standing:
    """How an aggregate stands to its stream: at which version, and what is to be appended. `snapshot`: the newest version kept."""

    id: str = ""
    version: int = 0
    snapshot: int = 0
    pending: list[Pending] = field(default_factory=list[Pending])

    @property
    def next(self) -> int:
        """The version that the next event will have."""
        return self.version + len(self.pending) + 1


class Aggregate(BaseModel):
    """The base of aggregates: a pydantic model whose fields, each with a default, are the state.

    Class keywords: `type`, the kind of thing it is, as in the streams `account/…` (without it the class is
    abstract); `ignores`, types of events in its streams that have no applier; `snapshot_every`, after how many events its
    state is kept, so that a load need not begin at the first; `snapshot_version`, to be raised where appliers
    mean something else by the same fields, so that older snapshots are built anew (a change of the fields is
    noticed by itself). pydantic's own configuration keywords are taken too. Raises `PluginError`.

    `Account.new(id)` is one without events; `Repository.load(id)` reads one. Attributes that begin with an
    underscore are no state, and not in snapshots.
    """

    model_config = ConfigDict(
        extra="forbid",
        # A snapshot must come back as it was, and JSON has no NaN.
        allow_inf_nan=False,
        ser_json_bytes="base64",
        val_json_bytes="base64",
    )

    __warren_aggregate__: ClassVar[str | None] = None
    __warren_snapshot__: ClassVar[int] = 1
    __warren_every__: ClassVar[int | None] = None
    __warren_ignores__: ClassVar[frozenset[str]] = frozenset()
    __warren_appliers__: ClassVar[Appliers] = Appliers()

    _standing: Standing = PrivateAttr(default_factory=Standing)

    if TYPE_CHECKING:

        def __init_subclass__(
            cls,
            *,
            type: str | None = None,
            ignores: tuple[str, ...] = (),
            snapshot_every: int | None = None,
            snapshot_version: int = 1,
            **config: Unpack[ConfigDict],
        ) -> None: ...

    else:

        def __init_subclass__(cls, **keywords: Any) -> None:
            super().__init_subclass__()
            for word in keywords:
                if word not in _KEYWORDS:
                    raise PluginError(
                        f"class {cls.__name__}: unknown keyword {word!r}",
                        hint=nearest(word, _KEYWORDS) or f"An aggregate takes {', '.join(_KEYWORDS)}.",
                    )

        @classmethod
        def __pydantic_init_subclass__(cls, **keywords: Any) -> None:
            cls.__warren_aggregate__ = keywords.get("type")
            cls.__warren_snapshot__ = keywords.get("snapshot_version", 1)
            cls.__warren_every__ = keywords.get("snapshot_every")
            cls.__warren_ignores__ = frozenset(keywords.get("ignores", ()))
            _check_class(cls)
            cls.__warren_appliers__ = collect(cls)

    @classmethod
    def new(cls, id: str) -> Self:
        """The aggregate of this id before its first event. Raises `UsageError` for an id that cannot be."""
        stream_of(cls, id)
        made = cls()
        made._standing.id = id
        return made

    @property
    def id(self) -> str:
        """What tells it from others of its type."""
        return self._standing.id

    @property
    def version(self) -> int:
        """The version of the last event that was loaded or appended, 0 before the first."""
        return self._standing.version

    @property
    def pending(self) -> tuple[EventData, ...]:
        """The payloads that were emitted and not saved yet, in order."""
        return tuple(each.data for each in self._standing.pending)

    def emit(self, data: D, *, metadata: Mapping[str, Any] | None = None) -> D:
        """Let this have happened: it is applied at once, and appended and published when the aggregate is saved.

        Raises `UsageError` for an event that has no applier, and for an aggregate without an id; `ApplierFailed` for an
        applier that raises: then nothing is to be saved.
        """
        standing = self._standing
        if not standing.id:
            raise UsageError(
                f"this {type(self).__name__} has no id", hint=f"Make it with {type(self).__name__}.new(id), or load it."
            )
        applier = self.__warren_appliers__.of(type(data))
        if applier is None and getattr(data, "__warren_type__", None) not in self.__warren_ignores__:
            raise UsageError(
                f"{type(self).__name__} has no applier for {type(data).__name__}",
                hint=f"Write one: @applies({type(data).__name__}), or let the class say ignores=.",
            )
        if applier is not None:
            try:
                applier(self, data)
            except Exception as error:
                raise applier_failed(self, type(data).__name__, standing.next, error) from error
        standing.pending.append(Pending(data, metadata))
        return data


def _check_class(cls: type[Aggregate]) -> None:
    name = f"class {cls.__name__}"
    kind: object = cls.__warren_aggregate__
    if kind is not None and (not isinstance(kind, str) or flaw(kind) or "/" in kind):
        raise PluginError(f"{name}: type={kind!r} is not a name of 1 to 255 bytes without a slash")
    numbers: dict[str, object] = {"snapshot_version": cls.__warren_snapshot__, "snapshot_every": cls.__warren_every__}
    for word, number in numbers.items():
        if number is not None and (type(number) is not int or number < 1):
            raise PluginError(f"{name}: {word}={number!r} is not a whole number from 1")
    needy = [field for field, info in cls.model_fields.items() if info.is_required()]
    if needy and kind is not None:
        raise PluginError(
            f"{name}: the field {needy[0]!r} has no default",
            hint="Before its first event an aggregate has every field at its default.",
        )


def standing(aggregate: Aggregate) -> Standing:
    """For the engine: how this aggregate stands to its stream."""
    return aggregate._standing  # noqa: SLF001


def stream_of(cls: type[Aggregate], id: str) -> StreamId:
    """The stream of the aggregate with this id; raises `UsageError` where there can be none."""
    kind = cls.__warren_aggregate__
    if kind is None:
        raise UsageError(
            f"{cls.__name__} has no aggregate type", hint=f'Declare it: class {cls.__name__}(Aggregate, type="…").'
        )
    return checked(StreamId(kind, id))


def applier_failed(aggregate: Aggregate, what: str, version: int, error: Exception) -> ApplierFailed:
    """The error for an applier that raised on this event."""
    stream = str(stream_of(type(aggregate), aggregate.id))
    return ApplierFailed(
        f"the applier of {type(aggregate).__name__} for {what} raised at version {version} of {stream}:"
        f" {type(error).__name__}: {error}",
        stream=stream,
        version=version,
        hint="An applier takes over what has happened and must not refuse it; a command refuses before it emits.",
    )
