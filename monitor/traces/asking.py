"""Asking for the id of what is to be traced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import UsageError
from monitor.frame.dialogs import Prompt

if TYPE_CHECKING:
    from monitor.frame.page import Page


async def ask(page: Page, wrong: str = "") -> str | None:
    """The correlation id of what the user names; asked again while nothing is known of it, None when cancelled."""
    from engine.operations import trace

    said = ""
    while True:
        label = "A correlation id, an event id, or a failure (#17)."
        prompt = Prompt("Trace", f"{label}\n{wrong}" if wrong else label, value=said, verb="Show")
        answer = await page.prompt(prompt)
        if answer is None:
            return None
        said = answer
        try:
            return await trace.find(page.source.database(), said)
        except UsageError as error:
            wrong = f"✗ {error.message}"
