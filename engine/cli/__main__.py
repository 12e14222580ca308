"""`python -m engine.cli`: the `warren` command where its script is not installed."""

from __future__ import annotations

from engine.cli import main

main()
