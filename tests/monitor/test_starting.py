"""The first picture comes soon: what takes long to import is imported after it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

#: What reading and changing things needs, and a picture does not.
HEAVY = {
    "aio_pika",
    "aiormq",
    "alembic",
    "orjson",
    "psycopg",
    "pydantic",
    "sqlalchemy",
    "sqlmodel",
    "structlog",
    "yarl",
}

#: Runs `warren monitor` without a terminal until its first picture is drawn, and prints the modules loaded by then.
CODE = """
import json, sys
from engine.cli import main
from monitor.app import Monitor

def begin(self):
    assert self.screen.size.width and self.query("#advice"), "nothing was drawn"
    loaded.extend({name.partition(".")[0] for name in sys.modules})
    self.exit()

loaded = []
Monitor._begin = begin
sys.argv = ["warren", "monitor", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(loaded))
"""


def test_the_first_picture_waits_for_no_heavy_import(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", CODE, "--database", f"sqlite:///{tmp_path / 'warren.db'}", "--log-level", "debug"],
        cwd=Path(__file__).parent.parent.parent,
        env={**os.environ, "TEXTUAL_DRIVER": "textual.drivers.headless_driver:HeadlessDriver"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    loaded = set(json.loads(ran.stdout.splitlines()[-1]))
    assert "textual" in loaded
    assert loaded & HEAVY == set()
