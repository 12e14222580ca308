"""Replies on the wire, and what a sender reads in them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from engine.errors import Rejected, ReplyInvalid, RequestFailed, UsageError
from engine.model.codec import LIMITS, Limits
from engine.model.codec.reply import FAILED, OK, REJECTED, answer, failure, read_reply, refusal, reply_message
from engine.model.event import EventData
from engine.model.message import Message
from engine.model.request import adapter_of


class View(EventData):
    id: str
    total: Decimal


class TooPoor(EventData, type="too_poor"):
    missing: Decimal


VIEW = adapter_of(View, "a test")
REQUEST = Message(b"{}", message_id="m-1", correlation_id="c-1", type="order.get")


def read(body: bytes, status: str | None = OK, kind: Any = VIEW, limits: Limits = LIMITS) -> Any:
    headers: dict[str, Any] = {} if status is None else {"warren-reply": status}
    return read_reply(Message(body, headers), kind, [TooPoor], "order.get m-1", limits)


def test_a_reply_comes_back_as_it_was() -> None:
    view = View(id="1", total=Decimal("9.50"))
    assert read(answer(view, VIEW, "get")) == view
    assert read(answer({"id": "1", "total": "9.50"}, VIEW, "get")) == view
    assert read(b'{"id": "1", "total": 9.5, "more": 1}', None) == view  # from a program that knows no header of ours
    assert read(answer(None, adapter_of(None, "a test"), "get"), kind=adapter_of(None, "a test")) is None


def test_its_properties() -> None:
    made = reply_message(REQUEST, OK, b"1", "shop")
    assert (made.correlation_id, made.type, made.headers, made.app_id) == (
        "c-1", "order.get.reply", {"warren-reply": "ok"}, "shop",
    )  # fmt: skip
    assert reply_message(Message(b"", message_id="m"), OK, b"", "").correlation_id == "m"


def test_a_rejection_has_its_reason() -> None:
    for error in (Rejected(TooPoor(missing=Decimal("1.5")), "not enough"), Rejected(TooPoor(missing=Decimal("1.5")))):
        with pytest.raises(Rejected) as caught:
            read(refusal(error), REJECTED)
        assert caught.value.reason == TooPoor(missing=Decimal("1.5"))
        assert (caught.value.code, caught.value.data) == ("too_poor", {"missing": "1.5"})
        assert caught.value.message == error.message
    assert error.message == "rejected: too_poor"


def test_a_rejection_that_the_sender_does_not_know() -> None:
    for body in (
        b'{"code": "other", "message": "no", "data": {"a": 1}}',
        b'{"code": "too_poor", "message": "no", "data": {}}',
    ):
        with pytest.raises(Rejected, match="no") as caught:
            read(body, REJECTED)
        assert caught.value.reason is None
        assert caught.value.code == json.loads(body)["code"]
    with pytest.raises(Rejected, match="order.get m-1 was rejected"):
        read(b"{}", REJECTED)


def test_a_failure_is_told_without_its_traceback() -> None:
    with pytest.raises(RequestFailed, match=r"order\.get m-1 failed: OSError: disk full") as caught:
        read(failure("OSError", "disk full"), FAILED)
    assert caught.value.exception == "OSError"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"no json", OK, "not what was asked for"),
        (b"5", OK, "reply: "),
        (b'{"id": "1"}', OK, r"reply\.total: Field required"),
        (b"[]", REJECTED, "its body is no object"),
        (b"no json", FAILED, "cannot be read"),
        (b"{}", "maybe", "the unknown status 'maybe'"),
        (b'{"id": "' + b"x" * 100 + b'"}', OK, "bytes, where 50 are allowed"),
    ],
)
def test_what_is_no_reply(body: bytes, status: str, words: str) -> None:
    with pytest.raises(ReplyInvalid, match=words):
        read(body, status, limits=Limits(size=50))


def test_what_a_handler_cannot_reply() -> None:
    with pytest.raises(UsageError, match=r"get returned int, which is no reply of its request: reply: "):
        answer(5, VIEW, "get")
    with pytest.raises(UsageError, match="cannot be written as JSON"):
        answer(object(), adapter_of(Any, "a test"), "get")
