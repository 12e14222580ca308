"""Who acts, and whether they may change anything."""

from __future__ import annotations

import getpass
import socket
from typing import NamedTuple

from engine.errors import ReadOnly


class Operator(NamedTuple):
    """Somebody who looks and acts: `who` stands in the audit; with `read_only` they may only look."""

    who: str
    read_only: bool = False

    @classmethod
    def present(cls, *, read_only: bool = False) -> Operator:
        """The user of this process."""
        return cls(who(), read_only)

    def allow(self, action: str) -> None:
        """Raise `ReadOnly` unless they may change something; `action` is what they want to do: `redrive failures`."""
        if self.read_only:
            raise ReadOnly(
                f"this is read-only, so it cannot {action}",
                hint="Begin again without --read-only, WARREN_READ_ONLY and the setting `read_only`.",
            )


def who() -> str:
    """The user and the host: `anna@web-1`."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user need not have a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
