"""Events as the user declares and receives them.

A payload is a class; what belongs to its type, not to one event, stands in the class line:

    class OrderPlaced(EventData, type="order.placed", version=1, aggregate="order", key="order_id"):
        order_id: str
        total: Decimal
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, Unpack

from pydantic import BaseModel, ConfigDict

from engine.errors import PluginError, UsageError
from engine.model.names import check_type, flaw, nearest

#: The highest schema version; the wire has it as an integer of 32 bits.
MAX_VERSION = 2**31 - 1

#: What an event class says of itself.
KEYWORDS = ("type", "version", "aggregate", "key")


class EventData(BaseModel):
    """The payload of an event: a pydantic model with an event type.

    Class keywords: `type`, a routing key such as `order.placed` (without it the class is
    abstract: a base for others); `version` of the schema, from 1; `aggregate`, the kind of
    thing the event is about, and `key`, the name of the field that identifies it (both are
    inherited). pydantic's own configuration keywords are taken too. Raises `PluginError`.

    Instances are frozen. Fields that a payload has beyond the model are ignored, so a
    publisher may add some before its consumers know them.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        # What the wire can hold must come back as it was: JSON has no NaN, and bytes need not be text.
        allow_inf_nan=False,
        ser_json_bytes="base64",
        val_json_bytes="base64",
    )

    __warren_keywords__: ClassVar[tuple[str, ...]] = KEYWORDS
    __warren_type__: ClassVar[str | None] = None
    __warren_version__: ClassVar[int] = 1
    __warren_aggregate__: ClassVar[str | None] = None
    __warren_key__: ClassVar[str | None] = None

    if TYPE_CHECKING:

        def __init_subclass__(
            cls,
            *,
            type: str | None = None,
            version: int = 1,
            aggregate: str | None = None,
            key: str | None = None,
            **config: Unpack[ConfigDict],
        ) -> None: ...

    else:

        def __init_subclass__(cls, **keywords: Any) -> None:
            super().__init_subclass__()
            # pydantic has taken its own keywords out already.
            for word in keywords:
                if word not in cls.__warren_keywords__:
                    known = cls.__warren_keywords__
                    raise PluginError(
                        f"class {cls.__name__}: unknown keyword {word!r}",
                        hint=nearest(word, known) or f"An event class takes {', '.join(known)}.",
                    )

        @classmethod
        def __pydantic_init_subclass__(cls, **keywords: Any) -> None:
            if origin := cls.__pydantic_generic_metadata__["origin"]:
                cls.__warren_type__ = origin.__warren_type__  # a generic class given its arguments
                return
            cls.__warren_type__ = keywords.get("type")
            cls.__warren_version__ = keywords.get("version", 1)
            if "aggregate" in keywords:
                cls.__warren_aggregate__ = keywords["aggregate"]
            if "key" in keywords:
                cls.__warren_key__ = keywords["key"]
            _check_class(cls)


def _check_class(cls: type[EventData]) -> None:
    name, version, key = f"class {cls.__name__}", cls.__warren_version__, cls.__warren_key__
    if cls.__warren_type__ is not None:
        check_type(cls.__warren_type__, f"{name}: type")
    if type(version) is not int or not 1 <= version <= MAX_VERSION:
        raise PluginError(f"{name}: version={version!r} is not a whole number from 1")
    aggregate: object = cls.__warren_aggregate__
    if aggregate is not None and (not isinstance(aggregate, str) or flaw(aggregate)):
        raise PluginError(f"{name}: aggregate={aggregate!r} is not a name of 1 to 255 bytes")
    if key is None:
        return
    if cls.__warren_type__ is not None and key not in cls.model_fields:
        raise PluginError(
            f"{name}: key={key!r} is not one of its fields",
            hint=nearest(str(key), tuple(cls.model_fields)) or f"Its fields: {', '.join(cls.model_fields) or 'none'}.",
        )


D_co = TypeVar("D_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Event(Generic[D_co]):
    """A fact, with its payload in `data`: an `EventData`, or a dict where no model is wanted.

    `timestamp` is in UTC; `version` is that of the payload's schema. `correlation_id` is the
    same for all that one first event led to, `causation_id` the id of the event that led to
    this one. Equal when all fields are; hashed by `id`.
    """

    data: D_co
    type: str
    id: str
    timestamp: datetime
    source: str = ""
    aggregate_type: str | None = None
    aggregate_id: str | None = None
    version: int = 1
    causation_id: str | None = None
    correlation_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __hash__(self) -> int:
        return hash(self.id)


D = TypeVar("D", bound=EventData)


def new_event(
    data: D,
    *,
    id: str,
    now: datetime,
    source: str = "",
    correlation_id: str | None = None,
    causation_id: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Event[D]:
    """The event that carries this payload. `now` is in UTC; without a correlation id it is the event's own id.

    Raises `UsageError` for a payload of an abstract class, and for an id that no message can carry.
    """
    cls = type(data)
    kind = getattr(cls, "__warren_type__", None)
    if kind is None:
        if not isinstance(data, EventData):
            raise UsageError(f"{cls.__name__} is not an EventData", hint="Emit an instance of a subclass of EventData.")
        raise UsageError(
            f"{cls.__name__} has no event type", hint=f'Declare it: class {cls.__name__}(EventData, type="…").'
        )
    aggregate_id = None
    if cls.__warren_key__ is not None:
        value = getattr(data, cls.__warren_key__)
        aggregate_id = None if value is None else str(value)
    for what, text in (("id", id), ("correlation id", correlation_id), ("aggregate id", aggregate_id)):
        if text is not None and (problem := flaw(text)):
            raise UsageError(f"the {what} of {kind} {problem}")
    return Event(
        data,
        kind,
        id,
        now,
        source,
        cls.__warren_aggregate__,
        aggregate_id,
        cls.__warren_version__,
        causation_id,
        correlation_id or id,
        {} if metadata is None else metadata,
    )
