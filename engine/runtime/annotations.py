"""The annotations of a function's parameters: resolved one by one, so that an error can name the culprit."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

from engine.errors import PluginError
from engine.model.event import Event, EventData
from engine.model.handler import HandlerSpec


class Subject(NamedTuple):
    """A function whose parameters are bound. `label` says in errors which it is, and where.

    `namespace` holds the names that were around its declaration.
    """

    function: Callable[..., Any]
    label: str
    namespace: Mapping[str, Any]


def of_handler(spec: HandlerSpec) -> Subject:
    """The function of a handler."""
    return Subject(spec.function, f"{spec.place}: {spec.name}", spec.namespace)


def parameters(subject: Subject) -> Iterator[tuple[inspect.Parameter, Any]]:
    """Each parameter with its annotation as a type; raises `PluginError` where there is none.

    A parameter without annotation that has a default is left to it, and so are `*args` and `**kwargs`.
    """
    original = inspect.unwrap(subject.function)
    # What the decorator saw comes last: a name of the module means what it means there.
    near = {**subject.namespace, **_closure(original)}
    for parameter in inspect.signature(subject.function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.annotation is parameter.empty:
            if parameter.default is not parameter.empty:
                continue
            raise refusal(subject, parameter.name, "has no annotation", hint=_FORMS)
        yield parameter, _resolve(subject, parameter, original.__globals__, near)


_FORMS = (
    "A handler's parameters are bound by their annotations: event: Event[OrderPlaced], "
    "ctx: Context, session: AsyncSession, client: Annotated[Client, Depends(provider)] (all from engine)."
)


def refusal(subject: Subject, parameter: str, problem: str, *, hint: str = _FORMS) -> PluginError:
    """The error for a parameter, with the function and where it is."""
    return PluginError(f"{subject.label}: the parameter {parameter!r} {problem}", hint=hint)


def strip(annotation: Any) -> Any:
    """The type itself, where `Annotated` says more about it."""
    return annotation.__origin__ if typing.get_origin(annotation) is typing.Annotated else annotation


def remarks(annotation: Any) -> Sequence[Any]:
    """What `Annotated` says beside the type."""
    return annotation.__metadata__ if typing.get_origin(annotation) is typing.Annotated else ()


def alternatives(annotation: Any) -> Sequence[Any]:
    """The members of a union, or the one type."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return tuple(strip(part) for part in typing.get_args(annotation))
    return (annotation,)


def event_types(annotation: Any) -> list[Any] | None:
    """The payload types of `Event`, `Event[X]`, `Event[X | Y]` or `Event[X] | Event[Y]`; None for another type."""
    found: list[Any] = []
    for part in alternatives(annotation):
        if part is Event:
            found.append(Any)
        elif typing.get_origin(part) is Event:
            found.extend(alternatives(strip(typing.get_args(part)[0])))
        else:
            return None
    return found


def batch_types(annotation: Any) -> list[Any] | None:
    """The same of `list[Event[X]]` and `Sequence[Event[X]]`."""
    args = typing.get_args(annotation)
    if typing.get_origin(annotation) not in (list, Sequence) or not args:
        return None
    return event_types(strip(args[0]))


def is_payload(annotation: Any) -> bool:
    """Whether it is a class of event payloads, or a union of them."""
    return all(isinstance(part, type) and issubclass(part, EventData) for part in alternatives(annotation))


def is_session(annotation: Any) -> bool:
    """Whether it is `AsyncSession`, ours or one that ours derives from."""
    # The name is asked first, to import storage only on use.
    if not isinstance(annotation, type) or annotation.__name__ != "AsyncSession":
        return False
    from engine.storage.session import AsyncSession

    return issubclass(AsyncSession, annotation)


def shown(annotation: Any) -> str:
    """The annotation as one would write it."""
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _closure(function: Any) -> dict[str, Any]:
    names, cells = function.__code__.co_freevars, function.__closure__ or ()
    found: dict[str, Any] = {}
    for name, cell in zip(names, cells, strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue  # not assigned yet
    return found


def _resolve(subject: Subject, parameter: inspect.Parameter, scope: dict[str, Any], near: dict[str, Any]) -> Any:
    holder: Any = SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    try:
        hints = typing.get_type_hints(holder, scope, near, include_extras=True)
    except NameError as error:
        raise refusal(
            subject,
            parameter.name,
            f"is annotated {shown(parameter.annotation)}, and {error.name} is not known when the program runs",
            hint=f"Import {error.name} outside `if TYPE_CHECKING:`, at the top level of the file.",
        ) from None
    except PluginError as error:  # from Depends itself
        raise PluginError(
            f"{subject.label}: the parameter {parameter.name!r}: {error.message}", hint=error.hint
        ) from None
    except Exception as error:
        raise refusal(
            subject,
            parameter.name,
            f"is annotated {shown(parameter.annotation)}, which cannot be read: {type(error).__name__}: {error}",
        ) from None
    return hints[parameter.name]
