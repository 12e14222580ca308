"""What may be a name: event types, ids, queues. AMQP carries them as short strings of 255 bytes."""

from __future__ import annotations

from collections.abc import Iterable

from engine.errors import PluginError

#: AMQP short strings, in bytes of UTF-8.
MAX_NAME = 255


def flaw(text: str) -> str | None:
    """Why the text cannot be an id, in words that continue "the id …"; None when it can."""
    if not text:
        return "is empty"
    if not text.isprintable() and any(char < " " or "\x7f" <= char <= "\x9f" for char in text):
        return "holds control characters"
    if text.isascii():
        return "is over 255 bytes" if len(text) > MAX_NAME else None
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "holds half a surrogate pair"
    return "is over 255 bytes" if size > MAX_NAME else None


def check_type(text: object, what: str) -> None:
    """Raise `PluginError` unless the text is a routing key: words separated by single dots."""
    if not isinstance(text, str):
        raise PluginError(f"{what}={text!r} is not a string")
    hint = 'An event type is a routing key: words separated by dots, such as "order.placed".'
    if problem := flaw(text):
        raise PluginError(f"{what} {problem}", hint=hint)
    for word in text.split("."):
        if not word:
            raise PluginError(f"{what}={text!r} has an empty word", hint=hint)
        if "*" in word or "#" in word:
            raise PluginError(f"{what}={text!r} holds a wildcard", hint=f"{hint} Patterns belong in @handler.")
        if any(char.isspace() for char in word):
            raise PluginError(f"{what}={text!r} holds a space", hint=hint)


def nearest(word: str, known: Iterable[str]) -> str:
    """The question "Did you mean …?", or nothing when no known word is near."""
    from difflib import get_close_matches  # only for an error message

    found = get_close_matches(word, list(known), n=1)
    return f"Did you mean {found[0]!r}?" if found else ""
