"""A private RabbitMQ node: own name, ports, data and epmd, so it never meets the machine's own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from tests.support.process import ServerProcess, free_port

#: Seconds; a node starts in 4 to 8, and in more when it recovers queues on a busy machine.
START_TIMEOUT = 60.0

#: Seconds until a new quorum queue is on disk for good.
SETTLING = 3.0

#: Debian's /usr/sbin/rabbitmq-server insists on changing user, the script behind it does not.
_PLACES = (
    "/usr/lib/rabbitmq/bin/rabbitmq-server",
    "/opt/homebrew/sbin/rabbitmq-server",
    "/usr/local/sbin/rabbitmq-server",
)


class RabbitNode:
    """A RabbitMQ node on 127.0.0.1 with guest/guest, its data below `folder`.

        node = RabbitNode(tmp_path)
        node.start()      # seconds; returns once AMQP is spoken
        node.kill()       # SIGKILL, as a power cut would
        node.start()      # the same data on the same port
        node.stop()

    `settings` are lines of rabbitmq.conf, e.g. `consumer_timeout = 5000`. `owner` is the process
    whose end also ends the node; by default this one.
    """

    def __init__(self, folder: Path, *, settings: str = "", owner: int | None = None) -> None:
        server = find_server()
        if server is None:
            raise FileNotFoundError("no rabbitmq-server on this machine")
        self._server = server
        self._folder = folder
        self._owner = owner
        self.port = free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}/"
        self._epmd_port = free_port()
        self._environ = self._prepare(free_port(), settings)
        self._epmd: ServerProcess | None = None
        self._node: ServerProcess | None = None

    @property
    def log(self) -> Path:
        """What the node prints."""
        return self._folder / "node.log"

    @property
    def pids(self) -> list[int]:
        """The process groups of the node and its epmd, while they run."""
        return [process.pid for process in (self._node, self._epmd) if process is not None]

    def start(self) -> float:
        """Start the node, or start it again after `kill` or `stop`; the seconds that took."""
        if self._node is not None and self._node.running():
            return 0.0
        began = time.monotonic()
        epmd = shutil.which("epmd")
        if self._epmd is None and epmd is not None:
            self._epmd = ServerProcess(
                [epmd, "-port", str(self._epmd_port)],
                environ=self._environ,
                log=self._folder / "epmd.log",
                owner=self._owner,
            )
        self._node = ServerProcess([self._server], environ=self._environ, log=self.log, owner=self._owner)
        while not speaks_amqp("127.0.0.1", self.port):
            if not self._node.running():
                raise RuntimeError(f"RabbitMQ did not start:\n{self._node.output()}")
            if time.monotonic() - began > START_TIMEOUT:
                self.kill()
                raise RuntimeError(f"RabbitMQ did not answer within {START_TIMEOUT:.0f} s:\n{self._node.output()}")
            time.sleep(0.05)
        return time.monotonic() - began

    def settle(self) -> None:
        """Wait until queues declared just now survive a `kill`.

        RabbitMQ writes the register of its quorum queues up to 2 s late; one killed before that
        has the queue after a restart, but no leader for it, ever (seen on 3.10.8).
        """
        time.sleep(SETTLING)

    def kill(self) -> None:
        """End the node with SIGKILL; its data stay, but see `settle`."""
        if self._node is not None:
            self._node.kill()
        self._end_epmd()

    def stop(self) -> None:
        """End the node in good order; its data stay."""
        if self._node is not None:
            self._node.stop()
        self._end_epmd()

    def control(self, *words: str) -> str:
        """What `rabbitmqctl` answers for this node; takes about a second."""
        program = str(Path(self._server).with_name("rabbitmqctl"))
        command = [program, "--node", self._environ["RABBITMQ_NODENAME"], "--quiet", *words]
        done = subprocess.run(command, env=self._environ, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"rabbitmqctl {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def forget(self) -> None:
        """Delete all data of a node that was killed or stopped: it comes back empty."""
        shutil.rmtree(self._folder / "data", ignore_errors=True)

    def _end_epmd(self) -> None:
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd = None

    def _prepare(self, dist_port: int, settings: str) -> dict[str, str]:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "enabled_plugins").write_text("[].\n")
        (self._folder / "rabbitmq.conf").write_text(settings.rstrip() + "\n")
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(self._folder),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"x{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(dist_port),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self._folder / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(self._folder / "rabbitmq-env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "enabled_plugins"),
        }


def find_server() -> str | None:
    """The path of a `rabbitmq-server` that an ordinary user can run, or None.

    WARREN_TEST_RABBITMQ_SERVER names another than the machine's.
    """
    named = os.environ.get("WARREN_TEST_RABBITMQ_SERVER")
    if named is not None:
        return named or None
    places = [*_PLACES, shutil.which("rabbitmq-server")]
    return next((place for place in places if place is not None and os.access(place, os.X_OK)), None)


def speaks_amqp(host: str, port: int) -> bool:
    """Whether a broker answers the AMQP 0-9-1 greeting: a listening port alone is too early."""
    try:
        with socket.create_connection((host, port), timeout=1) as connection:
            connection.settimeout(5)
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"
    except OSError:
        return False
