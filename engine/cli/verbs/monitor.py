"""`warren monitor`: the dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.grammar import examples

if TYPE_CHECKING:
    from engine.cli.call import Call

NAME = "monitor"
EXAMPLES = examples(
    "warren monitor",
    "warren monitor --read-only",
    "warren monitor --broker amqp://guest:guest@rabbit-1/ --database postgresql://warren@db-1/warren",
    "warren monitor --web",
)

#: Where the dashboard is served to a browser.
HOST, PORT = "127.0.0.1", 8137


def verb(
    context: typer.Context,
    web: Annotated[
        bool, typer.Option("--web", help="Serve it to a browser, read-only; there is no login. Needs warren[web].")
    ] = False,
    writable: Annotated[bool, typer.Option("--writable", help="With --web: let the browser change things.")] = False,
    host: Annotated[str, typer.Option("--host", metavar="NAME", help="With --web: the address to listen on.")] = HOST,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="With --web: the port.")] = PORT,
    url: Annotated[
        str, typer.Option("--url", metavar="URL", help="With --web behind a proxy: the address that browsers use.")
    ] = "",
) -> None:
    """See everything, and put it right, from the terminal.

    Failures, queues, workers, traces, operations. `?` shows the keys, `q` quits. What is in the database is shown
    even while the broker is down.
    """
    import gc

    # Nothing is thrown away before the first picture is drawn, so collecting would only delay it; the monitor enables it.
    gc.disable()
    from importlib import import_module

    from engine.cli.call import Call

    # What is logged would be written over the dashboard, and what logs takes long to import.
    call = Call(context, logs=web)
    if web:
        _serve(call, host=host, port=port, writable=writable, url=url)
        return
    raise typer.Exit(import_module("monitor.app").run(call.settings))


def _serve(call: Call, *, host: str, port: int, writable: bool, url: str) -> None:
    """Serve it to a browser; raises `ConfigurationError` for settings with which none could be shown."""
    import gc
    from importlib import import_module

    from engine.errors import UsageError

    gc.enable()
    settings = call.settings
    if writable and settings.read_only:
        raise UsageError("--writable contradicts the setting read_only", hint="Leave one of them away.")
    # In the environment and not on the command line, where everybody on the machine could read the passwords.
    environ = {"WARREN_BROKER": settings.broker_url, "WARREN_DATABASE": settings.database_url}
    import_module("monitor.web").serve(
        environ=environ, host=host, port=port, writable=writable, url=url, say=call.output.line
    )
