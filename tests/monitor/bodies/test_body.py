"""Whatever a body is, it is shown as text that a terminal can take."""

from __future__ import annotations

import json
import time

import pytest

from monitor.bodies.body import SHOWN, Kind, shown


def safe(text: str) -> bool:
    return text.replace("\n", "").replace("\t", "").isprintable()


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        (b'{"a":1.00,"a":[]}', Kind.JSON, '{\n  "a": 1.00,\n  "a": []\n}'),
        ('{"name": "\u202eevil\x9b2J"}'.encode(), Kind.JSON, '{\n  "name": "\\u202eevil\\u009b2J"\n}'),
        (b"plain\r\nwords", Kind.TEXT, "plain\nwords"),
        (b"\x1b]52;c;aGk=\x07", Kind.TEXT, "␛]52;c;aGk=␇"),
        (b'{"broken": ', Kind.TEXT, '{"broken": '),
        (b"", Kind.TEXT, ""),
        (b"\x80\x04K\x01.", Kind.BYTES, "000000  80 04 4b 01 2e" + " " * 35 + "··K·."),
    ],
)
def test_a_body_is_shown_for_what_it_is(body: bytes, kind: Kind, text: str) -> None:
    found = shown(body)
    assert (found.kind, found.text, found.size, found.cut) == (kind, text, len(body), False)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b"[]" * 1_000_000,
        ("é" * 1_000_000).encode(),
        b"\0" * 1_000_000,
        bytes(range(256)) * 4096,
        "{}".encode("utf-16"),
        b"\xef\xbb\xbf{}",
        b'{"a": NaN, "b": 1e999, "c": ' + b"9" * 5000 + b"}",
        json.dumps({f"field-{number}": "x" * 100 for number in range(20_000)}).encode(),
    ],
    ids=lambda body: repr(body[:8]),
)
def test_a_hostile_body_is_shown_quickly_cut_and_safe(body: bytes) -> None:
    begun = time.perf_counter()
    found = shown(body)
    assert time.perf_counter() - begun < 1
    assert safe(found.text)
    assert len(found.text) < 8 * SHOWN
    assert found.cut == (len(body) > SHOWN)
