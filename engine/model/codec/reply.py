"""Replies to requests: how they are written, and what a sender reads in them.

The body is the reply as JSON. The header `warren-reply` says what it is: `ok` (or no such header), `rejected` or
`failed`. The property `correlation_id` repeats that of the request.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from engine.errors import DecodingError, Rejected, ReplyInvalid, RequestFailed, UsageError
from engine.model import headers as names
from engine.model.codec.build import reasons
from engine.model.codec.encode import CONTENT_TYPE
from engine.model.codec.strict import Limits, loads
from engine.model.event import EventData
from engine.model.message import Message

OK: Final = "ok"
REJECTED: Final = "rejected"
FAILED: Final = "failed"

#: Characters of an error's text in a reply.
_TEXT: Final = 2000


def answer(value: Any, kind: TypeAdapter[Any], what: str) -> bytes:
    """The body of the reply `value`; `what` is who gave it. Raises `UsageError` when it is not of this kind."""
    try:
        return kind.dump_json(kind.validate_python(value), by_alias=True)
    except ValidationError as error:
        shown = type(value).__name__
        raise UsageError(
            f"{what} returned {shown}, which is no reply of its request: {reasons(error, 'reply')}",
            hint="Return what the class of the command or query names in brackets, as Query[OrderView].",
        ) from None
    except Exception as error:
        raise UsageError(f"what {what} returned cannot be written as JSON: {error}") from None


def refusal(error: Rejected) -> bytes:
    """The body that tells of a rejection."""
    data = error.reason.model_dump(mode="json", by_alias=True) if isinstance(error.reason, EventData) else error.data
    return to_json({"code": error.code, "message": error.message[:_TEXT], "data": dict(data)})


def failure(exception: str, message: str) -> bytes:
    """The body that tells of a handler which failed for good."""
    return to_json({"exception": exception, "message": message[:_TEXT]}, inf_nan_mode="constants")


def reply_message(request: Message, status: str, body: bytes, source: str) -> Message:
    """The reply to a request."""
    return Message(
        body,
        {names.REPLY: status},
        None,
        request.correlation_id or request.message_id,
        f"{request.type}.reply"[:255] if request.type else None,
        source or None,
        CONTENT_TYPE,
    )


def read_reply(
    message: Message, kind: TypeAdapter[Any], rejections: Iterable[type[EventData]], what: str, limits: Limits
) -> Any:
    """What was answered to `what`. Raises `Rejected`, `RequestFailed` or `ReplyInvalid`."""
    status = names.read_str(message.headers, names.REPLY, OK)
    try:
        if status == OK:
            if len(message.body) > limits.size:
                raise DecodingError(f"it has {len(message.body)} bytes, where {limits.size} are allowed")
            return kind.validate_json(message.body)
        table = loads(message.body, limits)
        if type(table) is not dict:
            raise DecodingError("its body is no object")
    except ValidationError as error:
        raise ReplyInvalid(
            f"the reply to {what} is not what was asked for: {reasons(error, 'reply')}",
            hint="Sender and handler know another type of the reply: bring them together.",
        ) from None
    except DecodingError as error:
        raise ReplyInvalid(f"the reply to {what} cannot be read: {error.message}") from None
    if status == REJECTED:
        raise _rejected(table, rejections, what)
    if status == FAILED:
        exception, text = str(table.get("exception", "")), str(table.get("message", ""))
        raise RequestFailed(
            f"{what} failed: {exception}{': ' if exception and text else ''}{text}",
            hint="The log of its worker, or `warren failures`, tells more.",
            exception=exception,
        )
    raise ReplyInvalid(f"the reply to {what} has the unknown status {status!r}")


def _rejected(table: dict[str, Any], rejections: Iterable[type[EventData]], what: str) -> Rejected:
    code, message, data = str(table.get("code", "")), str(table.get("message", "")), table.get("data")
    fields = data if isinstance(data, dict) else {}
    for model in rejections:
        if model.__warren_type__ == code:
            try:
                return Rejected(model.model_validate_json(to_json(fields)), message, data=fields)
            except ValidationError:
                break  # of another version: the code and the fields are there all the same
    return Rejected(message or f"{what} was rejected", code=code, data=fields)
