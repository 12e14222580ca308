"""Untrusted text made safe for a terminal.

Ids, payloads, headers, and error messages come from strangers. Written raw they can set
the clipboard (OSC 52), clear the screen or turn the reading order round. Every face of
the operations passes such text through `visible` before it is shown.
"""

from __future__ import annotations

#: The longest text that a cell of a table shows, in characters.
CELL = 200


def visible(text: object, *, lines: bool = False) -> str:
    """The text with every character that does not print shown as a name for it.

    Control characters become their Unicode pictures (ESC is ␛), all others that do not
    print (C1, bidi, format, surrogates, unassigned) their escapes (`\\u202e`).
    `lines` keeps line feeds and tabs.
    """
    plain = text if isinstance(text, str) else str(text)
    if plain.isprintable():
        return plain
    return "".join(map(_line_character if lines else _character, plain))


def cell(text: object, width: int = CELL) -> str:
    """One line of `visible` text, cut to `width` characters with an ellipsis."""
    plain = text if isinstance(text, str) else str(text)
    shown = visible(" ".join(plain[: width * 2].split()) if "\n" in plain else plain[: width + 1])
    return shown if len(shown) <= width else shown[: width - 1] + "…"


def _character(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if code == 0xA0:
        return " "
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _line_character(character: str) -> str:
    return character if character in "\n\t" else _character(character)
