"""`warren worker`: run handlers."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.grammar import examples

NAME = "worker"
EXAMPLES = examples(
    "warren worker",
    "warren worker shop.handlers ./extra.py",
    "warren worker --queue shop.orders.reserve_inventory --concurrency 4",
    "warren worker --processes 4",
    "warren worker --metrics-port 9464",
    "warren worker --broker amqp://guest:guest@localhost/ --database postgresql://localhost/shop",
)


def verb(
    context: typer.Context,
    plugins: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PLUGIN",
            show_default=False,
            help="Modules, files or folders with handlers; without any, those of the project.",
        ),
    ] = None,
    queues: Annotated[
        list[str] | None, typer.Option("--queue", metavar="QUEUE", help="Consume only this queue; may be repeated.")
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option("--concurrency", min=1, max=10_000, metavar="N", help="Messages at a time of each handler."),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            "--metrics-port",
            min=1,
            max=65535,
            metavar="PORT",
            help="Serve metrics to Prometheus; each process has the next port.",
        ),
    ] = None,
    metrics_host: Annotated[
        str, typer.Option("--metrics-host", metavar="HOST", help="Where metrics are served.")
    ] = "127.0.0.1",
    metrics_ports: Annotated[int, typer.Option("--metrics-ports", hidden=True, min=1)] = 1,
    processes: Annotated[
        int | None,
        typer.Option(
            "--processes", min=1, max=256, metavar="N", help="Work in N processes; one that crashes is started again."
        ),
    ] = None,
) -> None:
    """Run handlers until SIGTERM or ctrl+c.

    Then it finishes what is in hand. Without a PLUGIN the handlers are those of the project: the plugins
    in [tool.warren], the files in its folder handlers/, and installed packages (entry points
    `warren.handlers`).
    """
    import asyncio

    from engine.cli.call import Call
    from engine.cli.metering import Metrics

    call = Call(context)
    call.operator.allow("run a worker")
    metrics = None if metrics_port is None else Metrics(metrics_port, metrics_host, processes or metrics_ports)
    if processes is not None:
        from engine.cli.processes import work_in_processes

        raise typer.Exit(
            asyncio.run(work_in_processes(call, plugins or (), queues or (), concurrency, processes, metrics))
        )
    from engine.cli.working import work

    asyncio.run(work(call, plugins or (), queues or (), concurrency, metrics))
