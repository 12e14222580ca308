"""The columns of a replicated view: which fields of a payload fill them, and as what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from engine.errors import DecodingError
from engine.model.codec.build import reasons
from engine.model.event import Event


class Columns:
    """The columns of a table. JSON has no dates and no decimals, so what it tells is read as the table's own fields say."""

    def __init__(self, table: type[Any]) -> None:
        self.names = {str(column.name) for column in table.__table__.columns}
        self._table = str(table.__table__.name)
        self._fields: dict[str, TypeAdapter[Any]] = {}
        for name, field in getattr(table, "model_fields", {}).items():
            if name in self.names:
                try:
                    self._fields[name] = TypeAdapter(field.annotation)
                except (PydanticSchemaGenerationError, PydanticUserError):  # a type of the user's own: as it comes
                    continue

    def read(self, event: Event[Any], payload: Mapping[str, Any]) -> dict[str, Any]:
        """What of a payload of plain JSON the columns get; raises `DecodingError` where it is not of their types."""
        return {name: self.value(event, name, value) for name, value in payload.items() if name in self.names}

    def value(self, event: Event[Any], name: str, value: Any) -> Any:
        """The value of one column."""
        adapter = self._fields.get(name)
        if adapter is None:
            return value
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            raise DecodingError(
                f"{event.type} {event.id} does not fit the table {self._table}: {reasons(error, name)}"
            ) from None
