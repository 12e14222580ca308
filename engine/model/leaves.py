"""What of a message is found by the fields of its payload: `data.order_id=17`.

Each scalar of data and metadata is a leaf, a path and a text. An index holds a number made of
both and not the text: it is small, and a secret of the payload lies in no second place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice
from typing import Any, Final

from engine.errors import DecodingError
from engine.model.codec import Limits, decode
from engine.model.message import Message

#: Leaves of one message, at most: those that lie deeper are left out first.
MOST: Final = 64

#: Characters of a path and of a text that count.
LONGEST_PATH: Final = 200
LONGEST_TEXT: Final = 200

#: Bodies over this many bytes have no leaves.
LARGEST: Final = 256 * 1024

#: Where payload and metadata stand in a path, whichever form the message has on the wire.
ROOTS: Final = ("data", "metadata")


def leaf_keys(message: Message, routing_key: str) -> list[int]:
    """The keys of the message's leaves; none where it cannot be read."""
    if len(message.body) > LARGEST:
        return []
    try:
        envelope = decode(message, routing_key or "-", Limits(size=LARGEST))
    except DecodingError:
        return []
    found = dict.fromkeys(leaf_key(path, text) for path, text in _walk(envelope.data, envelope.metadata))
    return list(found)


def leaf_key(path: str, text: str) -> int:
    """The key of a leaf: 64 bits, signed. Two leaves share one by chance once in many billions."""
    leaf = f"{path[:LONGEST_PATH]}\0{text[:LONGEST_TEXT]}"
    return int.from_bytes(blake2b(leaf.encode("utf-8", "replace"), digest_size=8).digest(), "big", signed=True)


def keys_of(path: str, text: str) -> list[int]:
    """The keys under which a field that somebody typed may be found: as text, and as the number it may be."""
    texts = [text]
    try:
        number = float(text)
    except ValueError:
        pass
    else:
        if number - number == 0 and (shown := scalar_text(number)) not in texts:
            texts.append(shown)
    return [leaf_key(path, each) for each in texts]


def scalar_text(value: str | float | bool | None) -> str:
    """A scalar of JSON as it is typed: a whole number without a point, `true`, `false`, `null`."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) < 2**53:
            return str(int(value))
        case _:
            return str(value)


def _walk(data: dict[str, Any], metadata: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The leaves, those near the root first. The elements of a list share the path of the list."""
    waiting: deque[tuple[str, Any]] = deque(zip(ROOTS, (data, metadata), strict=True))
    left = MOST
    while waiting and left:
        path, value = waiting.popleft()
        if isinstance(value, dict):
            waiting.extend((f"{path}.{name}", item) for name, item in islice(value.items(), MOST))
        elif isinstance(value, list):
            waiting.extend((path, item) for item in value[:MOST])
        else:
            left -= 1
            yield path, scalar_text(value)
