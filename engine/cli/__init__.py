"""The `warren` command. `main` is its entry point; everything else is imported when it runs."""

from __future__ import annotations


def main() -> None:
    """Run the command line and end the process with its exit code."""
    import sys

    from engine.cli.entry import run
    from engine.cli.leaving import leave

    leave(run(sys.argv[1:]))
