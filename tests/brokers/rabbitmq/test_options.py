"""Broker URLs: what is read of them, and what is refused before anything connects."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from engine.brokers import open_broker
from engine.brokers.rabbitmq.options import parse
from engine.errors import ConfigurationError


def test_defaults() -> None:
    options = parse("amqp://broker.example")
    assert (options.host, options.port, options.user, options.password) == ("broker.example", 5672, "guest", "guest")
    assert (options.vhost, options.tls, options.heartbeat) == ("/", False, 5)
    assert parse("amqps://broker.example").port == 5671


def test_everything_given() -> None:
    options = parse("amqp://us%40er:p%2Fa%3Ass@[::1]:5673/a%2Fb?heartbeat=20&connection_timeout=2.5")
    assert (options.host, options.port, options.user, options.password) == ("::1", 5673, "us@er", "p/a:ss")
    assert (options.vhost, options.heartbeat, options.connection_timeout) == ("a/b", 20, 2.5)


@pytest.mark.parametrize("path", ["", "/", "//", "/%2F"])
def test_ways_to_write_the_default_virtual_host(path: str) -> None:
    assert parse(f"amqp://localhost{path}").vhost == "/"


@pytest.mark.parametrize(
    "url",
    [
        "amqp://",
        "amqp://:5672/",
        "http://localhost",
        "amqp://localhost:port/",
        "amqp://localhost:99999/",
        "amqp://localhost:0/",
        "amqp://localhost/a/b",
        "amqp://localhost/#x",
        "amqp://localhost/?heartbeat=abc",
        "amqp://localhost/?heartbeat=0",
        "amqp://localhost/?heartbeat=-1",
        "amqp://localhost/?heartbeat=5.5",
        "amqp://localhost/?heartbeat=",
        "amqp://localhost/?heartbeat=5&heartbeat=6",
        "amqp://localhost/?connection_timeout=30000",
        "amqp://localhost/?connection_timeout=nan",
        "amqps://localhost/?no_verify_ssl=1",
        "amqps://localhost/?no_verify_ssl",
        "amqp://localhost/?no_verify_ssl=true",
        "amqps://localhost/?cafile=/nowhere/ca.pem",
    ],
)
def test_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        parse(url)


def test_an_unknown_option_names_the_nearest() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse("amqp://localhost/?hartbeat=5")
    assert "heartbeat" in caught.value.message
    assert "cafile" in caught.value.hint


@pytest.mark.parametrize(
    "url",
    [
        "amqp://user:se/cret@localhost/",
        "amqp://user:se#cret@localhost/",
        "amqp://user:123?secret@localhost/",
        "amqp://user:123/secret@localhost/v",
        "amqp://user:secret@localhost/?heartbeat=abc",
        "amqp://user:secret@localhost:port/",
        "amqp://user:secret@localhost/?secure=1",
    ],
)
def test_an_error_never_holds_the_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(url)
    assert "cret" not in str(caught.value)


def test_the_text_of_options_holds_no_password() -> None:
    options = parse("amqp://user:secret@localhost/")
    assert "secret" not in f"{options} {options!r}"
    assert str(options) == "amqp://user@localhost:5672/%2F"


def test_no_verify_ssl_means_what_it_says(tmp_path: Path) -> None:
    checked = parse("amqps://localhost/?no_verify_ssl=false").ssl_context()
    unchecked = parse("amqps://localhost/?no_verify_ssl=true").ssl_context()
    assert checked is not None
    assert unchecked is not None
    assert (checked.verify_mode, checked.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (unchecked.verify_mode, unchecked.check_hostname) == (ssl.CERT_NONE, False)
    nonsense = tmp_path / "ca.pem"
    nonsense.write_text("no certificate")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        parse(f"amqps://localhost/?cafile={nonsense}").ssl_context()


def test_open_broker_refuses_an_unknown_scheme() -> None:
    with pytest.raises(ConfigurationError, match="redis"):
        open_broker("redis://localhost", app="shop")
