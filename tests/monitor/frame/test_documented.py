"""docs/monitor.md names every key as the bindings have it, and every screen with a number.

`WARREN_TEST_SNAPSHOTS=write make test ARGS=tests/monitor/frame/test_documented.py` writes its tables of keys anew.
"""

from __future__ import annotations

import os
from pathlib import Path

from monitor.app import key_name
from monitor.keys import GROUPS, TITLES
from monitor.screens import PLACES

DOCUMENT = Path(__file__).parents[3] / "docs" / "monitor.md"
BEGIN, END = "<!-- keys: begin -->\n", "<!-- keys: end -->\n"


def tables() -> str:
    """The keys of all groups, as the document lists them."""
    lines = ["", "| keys | what they do | id |", "|---|---|---|"]
    for group, actions in GROUPS.items():
        lines.append(f"| **{TITLES[group]}** | | |")
        for action in actions:
            keys = " ".join(f"`{key_name(key)}`" for key in action.keys.split(","))
            lines.append(f"| {keys} | {action.label.rstrip('…')} | `{group}.{action.name}` |")
    return "\n".join([*lines, "", ""])


def test_the_keys_of_the_document_are_those_of_the_bindings() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    found, end, after = rest.partition(END)
    assert begin
    assert end
    if os.environ.get("WARREN_TEST_SNAPSHOTS") == "write":
        DOCUMENT.write_text(f"{before}{begin}{tables()}{end}{after}", encoding="utf-8")
        return
    assert found == tables(), __doc__


def test_every_screen_with_a_number_has_its_place_in_the_document() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert not [place.title for place in PLACES if f"\n| `{place.number}` | {place.title} |" not in text]


def test_every_group_has_a_title() -> None:
    assert set(GROUPS) == set(TITLES)
