"""The checks of the doctor, each on its own."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from engine.brokers.base import Broker, Depth
from engine.errors import PluginError, UsageError
from engine.model.circuit import Cause, Circuit, Switch
from engine.model.event import Event
from engine.model.handler import HandlerSpec
from engine.model.topology import Queue, Topology, dlq_name
from engine.operations.doctor import broker as brokers
from engine.operations.doctor import database as databases
from engine.operations.doctor import fleet
from engine.operations.doctor.filesystem import NETWORK, find, kind_of
from engine.operations.doctor.finding import Finding, Level
from engine.operations.doctor.project import check_folder, check_plugins, check_timeouts
from engine.operations.doctor.version import check_version
from engine.operations.migrating import part
from engine.operations.operator import Operator
from engine.operations.orphans import owned_by
from engine.operations.pausing import Shut
from engine.operations.topology import wanted
from engine.settings import Kept
from engine.storage.database import Database
from engine.storage.pauses import OpenCircuit, Pause
from engine.storage.workers import JOURNAL, DeclaredQueue, Worker

MOUNTS = """\
/dev/sda1 / ext4 rw,relatime 0 0
server:/home /home nfs4 rw 0 0
tmpfs /home/anna/tmp tmpfs rw 0 0
server:/x /mnt/my\\040disk cifs rw 0 0
"""
MACOS = """\
/dev/disk1s1 on / (apfs, local, journaled)
//anna@server/share on /Volumes/share (smbfs, nodev, nosuid)
"""


async def handle(event: object) -> None:
    """A handler."""


def spec(name: str = "charge", **changes: object) -> HandlerSpec:
    return HandlerSpec(handle, name, "orders", ("order.placed",), **changes)  # type: ignore[arg-type]


def levels(findings: list[Finding]) -> list[Level]:
    return [finding.level for finding in findings]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib", "ext4"),
        ("/home/bert/shop", "nfs4"),
        ("/home/anna/tmp/x", "tmpfs"),
        ("/mnt/my disk/x", "cifs"),
        ("/homeless", "ext4"),
    ],
)
def test_the_longest_mount_point_decides(path: str, kind: str) -> None:
    assert find(MOUNTS, Path(path), macos=False) == kind


def test_mounts_of_macos_are_read() -> None:
    assert find(MACOS, Path("/Volumes/share/x"), macos=True) == "smbfs"
    assert find(MACOS, Path("/Users/anna"), macos=True) == "apfs"


def test_the_file_system_of_this_machine_is_local(tmp_path: Path) -> None:
    kind = kind_of(tmp_path)
    assert kind
    assert kind not in NETWORK


def test_a_folder_that_cannot_be_written_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert levels(check_folder(tmp_path / ".warren")) == [Level.OK]
    monkeypatch.setattr("os.access", lambda *_: False)
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert levels(check_folder(tmp_path / ".warren")) == [Level.FAIL]


def test_plugins_that_do_not_import_fail_with_their_own_words() -> None:
    def broken() -> list[HandlerSpec]:
        raise PluginError("handlers/orders.py:3: no module named shoop", hint="Is it installed?")

    specs, findings = check_plugins(broken, "shop")
    assert (specs, levels(findings)) == ([], [Level.FAIL])
    assert findings[0].what == "handlers/orders.py:3: no module named shoop"
    assert levels(check_plugins(list, "shop")[1]) == [Level.WARN]


def test_a_handler_that_no_worker_can_call_fails() -> None:
    def crooked(size: int) -> None: ...

    def straight(event: Event[Any]) -> None: ...

    right = HandlerSpec(straight, "straight", "orders", ("order.placed",))
    wrong = HandlerSpec(crooked, "crooked", "orders", ("order.placed",))
    found, findings = check_plugins(lambda: [right, wrong], "shop")
    assert (len(found), levels(findings)) == (2, [Level.FAIL])
    assert "size" in findings[0].what
    assert levels(check_plugins(lambda: [right], "shop")[1]) == [Level.OK]


def test_a_time_out_past_the_brokers_is_named() -> None:
    assert check_timeouts([spec(timeout=60.0)]) == []
    [finding] = check_timeouts([spec(timeout=60.0), spec("slow", timeout=7200.0)])
    assert "slow (2h)" in finding.what


@pytest.mark.parametrize(
    ("version", "level"),
    [((3, 40, 1), Level.WARN), ((3, 51, 2), Level.WARN), ((3, 51, 3), Level.OK), ((3, 52, 0), Level.OK)],
)
def test_sqlite_with_the_wal_bug_is_named(version: tuple[int, ...], level: Level) -> None:
    assert databases.check_sqlite_version(version).level is level


def test_clocks_and_backlogs() -> None:
    assert databases.check_skew(0.5).level is Level.OK
    assert databases.check_skew(-30.0).level is Level.WARN
    assert databases.check_backlog(10, 95.0, 100.0) == []
    assert levels(databases.check_backlog(50_000, 95.0, 100.0)) == [Level.WARN]
    [finding] = databases.check_backlog(1, 100.0, 400.0)
    assert "1 messages wait to be published, the oldest for 5m" in finding.what
    assert databases.check_turn(0.1) == []
    assert "waited 3.0s" in databases.check_turn(3.0)[0].what
    assert databases.check_held([]) == []
    assert "the longest for 1m30s (shop)" in databases.check_held([("shop", 20.0), ("shop", 90.0)])[0].what


async def test_a_healthy_database_passes(database: Database) -> None:
    findings = await databases.check_database(database)
    assert findings[0].level is Level.OK
    assert Level.FAIL not in levels(findings)


async def test_a_round_trip_uses_each_permission_and_leaves_nothing(broker: Broker) -> None:
    assert (await brokers.check_round_trip(broker, "shop", operator=Operator("anna"))).level is Level.OK


async def test_a_drifted_topology_fails_and_a_missing_one_warns(broker: Broker) -> None:
    specs = [spec()]
    queue = specs[0].queue_for("shop")
    assert levels(await brokers.check_topology(broker, "shop", specs, "events")) == [Level.WARN]
    await broker.declare(Topology(queues=(Queue(dlq_name(queue), {"x-queue-type": "quorum", "x-max-length": 5}),)))
    findings = await brokers.check_topology(broker, "shop", specs, "events")
    assert findings[0].level is Level.FAIL
    assert dlq_name(queue) in findings[0].what


async def test_the_journals_stream_is_told_and_one_that_nobody_wants_is_named(broker: Broker) -> None:
    kept = Kept(30, 10**9)
    assert await brokers.check_stream(broker, "shop", ["order.*"], kept) == []
    await broker.declare(wanted("shop", [spec()], "events", ["order.*"], kept))
    [finding] = await brokers.check_stream(broker, "shop", ["order.*"], kept)
    assert (finding.level, finding.what) == (Level.OK, "shop.journal.stream has the offsets 0 to 0")
    [finding] = await brokers.check_stream(broker, "shop", ["order.*"], None)
    assert finding.level is Level.WARN
    assert "warren topology delete shop.journal.stream" in finding.hint
    # Other limits: what can be done is no migration, which would lose what is in it.
    [finding] = await brokers.check_topology(broker, "shop", [spec()], "events", ["order.*"], Kept(60, 10**9))
    assert finding.level is Level.FAIL
    assert "max-age" in finding.hint
    assert "migrate" not in finding.hint
    with pytest.raises(UsageError, match="cannot be moved"):
        part(wanted("shop", [spec()], "events", ["order.*"], kept), "shop.journal.stream")


def test_the_journals_queue_is_an_orphan_once_a_stream_takes_its_place() -> None:
    declared = [DeclaredQueue("shop.journal", "shop", JOURNAL, ("order.*",), 0, 0)]
    depths: dict[str, Depth | None] = {"shop.journal": Depth(7, 0)}
    owned = owned_by("shop", [spec()], [], declared, ["order.*"])
    assert levels(fleet.check_orphans(declared, owned, depths)) == [Level.OK]
    owned = owned_by("shop", [spec()], [], declared, ["order.*"], Kept(30, 10**9))
    [finding] = fleet.check_orphans(declared, owned, depths)
    assert "`journal_to` is stream" in finding.hint


def test_an_orphaned_queue_is_named_with_the_way_out() -> None:
    declared = [
        DeclaredQueue(name, "shop", "charge", ("order.placed",), 0, 0)
        for name in ("shop.orders.charge", "shop.orders.old")
    ]
    owned = owned_by("shop", [spec()], [], declared)
    depths: dict[str, Depth | None] = {"shop.orders.charge": Depth(0, 0), "shop.orders.old": Depth(7, 0)}
    [finding] = fleet.check_orphans(declared, owned, depths)
    assert finding.level is Level.WARN
    assert "shop.orders.old has 7 messages" in finding.what
    assert 'queue="shop.orders.old"' in finding.hint
    assert "warren topology move shop.orders.old shop.orders.charge" in finding.hint
    # Another program of the application, known by its living worker, owns it.
    there = Worker("w", "shop", "1", "running", 0.0, 0.0, {"handlers": {"shop.orders.old": "old"}})
    assert levels(fleet.check_orphans(declared, owned_by("shop", [spec()], [there], declared), depths)) == [Level.OK]
    depths["shop.orders.old"] = None
    assert levels(fleet.check_orphans(declared, owned, depths)) == [Level.OK]


def test_more_consumers_than_live_workers_is_suspicious() -> None:
    depths: dict[str, Depth | None] = {"a": Depth(0, 2), "b": Depth(0, 1), "c": None}
    alive = [
        Worker(name, "shop", "1", "running", 0.0, 0.0, {"handlers": dict.fromkeys(queues, "charge")})
        for name, queues in (("w-1", "ab"), ("w-2", "a"))
    ]
    assert fleet.check_consumers(depths, alive) == []
    [finding] = fleet.check_consumers(depths, alive[:1])
    assert "a (2)" in finding.what
    assert "b" not in finding.what.partition("for: ")[2]


@pytest.mark.parametrize(
    ("text", "level", "words"),
    [
        ("3.9.27", Level.FAIL, ["too old"]),
        ("3.10.8", Level.WARN, ["past its support", "stream_queue"]),
        ("3.13.7", Level.WARN, ["past its support"]),
        ("4.0.5", Level.OK, []),
        ("4.3.0", Level.OK, []),
        ("4.9.1", Level.WARN, ["newer"]),
        (None, Level.OK, []),
    ],
)
def test_the_traps_of_each_version_are_named(text: str | None, level: Level, words: list[str]) -> None:
    findings = check_version(text, max_body=1024)
    worst = next(each for each in (Level.FAIL, Level.WARN, Level.OK) if each in levels(findings))
    assert worst is level
    said = " ".join(finding.what for finding in findings)
    assert all(word in said for word in words)


def test_large_messages_and_long_time_outs_meet_limits_of_4() -> None:
    large = 64 * 1024 * 1024
    assert levels(check_version("3.13.7", max_body=large))[1:] == [Level.WARN]
    assert "16 MiB" in check_version("4.0.5", max_body=large)[1].what
    assert "30 minutes" in check_version("4.3.0", max_body=1, specs=[spec(timeout=3600.0)])[1].what


def test_messages_that_wait_for_a_lane_past_the_brokers_time_out_are_named() -> None:
    assert check_timeouts([spec(timeout=600.0, concurrency=16, prefetch=32)]) == []
    [finding] = check_timeouts([spec("slow", timeout=600.0, concurrency=1, prefetch=10)])
    assert "slow (1h40m)" in finding.what


def test_who_held_the_writer_longest_is_named() -> None:
    handlers = {"shop.a": "charge", "shop.b": "notify"}
    alive = [
        Worker("w-1", "shop", "1", "running", 0.0, 0.0, {"handlers": handlers, "holds": {"shop.a": [2, 1.5]}}),
        Worker(
            "w-2",
            "shop",
            "1",
            "running",
            0.0,
            0.0,
            {"handlers": handlers, "holds": {"shop.a": [1, 3.0], "shop.b": [1, 75.0]}},
        ),
        Worker("w-3", "shop", "1", "running", 0.0, 0.0, {"handlers": handlers}),
    ]
    assert fleet.check_holds(alive[2:]) == []
    [finding] = fleet.check_holds(alive)
    assert finding.level is Level.WARN
    first, second = finding.what.partition("held for long by ")[2].split("), ")
    assert first == "notify on shop.b (1m15s, 1 times over a second"
    assert second == "charge on shop.a (3.0s, 3 times over a second)"


def test_due_messages_that_nobody_forwards() -> None:
    assert fleet.check_due(Depth(0, 0), 0) == []
    assert fleet.check_due(Depth(50, 2), 2) == []
    assert "start one" in fleet.check_due(Depth(5, 0), 0)[0].hint
    assert levels(fleet.check_due(Depth(5, 0), 2)) == [Level.WARN]


def test_pauses_circuits_and_cut_off_migrations_are_named() -> None:
    opened = OpenCircuit("shop.b", "w", Circuit(Switch.OPEN, Cause("f", "ConnectionError"), 20, 50.0, 1, 90.0))
    shut = Shut({"shop.a": Pause("shop.a", 40.0, "anna@web", "inventory")}, {"shop.b": opened})
    paused, circuit = fleet.check_shut(shut, 100.0)
    assert paused.what == "shop.a was paused 1m ago by anna@web: inventory"
    assert "20 attempts in a row failed with ConnectionError" in circuit.what
    depths: dict[str, Depth | None] = {"shop.a": Depth(1, 0), "shop.a.migrating": Depth(3, 0), "shop.a.bridge": None}
    [finding] = fleet.check_cut_off(["shop.a", "shop.b"], depths)
    assert "3 messages wait" in finding.what
    assert "warren topology migrate shop.a" in finding.hint
