"""The very end of the process, which no thread that never returns may hold up."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from typing import NoReturn

#: Seconds that threads have to return when all is said and done.
GRACE = 1.0


def leave(code: int) -> NoReturn:
    """End with this exit code.

    Python joins the threads of every executor, so a plain handler that hangs, or a database that
    never answers, would keep a worker from ever ending. What was registered with `atexit` is called in any case.
    """
    deadline = time.monotonic() + GRACE
    for thread in _others():
        thread.join(max(0.0, deadline - time.monotonic()))
    if _others():
        atexit._run_exitfuncs()  # noqa: SLF001 - what the interpreter itself calls, and there is no other name for it
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
    sys.exit(code)


def _others() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if not each.daemon and each is not threading.main_thread()]
