"""Who acts, for the audit."""

from __future__ import annotations

import getpass
import socket


def who() -> str:
    """The user and the host: `anna@web-1`."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user need not have a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
