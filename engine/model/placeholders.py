"""Editing what one may not see: each secret is a numbered placeholder, and gets its value back at the end.

Whatever the operator leaves as it is keeps its value, also where he moves or copies it.
"""

from __future__ import annotations

import re
from typing import Any

from engine.errors import UsageError
from engine.model import json_text
from engine.model.json_text import Numeral
from engine.model.masking import Masking


class Placeholders:
    """The secrets of some texts that are shown together. A secret that occurs twice is one placeholder.

    `texts` are all of them as they are: a placeholder never looks like what stands there already.
    """

    def __init__(self, masking: Masking, *texts: str) -> None:
        self._masking = masking
        self._word = "masked"
        while any(f"«{self._word} " in text for text in texts):
            self._word += "'"
        self._secrets: list[Any] = []
        self._numbers: dict[tuple[type, str], int] = {}
        self._expression = re.compile(rf"«{re.escape(self._word)} (\d+)»")

    def __len__(self) -> int:
        return len(self._secrets)

    def hide(self, value: Any) -> Any:
        """A JSON value with placeholders for its secrets."""
        return self._masking.value(value, self._placeholder)

    def hide_text(self, text: str) -> str:
        """A text with placeholders for its secrets."""
        return self._masking.text(text, self._placeholder)

    def restore(self, value: Any) -> Any:
        """The value with secrets for its placeholders. Raises `UsageError` for a placeholder that stands for nothing."""
        return json_text.walk(value, self._restored)

    def restore_text(self, text: str) -> str:
        """The same for a text."""
        return self._expression.sub(lambda found: _shown(self._secret(found)), text)

    def _placeholder(self, secret: Any) -> str:
        key = type(secret), _shown(secret)
        if key not in self._numbers:
            self._secrets.append(secret)
            self._numbers[key] = len(self._secrets)
        return f"«{self._word} {self._numbers[key]}»"

    def _restored(self, scalar: Any) -> Any:
        if not isinstance(scalar, str):
            return scalar
        whole = self._expression.fullmatch(scalar)
        return self.restore_text(scalar) if whole is None else self._secret(whole)

    def _secret(self, found: re.Match[str]) -> Any:
        number = int(found[1]) if len(found[1]) < 10 else 0
        if not 1 <= number <= len(self._secrets):
            raise UsageError(
                f"{found[0]} stands for no masked value",
                hint=f"There are {len(self._secrets)}: leave them as they are, or write a new value.",
            )
        return self._secrets[number - 1]


def _shown(secret: Any) -> str:
    return secret.text if isinstance(secret, Numeral) else str(secret)
