"""Content types and encodings: which bodies can be JSON in UTF-8."""

from __future__ import annotations

from functools import lru_cache

from engine.errors import DecodingError

#: What clients write that set no better type; the body then shows whether it is JSON.
_UNTOLD = frozenset(("text/plain", "application/octet-stream", "text/json"))
#: `content_encoding` is for compression, but some clients put the character set there.
_ENCODINGS = frozenset(("", "identity", "utf-8", "utf8", "us-ascii", "ascii"))
_CHARSETS = frozenset(("utf-8", "utf8", "us-ascii", "ascii"))


@lru_cache(maxsize=64)
def is_json(content_type: str) -> bool:
    """Whether the media type is JSON: `application/json`, `…/json` or `…+json` (RFC 6839)."""
    name = essence(content_type)
    return name.endswith(("/json", "+json"))


@lru_cache(maxsize=64)
def essence(content_type: str) -> str:
    """The media type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


@lru_cache(maxsize=64)
def check_type(content_type: str) -> None:
    """Raise `DecodingError` for a body that says it is not JSON in UTF-8."""
    name = essence(content_type)
    if name and name not in _UNTOLD and not is_json(content_type):
        raise DecodingError(f"the content type {_shown(name)} is not understood: only JSON is")
    for parameter in content_type.split(";")[1:]:
        word, _, value = parameter.partition("=")
        if word.strip().lower() == "charset" and value.strip(' "').lower() not in _CHARSETS:
            raise DecodingError(f"the charset {_shown(value)} is not understood: only UTF-8 is")


def check_encoding(content_encoding: str) -> None:
    """Raise `DecodingError` for a body that is compressed or in another character set."""
    if content_encoding.strip().lower() not in _ENCODINGS:
        raise DecodingError(f"the content encoding {_shown(content_encoding)} is not understood: only plain UTF-8 is")


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text.strip()[:60])
