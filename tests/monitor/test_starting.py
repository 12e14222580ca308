"""The first picture comes soon: what takes long to import is imported after it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from monitor.app import make
from monitor.failures.messages import MessagesPage
from tests.support.inprocess import own_settings

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


async def test_a_refresh_of_a_page_that_is_not_there_yet_does_nothing(tmp_path: Path) -> None:
    """The page on top may still be put together when the newest picture comes."""
    app = make(own_settings(tmp_path, "starting"))
    async with app.run_test():
        page = MessagesPage()
        app.push_screen(page)
        page.pulse()
        assert not page.query("Header"), "the page was there already, which tests nothing"
    assert app.fault is None
