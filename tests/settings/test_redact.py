"""A URL is shown without its password, also where it is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.settings import redact


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://guest:guest@host:5672/vhost", "amqp://guest:***@host:5672/vhost"),
        ("amqp://:secret@host", "amqp://:***@host"),
        ("amqp://user@host", "amqp://user@host"),
        ("amqp://host:5672/v?heartbeat=5", "amqp://host:5672/v?heartbeat=5"),
        ("amqp://u:p@w/o:r@d@host/v", "amqp://u:***@host/v"),
        ("postgresql://h/x?password=secret&sslmode=require", "postgresql://h/x?password=***&sslmode=require"),
        ("postgresql://h/x?sslmode=require&SSLPassword=secret", "postgresql://h/x?sslmode=require&SSLPassword=***"),
        ("sqlite:////a/b.db", "sqlite:////a/b.db"),
        ("embedded://", "embedded://"),
        ("user:secret@host", "***"),
        ("", ""),
    ],
)
def test_the_password_is_hidden_and_the_rest_is_shown(url: str, shown: str) -> None:
    assert redact(url) == shown


@given(st.text(min_size=8).map(lambda text: f"se{text}cret"), st.sampled_from(["amqp", "postgresql", "x"]))
def test_no_password_survives(password: str, scheme: str) -> None:
    assert password not in redact(f"{scheme}://user:{password}@host:5672/path")
