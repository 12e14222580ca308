"""`warren worker --metrics-port`: what Prometheus gets."""

from __future__ import annotations

import re
import time
import urllib.request
from contextlib import closing
from socket import create_server
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.conftest import Warren

PLUGIN = """\
from engine import Event, EventData, handler

class Arrived(EventData, type="guest.arrived"):
    name: str

@handler(Arrived)
async def greet(event: Event[Arrived]) -> None: ...
"""


def free_port() -> int:
    with closing(create_server(("127.0.0.1", 0))) as server:
        port: int = server.getsockname()[1]
    return port


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
        text: str = page.read().decode()
    return text


def until(warren: Warren, *patterns: str) -> str:
    deadline = time.monotonic() + 50
    while not all(re.search(pattern, warren.log()) for pattern in patterns):
        assert time.monotonic() < deadline, warren.log()
        time.sleep(0.05)
    return warren.log()


def test_a_worker_serves_its_metrics(warren: Warren) -> None:
    warren.write("handlers/guests.py", PLUGIN)
    port = free_port()
    worker = warren.start("worker", "--metrics-port", str(port), "--log-level", "info")
    until(warren, "is ready", f":{port}/metrics")
    assert warren("publish", "guest.arrived", '{"name": "Ann"}').code == 0
    handled = 'warren_messages_handled_total{app="shop",handler="greet",queue="shop.guests.greet"} 1.0'
    deadline = time.monotonic() + 30
    while handled not in scrape(port):
        assert time.monotonic() < deadline, scrape(port)
        time.sleep(0.05)
    worker.terminate()
    assert worker.wait(30) == 0, warren.log()


def test_each_process_has_a_port(warren: Warren) -> None:
    warren.write("handlers/guests.py", PLUGIN)
    worker = warren.start("worker", "--metrics-port", str(free_port()), "--processes", "2", "--log-level", "info")
    log = until(warren, "(?s)is ready.*is ready", r"(?s)/metrics.*/metrics")
    ports = {int(port) for port in re.findall(r":(\d+)/metrics", log)}
    assert len(ports) == 2
    workers = {line for port in ports for line in scrape(port).splitlines() if line.startswith("warren_worker_info{")}
    assert len(workers) == 2
    worker.terminate()
    assert worker.wait(30) == 0, warren.log()
