"""What `warren topology` prints."""

from __future__ import annotations

from collections.abc import Sequence

from engine.cli.call import Call
from engine.cli.confirm import confirm
from engine.cli.output import Column
from engine.model.topology import Difference, Topology, is_stream
from engine.operations import orphans
from engine.operations.orphans import Orphan
from engine.operations.topology import advice, wanted, without_delays
from engine.operations.topology import apply as declare

DIFFERENCES = (Column("problem", "PROBLEM"), Column("kind", "KIND"), Column("name", "NAME"), Column("detail", "DETAIL"))


def show(call: Call, plugins: Sequence[str], *, every: bool) -> None:
    """The topology that the handlers ask for."""
    topology = _wanted(call, plugins)
    if not every:
        topology = without_delays(call.settings.app, topology)
    if call.output.as_json:
        call.output.result(_as_dict(topology))
        return
    out = call.output
    for exchange in topology.exchanges:
        out.line(f"exchange  {exchange.name} ({exchange.kind})")
    for queue in topology.queues:
        out.line(f"{'stream' if is_stream(queue) else 'queue':<9} {queue.name}")
        for binding in topology.bindings:
            if binding.queue == queue.name:
                out.line(f"            ◀ {binding.exchange}  {binding.pattern}")
        if every:
            out.line("            " + ", ".join(f"{name}={value}" for name, value in queue.arguments.items()))
    if not every:
        out.note("Each queue has a dead-letter queue, and delays have queues of their own: --all shows them.")


async def diff(call: Call, plugins: Sequence[str]) -> int:
    """Compare with the broker; the exit code."""
    settings, specs = call.settings, call.specs(plugins)
    topology = wanted(settings.app, specs, settings.exchange, settings.journal, settings.stream)
    async with call.database() as database, call.broker() as broker:
        differences = await broker.differences(topology)
        found = (
            await orphans.look(database, broker, settings.app, specs, settings.journal, settings.stream)
            if specs
            else []
        )
    _print(call, differences, found)
    return 1 if differences or found else 0


async def apply(call: Call, plugins: Sequence[str], *, yes: bool) -> None:
    """Declare what is missing."""
    topology = _wanted(call, plugins)
    async with call.broker() as broker:
        differences = await broker.differences(topology)
        missing = [difference for difference in differences if difference.problem == "missing"]
        if missing and not yes:
            call.output.table([difference._asdict() for difference in differences], DIFFERENCES)
            confirm(call.output, f"Declare {len(missing)} things on the broker?", yes=yes)
        await declare(broker, topology, operator=call.operator)
    call.output.result({"declared": [difference._asdict() for difference in missing]})
    call.output.line(f"Declared {len(missing)} things." if missing else "Nothing was missing.")


def _wanted(call: Call, plugins: Sequence[str]) -> Topology:
    settings = call.settings
    return wanted(settings.app, call.specs(plugins), settings.exchange, settings.journal, settings.stream)


def _print(call: Call, differences: Sequence[Difference], found: Sequence[Orphan]) -> None:
    rows = [{**difference._asdict(), "advice": advice(difference)} for difference in differences]
    call.output.items(
        rows,
        DIFFERENCES,
        "The broker has all that the handlers ask for.",
        orphans=[orphans.as_dict(orphan) for orphan in found],
    )
    said = dict.fromkeys(str(row["advice"]) for row in rows)
    for text in said:
        call.output.line()
        call.output.line(text)
    for orphan in found:
        call.output.line()
        call.output.line(f"{orphan.queue} has {orphan.ready:,} messages and no handler. {orphan.advice}")


def _as_dict(topology: Topology) -> dict[str, object]:
    return {
        "exchanges": [
            {"name": each.name, "kind": each.kind, "arguments": dict(each.arguments)} for each in topology.exchanges
        ],
        "queues": [{"name": each.name, "arguments": dict(each.arguments)} for each in topology.queues],
        "bindings": [
            {"exchange": each.exchange, "queue": each.queue, "pattern": each.pattern} for each in topology.bindings
        ],
    }
