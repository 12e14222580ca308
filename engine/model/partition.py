"""Partitions: which one a key belongs to, which worker is to have which, and what they are called.

The hash is our own, so that it is the same in every process and on every broker, without a plugin.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from hashlib import blake2b
from typing import Final

from engine.errors import DecodingError
from engine.model import headers as names
from engine.model.headers import clean, read_str
from engine.model.message import Delivery, HeaderValue, Message

#: Partitions of one handler at most: each is a queue, and a channel in every worker.
MAX_PARTITIONS: Final = 256
#: Where messages go whose key cannot be read.
UNREADABLE: Final = 0

#: The longest text of a key in bytes; of a longer one a hash is taken.
SHORT: Final = 255
#: Whole numbers of any type below this have the text of an int.
_WHOLE: Final = 10**28
_PARTITION: Final = re.compile(r"\.p\d+-of-\d+$")


def partition_names(queue: str, count: int) -> tuple[str, ...]:
    """The queues of a handler's partitions. The count is in the name: what two counts made is never mixed."""
    return tuple(f"{queue}.p{number}-of-{count}" for number in range(count))


def is_partition(queue: str) -> bool:
    """Whether a queue has the name of a partition."""
    return _PARTITION.search(queue) is not None


def partitioned(queue: str) -> str:
    """The queue that a partition is one of; a queue that is none as it is."""
    return _PARTITION.sub("", queue)


def partition_of(text: str, count: int) -> int:
    """The partition of a key, from 0. It depends on nothing but the key's text and the count."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, person=b"warren-part").digest()
    return int.from_bytes(digest, "big") % count


def key_text(key: object) -> str | None:
    """What a key is in text: equal keys have equal texts, in every process. None where there is no key.

    Raises `DecodingError` for a value without a text of its own.
    """
    if key is None:
        return None
    if type(key) is str:
        return key if len(key) <= SHORT and key.isascii() and "\0" not in key else _storable(key)
    match key:
        case Enum():
            return key_text(key.value)
        case str():
            return key_text(str.__str__(key))
        case int() | Decimal():  # a bool is an int
            return _number(key)
        case float():
            return _number(key)
        case datetime() if key.tzinfo is not None:
            return key.astimezone(UTC).isoformat()
        case bytes():
            return key.hex()
        case tuple():
            return "(" + ",".join(_quoted(part) for part in key) + ")"
        case frozenset():
            return "{" + ",".join(sorted(_quoted(part) for part in key)) + "}"
    kind = type(key)
    if kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__:
        raise DecodingError(f"the key is {kind.__name__}, which has no text that is the same in every process")
    try:
        return key_text(str(key))
    except Exception as error:
        raise DecodingError(f"the key is {kind.__name__}, whose text cannot be told: {error}") from None


def _storable(text: str) -> str:
    """The text, or a hash in its place where a database cannot have it in an index."""
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) <= SHORT and "\0" not in text and not any("\ud800" <= one <= "\udfff" for one in text):
        return text
    return f"#{blake2b(raw, digest_size=32, person=b'warren-key').hexdigest()}"


def _quoted(part: object) -> str:
    text = key_text(part)
    return "-" if text is None else f"{len(text)}:{text}"


def _number(key: int | float | Decimal) -> str:
    """Numbers that are equal have one text, whatever their types."""
    try:
        if isinstance(key, int):
            return str(int(key))
        exact = Decimal(repr(key)) if isinstance(key, float) else key
        if abs(exact) < _WHOLE and exact == int(exact):
            return str(int(exact))
        return str(exact.normalize())
    except (ArithmeticError, ValueError) as error:
        raise DecodingError(f"the key is a number without a plain text: {error}") from None


def share(count: int, workers: Sequence[str], worker: str) -> frozenset[int]:
    """The partitions that are to be this worker's among the living ones, named in the same order by all of them."""
    if worker not in workers:
        return frozenset()
    return frozenset(range(workers.index(worker), count, len(workers)))


def wrap(delivery: Delivery) -> Message:
    """The message as the router sends it on: the same body and properties, and by which way it came.

    What routes copies (`CC`, `BCC`) and what the broker adds (`x-…`) is left out, as in any republish.
    """
    routed: dict[str, HeaderValue] = {
        names.ROUTED_EXCHANGE: delivery.exchange,
        names.ROUTED_KEY: delivery.routing_key,
    }
    if delivery.defect is not None:
        routed[names.ROUTED_DEFECT] = delivery.defect
    return replace(delivery.message, headers={**clean(delivery.message.headers), **routed})


def unwrap(delivery: Delivery) -> Delivery:
    """The delivery as it was before the router, but for the queue and what acks it."""
    headers = delivery.message.headers
    if names.ROUTED_KEY not in headers:
        return delivery
    kept = {name: value for name, value in headers.items() if name not in names.ROUTED_HEADERS}
    return replace(
        delivery,
        message=replace(delivery.message, headers=kept),
        exchange=read_str(headers, names.ROUTED_EXCHANGE),
        routing_key=read_str(headers, names.ROUTED_KEY),
        defect=delivery.defect or read_str(headers, names.ROUTED_DEFECT) or None,
    )
