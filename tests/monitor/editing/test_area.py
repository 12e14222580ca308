"""The editor draws what strangers wrote without a raw control character, and stays quick on long texts."""

from __future__ import annotations

import json
import time

import pytest
from textual.app import App, ComposeResult

from monitor.editing.area import BodyArea, pictured

HOSTILE = "\x1b]52;c;aGk=\x07 \x9b2J \u202eevil [red]x[/] \x7f \xa0 \u200b"


class Bed(App[None]):
    def __init__(self, text: str, is_json: bool) -> None:
        super().__init__()
        self.area = BodyArea(text, is_json=is_json)

    def compose(self) -> ComposeResult:
        yield self.area


def drawn(area: BodyArea) -> str:
    return "\n".join(area.render_line(row).text for row in range(area.size.height))


async def test_hostile_text_is_drawn_as_pictures_and_stays_what_it_is() -> None:
    app = Bed(HOSTILE, False)
    async with app.run_test(size=(80, 10)):
        assert "␛]52;c;aGk=␇ �2J �evil [red]x[/] ␡   �" in drawn(app.area)
        assert drawn(app.area).replace("\n", "").isprintable()
        assert app.area.text == HOSTILE


def test_a_picture_is_as_wide_as_what_it_stands_for() -> None:
    assert len(pictured(HOSTILE)) == len(HOSTILE)
    assert pictured("a\tb") == "a\tb"


async def test_keys_and_values_have_their_colours() -> None:
    app = Bed('{\n  "total": 12\n}', True)
    async with app.run_test(size=(80, 10)):
        line = app.area.get_line(1)
        styles = {line.plain[span.start : span.end]: span.style for span in line.spans}
        assert set(styles) == {'"total"', "12"}
        assert styles['"total"'] != styles["12"]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({f"field-{number}": number for number in range(10_000)}, indent=2),
        json.dumps({"long": "x" * 250_000}, indent=2),
    ],
    ids=["lines", "one line"],
)
async def test_a_key_in_a_long_text_is_drawn_at_once(text: str) -> None:
    app = Bed(text, True)
    async with app.run_test(size=(100, 30)) as pilot:
        app.area.focus()
        await pilot.press("down", "right")
        begun = time.perf_counter()
        await pilot.press("x")
        assert time.perf_counter() - begun < 0.5
        assert app.area.text != text
