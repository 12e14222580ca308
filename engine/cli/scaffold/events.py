"""The event of a new handler: one that the project has, or a class that is written for it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from engine.errors import PluginError
from engine.model.event import EventData
from engine.model.handler import HandlerSpec
from engine.runtime.plugins import load_module


class Subject(NamedTuple):
    """An event class by name. `home` is the module to import it from; None when it is written with the handler.

    `payload` is an example, by field; `doubt` says why the class would not take it.
    """

    name: str
    type: str
    aggregate: str
    home: str | None
    payload: dict[str, Any]
    doubt: str = ""


class Known(Subject):
    """A class that was there already."""


def new_event_class(kind: str) -> Subject:
    """A class for an event type: `customer.registered` is CustomerRegistered, about the customer by its id."""
    words = re.findall(r"[A-Za-z0-9]+", kind)
    name = "".join(word[:1].upper() + word[1:] for word in words)
    if not name or not name[0].isalpha():
        name = f"Event{name}"
    first = re.sub(r"\W", "_", kind.partition(".")[0].lower(), flags=re.ASCII).strip("_")
    aggregate = first if first.isidentifier() else "subject"
    return Subject(name, kind, aggregate, None, {f"{aggregate}_id": f"{aggregate}-1"})


def find_event(specs: Iterable[HandlerSpec], events: Path, kind: str) -> Known | None:
    """The newest class for this type among the project's handlers and its file of events, with an example."""
    known = {model for spec in specs for model in (*spec.models, *spec.emits)} | _declared(events)
    models = [model for model in known if model.__warren_type__ == kind]
    if not models:
        return None
    model = max(models, key=lambda model: model.__warren_version__)
    payload = example(model)
    doubt = ""
    try:
        model.model_validate(payload)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        doubt = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return Known(model.__name__, kind, "", _home(model, events.parent), payload, doubt)


def _declared(events: Path) -> set[type[EventData]]:
    """The event classes of a file; none where it does not import, which whoever loads the handlers says."""
    if not events.is_file():
        return set()
    try:
        module = load_module(str(events), events.parents[1])
    except PluginError:
        return set()
    return {value for value in vars(module).values() if isinstance(value, type) and issubclass(value, EventData)}


def _home(model: type[EventData], folder: Path) -> str:
    """How a file in the handlers' folder imports the class."""
    file = getattr(sys.modules.get(model.__module__), "__file__", None)
    if file and Path(file).resolve().parent == folder.resolve():
        return f".{Path(file).stem}"
    return model.__module__


def example(model: type[EventData]) -> dict[str, Any]:
    """A payload with a value for each field that needs one, as JSON has it."""
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    properties = schema.get("properties", {})
    return {name: _value(name, properties[name], definitions) for name in schema.get("required", ())}


#: Values for strings of a format, as JSON Schema names it.
_FORMATS = {
    "date-time": "2030-01-01T12:00:00Z",
    "date": "2030-01-01",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "uuid": "00000000-0000-4000-8000-000000000001",
    "uri": "https://example.org/",
    "email": "ann@example.org",
}


def _value(name: str, schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    if "$ref" in schema:
        return _value(name, definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return _value(name, schema[choice][0], definitions)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "integer" | "number":
            return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        case "boolean":
            return True
        case "array":
            items = schema.get("items", {})
            return [_value(name, items, definitions) for _ in range(schema.get("minItems", 0))]
        case "object":
            inner = schema.get("properties", {})
            return {key: _value(key, inner[key], definitions) for key in schema.get("required", ())}
        case "null":
            return None
    text = _FORMATS.get(schema.get("format", ""), f"{name.removesuffix('_id')}-1")
    return text[: schema.get("maxLength", len(text))].ljust(schema.get("minLength", 0), "x")
