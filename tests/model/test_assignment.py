"""Fields set from the command line."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import UsageError
from engine.model import json_text
from engine.model.assignment import assign, parse_assignment, parse_path, unset

BODY = b'{"order_id":"17","total":9.50,"paid":false,"lines":[{"sku":"a"}],"note":null}'


def after(*said: str, body: bytes = BODY) -> Any:
    value = json_text.parse(body)
    for each in said:
        value = assign(value, parse_assignment(each))
    return json_text.plain(value)


def test_a_text_stays_a_text_and_a_number_a_number() -> None:
    found = after("data.order_id=18", "data.total=10", "data.paid=true", "data.note=x", "data.new=1", "data.s=1x")
    assert found == {
        "order_id": "18", "total": 10, "paid": True, "lines": [{"sku": "a"}], "note": "x", "new": 1, "s": "1x",
    }  # fmt: skip
    assert after("data.order_id:=18")["order_id"] == 18
    assert after('data.total:="9.50"')["total"] == "9.50"
    assert after("data.lines:=[]")["lines"] == []
    assert after("data.order_id=a=b:=c")["order_id"] == "a=b:=c"


def test_ways() -> None:
    assert after("data.lines[0].sku=b")["lines"] == [{"sku": "b"}]
    assert after('data.lines[1]:={"sku":"c"}')["lines"][1] == {"sku": "c"}
    assert after("data.address.city=Ulm")["address"] == {"city": "Ulm"}
    assert after('data."a b"."c.d"=1')["a b"] == {"c.d": 1}
    assert parse_path('data.x[0]."\\"q"') == ("data", "x", 0, '"q')


def test_data_is_the_payload_whichever_form_the_body_has() -> None:
    enveloped = b'{"eventType":"t","data":{"x":1}}'
    assert after("data.x=2", body=enveloped) == {"eventType": "t", "data": {"x": 2}}
    assert after("metadata.tenant=t", body=enveloped)["metadata"] == {"tenant": "t"}
    assert after("data.x=2", body=b'{"x":1}') == {"x": 2}


def test_unset() -> None:
    value = json_text.parse(BODY)
    assert "note" not in unset(value, parse_path("data.note"))
    assert unset(value, parse_path("data.lines[0]"))["lines"] == []
    assert unset(value, parse_path("data.nothing.there")) == value
    assert unset(value, parse_path("data.lines[7]")) == value


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("data.total", "not an assignment"),
        ("=1", "not an assignment"),
        ("data..x=1", "not a field"),
        (".x=1", "not a field"),
        ("[0]=1", "not a field"),
        ("data.total.x=1", "data.total is not an object"),
        ("data.lines.x=1", "data.lines is not an object"),
        ("data.order_id[0]=1", "data.order_id is not a list"),
        ("data.lines[5]=1", r"there is no data.lines\[5\]"),
        ("data.lines[5].sku=1", r"there is no data.lines\[5\]"),
        ("data.total:=nine", "not JSON"),
        ("data.total:=NaN", "not JSON"),
    ],
)
def test_what_cannot_be_says_so(said: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        after(said, body=b'{"eventType":"t","data":' + BODY + b"}")
