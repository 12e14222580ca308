"""Fixtures that every test may use: brokers, databases, and names of its own."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.amqp import Leftovers
from tests.support.postgres import PostgresServer, fresh_database
from tests.support.rabbit import RabbitNode
from tests.support.services import POSTGRES, RABBITMQ, SERVICES, SharedServers
from tests.support.tally import summary

SHARED = pytest.StashKey[SharedServers]()
AMQP_FIXTURES = {"amqp_url", "rabbit_node", "leftovers"}
POSTGRES_FIXTURES = {"postgres_server", "postgres_url", "postgres_node"}

# How fast an example runs says more about the machine than about the code.
settings.register_profile("warren", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("warren")


def pytest_configure(config: pytest.Config) -> None:
    commanded: dict[str, Any] | None = getattr(config, "workerinput", None)
    if commanded is None:
        config.stash[SHARED] = SharedServers.create()
    else:
        config.stash[SHARED] = SharedServers(Path(commanded["warren_folder"]), commanded["warren_owner"])
    # A setting of the developer's own shell must not reach the tests.
    for name in [name for name in os.environ if name.startswith("WARREN_") and not name.startswith("WARREN_TEST_")]:
        del os.environ[name]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    shared = node.config.stash[SHARED]
    node.workerinput["warren_folder"] = str(shared.folder)
    node.workerinput["warren_owner"] = shared.owner


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    if config.getoption("dist") != "loadfile":
        return None
    from tests.support.scheduling import Scheduling

    return Scheduling(config, log)


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and SHARED in config.stash:
        config.stash[SHARED].close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.pluginmanager.hasplugin("xdist"):
        from tests.support.scheduling import long_first

        long_first(items)
    for item in items:
        wanted = set(getattr(item, "fixturenames", ()))
        if wanted & AMQP_FIXTURES:
            item.add_marker(pytest.mark.rabbitmq)
        if wanted & POSTGRES_FIXTURES:
            item.add_marker(pytest.mark.postgres)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was left out: a green run without a broker proves little."""
    skipped = [str(report.longrepr) for report in terminalreporter.getreports("skipped")]
    for service in SERVICES:
        count = sum(service.reason in reason for reason in skipped)
        if count:
            tests = "1 test was" if count == 1 else f"{count} tests were"
            terminalreporter.section(f"{service.reason}: {tests} left out", sep="!", yellow=True, bold=True)
            terminalreporter.write_line(service.advice)
    faults = summary(report for reports in terminalreporter.stats.values() for report in reports)
    if faults is not None:
        terminalreporter.section(faults, sep="=", bold=True)


@pytest.fixture(scope="session")
def amqp_url(request: pytest.FixtureRequest) -> str:
    """A broker that all tests of the run share; use names of your own (`app`) and never stop it."""
    RABBITMQ.require()
    return request.config.stash[SHARED].url(RABBITMQ)


@pytest.fixture
def rabbit_node(tmp_path: Path) -> Iterator[RabbitNode]:
    """A running node of this test's own, which it may kill and start again. Takes 4 to 8 s."""
    RABBITMQ.require(private=True)
    node = RabbitNode(tmp_path / "rabbitmq")
    node.start()
    try:
        yield node
    finally:
        node.kill()


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> str:
    """The URL of a server that all tests of the run share; tests want `postgres_url`."""
    POSTGRES.require()
    return request.config.stash[SHARED].url(POSTGRES)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """An empty database of this test's own."""
    with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture
def postgres_node() -> Iterator[PostgresServer]:
    """A running server of this test's own, which it may kill and start again. Takes 1 s."""
    POSTGRES.require(private=True)
    servers = SharedServers.create()
    server = PostgresServer(servers.folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
        servers.close()


@pytest.fixture
def app() -> str:
    """An application name of this test's own: queues and exchanges that begin with it meet no others."""
    return f"t{uuid.uuid4().hex[:10]}"


@pytest.fixture
async def leftovers(amqp_url: str) -> AsyncIterator[Leftovers]:
    """Deletes the queues and exchanges that the test tells it of, also when the test fails."""
    made = Leftovers(amqp_url)
    yield made
    await made.delete()
