"""What the world or the user gets wrong is one clear message, an exit code, and no traceback."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Result, Warren

HANDLER = 'from engine import Event, handler\n\n@handler("a.b")\nasync def run(event: Event) -> None: ...\n'


def refused(result: Result, code: int, *says: str) -> None:
    assert result.code == code, (result.out, result.err)
    assert result.err.startswith("error: "), result.err
    assert "Traceback" not in result.err
    for text in says:
        assert text in result.err, result.err


@pytest.mark.parametrize(
    "verb", [("worker",), ("publish", "a.b"), ("queues",), ("topology", "diff"), ("redrive", "--all")]
)
def test_an_unreachable_broker(warren: Warren, verb: tuple[str, ...]) -> None:
    warren.write("handlers/a.py", HANDLER)
    refused(warren(*verb, "--broker", "amqp://guest:secret@127.0.0.1:1/"), 1, "127.0.0.1:1")
    result = warren(*verb, "--json", environ={"WARREN_BROKER": "amqp://guest:secret@127.0.0.1:1/"})
    assert result.error["type"] == "BrokerUnavailable"
    assert "secret" not in result.err


def test_a_wrong_password(warren: Warren, amqp_url: str) -> None:
    scheme, _, rest = amqp_url.partition("://")
    host = rest.rpartition("@")[2]
    refused(warren("queues", "--broker", f"{scheme}://guest:wrong-password@{host}"), 1, "password")


@pytest.mark.parametrize(
    ("option", "url", "says"),
    [
        ("--broker", "amqp://localhost/?no_verify_ssl=1", "no_verify_ssl"),
        ("--broker", "amqp://localhost/?heartbeat=abc", "heartbeat"),
        ("--broker", "redis://localhost/", "redis"),
        ("--database", "mysql://localhost/shop", "mysql"),
        ("--database", "sqlite:///x.db?mode=ro", "mode"),
    ],
)
def test_a_url_that_cannot_be(warren: Warren, option: str, url: str, says: str) -> None:
    refused(warren("queues", option, url), 2, says)


def test_a_database_that_is_a_directory(warren: Warren) -> None:
    refused(warren("queues", "--database", f"sqlite:///{warren.project}"), 1, "directory")


def test_a_database_that_is_something_else(warren: Warren) -> None:
    path = warren.write("notes.txt", "no database at all, but long enough to be looked at\n" * 50)
    refused(warren("queues", "--database", f"sqlite:///{path}"), 1, "not a SQLite database")


def test_a_database_that_is_not_there_yet_is_made(warren: Warren) -> None:
    refused(warren("db", "check"), 1, "has no tables of Warren", "warren db upgrade")
    assert warren("db", "upgrade").code == 0
    assert warren("db", "check").code == 0


def test_a_database_that_is_newer(warren: Warren) -> None:
    assert warren("queues").code == 0
    with sqlite3.connect(warren.project / ".warren" / "warren.db") as database:
        database.execute("UPDATE warren_alembic_version SET version_num = '9999'")
        database.execute("UPDATE warren_meta SET value = '9999' WHERE key = 'compatible_from'")
    for verb in (("queues",), ("worker",), ("db", "check"), ("db", "upgrade")):
        warren.write("handlers/a.py", HANDLER)
        refused(warren(*verb), 1, "newer")
    doctor = warren("doctor")
    assert doctor.code == 1
    assert "newer" in doctor.out


def test_a_locked_database(warren: Warren) -> None:
    path = warren.project / "locked.db"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("CREATE TABLE mine (x)")
    holder.execute("BEGIN EXCLUSIVE")
    try:
        refused(warren("db", "upgrade", "--database", f"sqlite:///{path}"), 1, "locked")
    finally:
        holder.close()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import shoop\n", "shoop"),
        ("def broken(:\n", "orders.py"),
        ('from engine import handler\n\n@handler("a..b")\nasync def run(event): ...\n', "a..b"),
        ("x = 1\n1 / 0\n", "ZeroDivisionError"),
    ],
)
def test_a_plugin_that_does_not_import(warren: Warren, text: str, says: str) -> None:
    warren.write("handlers/orders.py", text)
    refused(warren("worker"), 2, says, "orders.py")
    refused(warren("topology", "show"), 2, says)


def test_no_handlers_at_all(warren: Warren) -> None:
    refused(warren("worker"), 2, "no handlers")


def test_an_unknown_setting_names_the_nearest(warren: Warren) -> None:
    warren.write("pyproject.toml", '[project]\nname = "shop"\n[tool.warren]\nbrokr = "embedded://"\n')
    refused(warren("queues"), 2, "brokr", "broker")


def test_a_project_that_is_not_there(warren: Warren) -> None:
    refused(warren("queues", "--project", "nowhere"), 2, "nowhere")


def test_a_failure_that_is_not_there(warren: Warren) -> None:
    refused(warren("failures", "show", "7"), 2, "no failure 7")
    assert warren("redrive", "7", "--yes").code == 2


def test_a_redrive_of_nothing_in_particular(warren: Warren) -> None:
    refused(warren("redrive"), 2, "--all")


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /sys")
def test_a_file_that_this_user_may_not_write(warren: Warren) -> None:
    (warren.project / "handlers").symlink_to("/sys")  # nobody may make a file there, not even root
    refused(warren("new", "handler", "welcome"), 1, "handlers", "Permission denied")


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /dev/full")
def test_an_output_that_takes_nothing(warren: Warren) -> None:
    code, err = cold(warren, "warren queues > /dev/full")
    assert code == 1
    assert err.startswith("error: cannot write: No space left on device"), err


def test_an_output_that_was_closed(warren: Warren) -> None:
    assert cold(warren, "warren queues >&-") == (0, "")
    assert cold(warren, "warren queues --nosuch >&- 2>&- <&-") == (2, "")
    with sqlite3.connect(warren.project / ".warren" / "warren.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_an_output_that_knows_ascii_alone(warren: Warren) -> None:
    result = warren("doctor", environ={"PYTHONIOENCODING": "ascii"})
    assert result.code == 0, result.err
    assert "\\u2713 ok" in result.out


def cold(warren: Warren, line: str) -> tuple[int, str]:
    """What a shell makes of a line: its exit code, and what went to stderr."""
    program = f"{sys.executable} -m engine.cli"
    script = line.replace("warren", program, 1)
    done = subprocess.run(
        ["sh", "-c", script], cwd=warren.project, env=warren.environ, stderr=subprocess.PIPE, text=True, check=False
    )
    return done.returncode, done.stderr
