"""What a message's body is, and how it reads."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import NamedTuple

from engine.operations.text import visible
from monitor.bodies.json_text import escaped, indent

#: Bytes of a body that are shown at once.
SHOWN = 64 * 1024
#: Bytes that the first lines of a hex dump show.
DUMPED = 1024

_DUMP_WIDTH = 16


class Kind(StrEnum):
    """What a body is."""

    JSON = "JSON"
    TEXT = "text"
    BYTES = "bytes"


class Body(NamedTuple):
    """A body as it is shown: `text` is safe for a terminal, `size` in bytes, `cut` when it goes on."""

    kind: Kind
    text: str
    size: int
    cut: bool


def kind_of(body: bytes) -> Kind:
    """JSON when it reads as such, or begins like it and is too long to read; else text, else bytes."""
    head = body[:SHOWN]
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if len(head) == len(body) or error.start < len(head) - 4:
            return Kind.BYTES
        text = head[: error.start].decode()
    if "\0" in text:
        return Kind.BYTES
    if len(body) > SHOWN:
        return Kind.JSON if text.lstrip()[:1] in ("{", "[") else Kind.TEXT
    try:
        json.loads(text)
    except RecursionError:
        return Kind.JSON
    except ValueError:
        return Kind.TEXT
    return Kind.JSON


def shown(body: bytes) -> Body:
    """A body for people: JSON laid out, text as it is, anything else as a dump of its bytes."""
    kind, cut = kind_of(body), len(body) > SHOWN
    if kind is Kind.BYTES:
        return Body(kind, dump(body[:DUMPED]), len(body), len(body) > DUMPED)
    text = body[:SHOWN].decode("utf-8", "ignore" if cut else "strict")
    if kind is Kind.JSON:
        return Body(kind, visible(escaped(indent(text)), lines=True), len(body), cut)
    return Body(kind, visible(text.replace("\r\n", "\n"), lines=True), len(body), cut)


def dump(body: bytes) -> str:
    """Bytes as a hex dump, sixteen to a line, with what of it is ASCII beside them."""
    lines = []
    for start in range(0, len(body), _DUMP_WIDTH):
        part = body[start : start + _DUMP_WIDTH]
        letters = "".join(chr(byte) if 0x20 <= byte < 0x7F else "·" for byte in part)
        lines.append(f"{start:06x}  {part.hex(' '):<{3 * _DUMP_WIDTH - 1}}  {letters}")
    return "\n".join(lines)
