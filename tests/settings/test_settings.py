"""Settings: where they come from, which one wins, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConfigurationError
from engine.settings import Settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    return tmp_path


def config(folder: Path, text: str) -> None:
    (folder / "warren.toml").write_text(text, encoding="utf-8")


def test_the_defaults_need_nothing(folder: Path) -> None:
    (folder / ".git").mkdir()
    settings = Settings.load()
    assert settings == Settings(project=settings.project)
    assert (settings.app, settings.exchange, settings.plugins) == ("warren", "events", ())
    assert settings.broker_url == f"embedded://{folder}/.warren/broker.db"
    assert settings.database_url == f"sqlite:///{folder}/.warren/warren.db"
    assert settings.migrate
    assert not (folder / ".warren").exists()


def test_explicit_beats_environment_beats_file_beats_default(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config(folder, 'app = "file"\nexchange = "file"\nlog_level = "debug"\nplugins = ["a.b"]\n')
    monkeypatch.setenv("WARREN_APP", "environment")
    monkeypatch.setenv("WARREN_EXCHANGE", "environment")
    monkeypatch.setenv("WARREN_PLUGINS", "c.d, e.py")
    monkeypatch.setenv("WARREN_MAX_BODY", "")
    settings = Settings.load(app="explicit", exchange=None)
    assert (settings.app, settings.exchange, settings.log_level) == ("explicit", "environment", "debug")
    assert (settings.plugins, settings.max_body) == (("c.d", "e.py"), 1048576)


def test_the_environment_is_text_and_the_file_is_typed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config(folder, "max_body = 2048\nmigrate = false\n")
    monkeypatch.setenv("WARREN_DRAIN_TIMEOUT", "2.5")
    settings = Settings.load()
    assert (settings.max_body, settings.migrate, settings.drain_timeout) == (2048, False, 2.5)
    monkeypatch.setenv("WARREN_MAX_BODY", "4096")
    monkeypatch.setenv("WARREN_MIGRATE", "yes")
    settings = Settings.load()
    assert (settings.max_body, settings.migrate) == (4096, True)


def test_days_by_type_come_from_either(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "warren.toml").write_text('event_retention_of = { "audit.#" = 3650 }')
    assert Settings.load(folder).event_retention_of == {"audit.#": 3650.0}
    monkeypatch.setenv("WARREN_EVENT_RETENTION_OF", "audit.#=40, sensor.*=2.5")
    assert Settings.load(folder).event_retention_of == {"audit.#": 40.0, "sensor.*": 2.5}


def test_a_stream_has_its_limits_from_the_settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.load().stream is None
    config(folder, 'journal_to = "stream"\nstream_retention = 90\n')
    monkeypatch.setenv("WARREN_STREAM_MAX_BYTES", "50_000_000_000")
    assert Settings.load().stream == (90.0, 50_000_000_000)


def test_the_application_is_named_for_its_project(folder: Path) -> None:
    pyproject = folder / "pyproject.toml"
    pyproject.write_text('[project]\nname = "corner-shop"\n')
    assert Settings.load().app == "corner-shop"
    assert Settings.load(app="till").app == "till"
    pyproject.write_text('[project]\nname = "no name for a queue"\n')
    assert Settings.load().app == "warren"


def test_paths_in_the_file_begin_at_the_root_and_others_where_one_stands(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config(folder, 'database = "sqlite:///data/w.db"\nbroker = "embedded://data/b.db"\n')
    settings = Settings.load()
    assert settings.database_url == f"sqlite:///{folder}/data/w.db"
    assert settings.broker_url == f"embedded://{folder}/data/b.db"
    monkeypatch.setenv("WARREN_DATABASE", "sqlite:///w.db")
    assert Settings.load().database_url == f"sqlite:///{folder}/sub/w.db"
    assert Settings.load(database="sqlite:////abs/w.db").database_url == "sqlite:////abs/w.db"


def test_only_sqlite_is_migrated_by_itself(folder: Path) -> None:
    assert Settings.load(database="sqlite:///x.db").migrate
    assert not Settings.load(database="postgresql://host/x").migrate
    assert Settings.load(database="postgresql://host/x", migrate=True).migrate


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('brokr = "x"', "there is no setting 'brokr'\nDid you mean 'broker'?"),
        ("zzz = 1", "there is no setting 'zzz'\nThe settings are app, broker"),
        ("app = 5", "app is int, not a string"),
        ('app = "a b"', "app='a b' cannot begin the names of queues"),
        ("plugins = [1]", "plugins is not a list of names"),
        ('max_body = "many"', "max_body is not a number"),
        ("max_body = 0", "max_body=0 is not a whole number of bytes"),
        ("max_body = 1.5", "max_body=1.5 is not"),
        ("max_body = true", "max_body is not a number"),
        ("drain_timeout = -1", "drain_timeout=-1 is below 0"),
        ("drain_timeout = nan", "drain_timeout is not a number"),
        ("event_retention_of = 5", "event_retention_of is not a table of days by topic pattern"),
        ('event_retention_of = { "audit.#" = 0 }', "event_retention_of: audit.#=0 is not a number of days from 1 on"),
        ("migrate = 'perhaps'", "migrate is neither true nor false"),
        ('log_level = "loud"', "log_level='loud' is unknown\nUse one of debug, info"),
        ('exchange = ""', "exchange is not the name of an exchange"),
        ('journal_to = "kafka"', "journal_to='kafka' is unknown\nUse one of database, stream"),
        ("stream_retention = 0", "stream_retention=0 is not a number of days from 1 on"),
        ("stream_max_bytes = 1000", "stream_max_bytes=1000 is not a whole number of bytes from 1 MB on"),
        ('stream_max_bytes = "50GB"', "stream_max_bytes is not a number"),
    ],
)
def test_what_cannot_be_is_refused_with_its_file(folder: Path, text: str, said: str) -> None:
    config(folder, text)
    with pytest.raises(ConfigurationError) as caught:
        Settings.load()
    assert str(caught.value).startswith(f"{folder}/warren.toml: {said}")


def test_the_source_of_a_value_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"^there is no setting 'brokerr'"):
        Settings.load(brokerr="x")
    with pytest.raises(ConfigurationError, match=r"^app is int"):
        Settings.load(app=5)
    monkeypatch.setenv("WARREN_MAX_BODY", "x")
    with pytest.raises(ConfigurationError, match=r"^WARREN_MAX_BODY is not a number"):
        Settings.load()


@pytest.mark.parametrize(
    ("setting", "url", "said"),
    [
        ("broker", "redis://host", "a broker URL cannot have the scheme 'redis'\nUse embedded://, amqp://"),
        ("broker", "localhost", "broker is not a broker URL: it has no ://"),
        ("broker", "amqp:host", "has no ://"),
        ("broker", "amqp://", "names no host"),
        ("broker", "amqp://guest:secret@host:port/", "is not a URL"),
        ("broker", "amqp://guest:secret@host:0/", "amqp://guest:***@host:0/ has the port 0"),
        ("broker", "amqp://guest:secret@[::1", "is not a URL"),
        ("broker", "embedded://x?y=1", "takes no options"),
        ("broker", "user:secret@host", "has no ://"),
        ("database", "mysql://u:secret@host/x", "a database URL cannot have the scheme 'mysql'\nUse sqlite:///"),
        ("database", "sqlite://", "names no file"),
        ("database", "sqlite:///", "names no file"),
        ("database", "sqlite:///:memory:", "names no file"),
        ("database", "sqlite:x.db", "has no ://"),
        ("database", "postgresql://u:secret@host:99999/x", "is not a URL"),
    ],
)
def test_a_url_that_cannot_be_is_refused_without_its_password(folder: Path, setting: str, url: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.load(**{setting: url})
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["amqp://host", "amqps://u:p@h:5671/v?heartbeat=5", "amqp://[::1]:5672/"])
def test_broker_urls_pass_as_they_are(folder: Path, url: str) -> None:
    assert Settings.load(broker=url).broker_url == url


@pytest.mark.parametrize("url", ["postgresql://u@h:5432/x", "postgresql:///x?host=/run", "postgres://h/x"])
def test_database_urls_pass_as_they_are(folder: Path, url: str) -> None:
    assert Settings.load(database=url).database_url == url


def test_nothing_that_is_shown_holds_a_password(folder: Path) -> None:
    settings = Settings.load(broker="amqp://u:secret@h/", database="postgresql://u:secret@h/x?sslpassword=secret")
    shown: list[Any] = [repr(settings), str(settings), settings.broker_shown, settings.database_shown]
    assert not any("secret" in text for text in shown)
    assert settings.broker_shown == "amqp://u:***@h/"


def test_reading_settings_imports_no_framework() -> None:
    code = (
        "import sys; from engine.settings import Settings; Settings.load(); "
        "print([name for name in ('pydantic', 'pydantic_settings', 'asyncio', 'sqlalchemy') if name in sys.modules])"
    )
    root = Path(__file__).parents[2]
    ran = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60)
    assert ran.stdout.strip() == "[]", ran.stderr
