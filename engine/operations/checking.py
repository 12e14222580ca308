"""Whether a body would be taken: read as a worker reads it, against the payload model of its handler.

The models are in the project's plugins. Where these do not load, or are another project's, a body is
checked as far as it can be, and it is said what was not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from engine.errors import DecodingError, PluginError, WarrenError
from engine.model.codec import Envelope, Limits, Payloads, build_event, decode
from engine.model.handler import HandlerSpec
from engine.model.message import Message
from engine.runtime.binding import bind
from engine.runtime.keys import key_hash
from engine.settings import Settings
from engine.storage.failures import FailureRow


class Checked(NamedTuple):
    """What is wrong with a body, and what could not be checked."""

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Checker:
    """Checks bodies by the handlers of a project. `note` says why their models are not known, or nothing."""

    def __init__(self, handlers: Mapping[str, HandlerSpec], *, max_body: int, note: str = "") -> None:
        self.note = note
        self._handlers = handlers
        self._limits = Limits(size=max_body)
        self._bound: dict[str, Payloads | str] = {}

    @classmethod
    def load(cls, settings: Settings, plugins: Sequence[str] = ()) -> Checker:
        """With the handlers of these plugins, else those of the project. Never raises: see `note`."""
        from engine.runtime.plugins import load_plugins

        note = ""
        specs: list[HandlerSpec] = []
        try:
            specs = load_plugins(
                plugins, settings.project.root, configured=settings.plugins, app=settings.app
            )  # fmt: skip
        except PluginError as error:
            note = f"not checked against the payload model, since a plugin does not import: {error.message}"
        found = {spec.queue_for(settings.app): spec for spec in specs}
        return cls(found, max_body=settings.max_body, note=note)

    def check(self, row: FailureRow, original: Message, body: bytes) -> Checked:
        """What is wrong with this body for the failed message."""
        message = replace(original, body=body, message_id=original.message_id or row.event_id)
        try:
            envelope = decode(message, row.routing_key or "-", self._limits)
        except DecodingError as error:
            return Checked((error.message,))
        problems, notes = list(_identity(row, original, envelope)), []
        if envelope.type != row.event_type and row.event_type:
            notes.append(f"its type is no longer {row.event_type} but {envelope.type}")
        payloads = self._payloads(row)
        if isinstance(payloads, str):
            notes.append(payloads)
        else:
            try:
                build_event(envelope, payloads, id=row.event_id, now=datetime.now(UTC))
            except DecodingError as error:
                problems.append(error.message)
        return Checked(tuple(problems), tuple(notes))

    def _payloads(self, row: FailureRow) -> Payloads | str:
        """What the handler of its queue takes, or why that is not known."""
        if row.queue not in self._bound:
            self._bound[row.queue] = self._bind(row)
        return self._bound[row.queue]

    def _bind(self, row: FailureRow) -> Payloads | str:
        if self.note:
            return self.note
        spec = self._handlers.get(row.queue)
        if spec is None:
            return f"not checked against the payload model: no handler here has the queue {row.queue}"
        try:
            return bind(spec).payloads
        except WarrenError as error:
            return f"not checked against the payload model: {error.message}"


#: Knows no handler.
NO_MODELS = Checker({}, max_body=128 * 1024 * 1024, note="not checked against the payload model")


def _identity(row: FailureRow, original: Message, envelope: Envelope) -> Sequence[str]:
    """An edited message must stay the message that failed: its record goes by the event id."""
    known = row.event_id
    if row.body_hash == key_hash(row.event_id):  # the record goes by an idempotency key
        try:
            known = decode(original, row.routing_key or "-", Limits(size=max(len(original.body), 1))).id or ""
        except DecodingError:
            return ()
    if envelope.id == known or not known:
        return ()
    return (f"the event id is {envelope.id}, and the message is known as {known}: an edit cannot change it",)
