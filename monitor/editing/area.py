"""The text of a body, highlighted line by line as it is drawn, so that its length does not matter."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual.widgets import TextArea

from monitor.bodies.json_text import spans

#: Characters up to which a text is highlighted.
HIGHLIGHTED = 64 * 1024
#: Characters up to which a line is highlighted, and folded at the edge: both take their time at each key.
LONGEST_LINE = 4096


class BodyArea(TextArea):
    """An editor for a body. Characters that do not print are drawn as their pictures, one for one."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "body--key",
        "body--string",
        "body--number",
        "body--word",
        "body--wrong",
    }

    DEFAULT_CSS = """
    BodyArea {
        border: none; padding: 0;
        &:focus { border: none; }
        & .body--key { color: $text-primary; }
        & .body--string { color: $text-success; }
        & .body--number { color: $text-accent; }
        & .body--word { color: $text-warning; text-style: bold; }
        & .body--wrong { color: $text-error; text-style: underline; }
    }
    """

    def __init__(self, text: str = "", *, is_json: bool, read_only: bool = False, **more: Any) -> None:
        super().__init__(text, read_only=read_only, show_line_numbers=True, tab_behavior="indent", **more)
        self.indent_width = 2
        self.cursor_blink = False
        self._suit(text, is_json)

    def put(self, text: str, *, is_json: bool) -> None:
        """Edit another text."""
        self._suit(text, is_json)
        self.load_text(text)

    def _suit(self, text: str, is_json: bool) -> None:
        self.is_json = is_json
        # Searching the partner of a bracket reads the whole text at each move of the cursor.
        self.match_cursor_bracket = len(text) <= HIGHLIGHTED
        self.soft_wrap = max(map(len, text.split("\n"))) <= LONGEST_LINE

    def get_line(self, line_index: int) -> Text:
        """One line as it is drawn."""
        plain = self.document.get_line(line_index)
        line = Text(pictured(plain), end="", no_wrap=True)
        if self.is_json and len(plain) <= LONGEST_LINE and self.match_cursor_bracket:
            for span in spans(plain):
                line.stylize(self.get_component_rich_style(f"body--{span.kind}", partial=True), span.start, span.end)
        return line


def pictured(line: str) -> str:
    """The line with a picture for each character that does not print; as long as before. Tabs stay."""
    if line.isprintable():
        return line
    return "".join(
        character if character.isprintable() or character == "\t" else _picture(ord(character)) for character in line
    )


def _picture(code: int) -> str:
    if code < 0x20:
        return chr(0x2400 + code)
    return " " if code == 0xA0 else "\N{SYMBOL FOR DELETE}" if code == 0x7F else "\N{REPLACEMENT CHARACTER}"
