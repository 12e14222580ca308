"""Requests when things break: the connection, the worker, a second group, a full fleet."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from engine.brokers.rabbitmq import calls
from engine.errors import BrokerUnavailable, PluginError, RequestLost
from engine.model.commands import command_handler, query_handler
from engine.model.request import Command, Query
from engine.runtime.application import Engine
from engine.testing.proxy import Proxy
from tests.runtime.asking import ALL, Echo, Sleep, Withdraw
from tests.support.inprocess import PATIENCE, own_settings, until, working
from tests.support.workers import Fleet

PLUGIN = """
import os
from pathlib import Path
from engine import Command, Context, Query, command_handler, query_handler

class Work(Command[int], type="test.work"):
    number: int

class Look(Query[int], type="test.look"):
    number: int

async def begin(kind: str) -> int:
    begun = Path(f"{kind}-begun")
    first = not begun.exists()
    begun.touch()
    if first:
        while True:   # until this process is killed
            import asyncio
            await asyncio.sleep(60)
    return os.getpid()

@command_handler(Work)
async def work(command: Work) -> int:
    return await begin("work")

@query_handler(Look)
async def look(query: Look) -> int:
    return await begin("look")
"""


class Work(Command[int], type="test.work"):
    number: int


class Look(Query[int], type="test.look"):
    number: int


async def test_requests_fail_at_once_when_the_connection_goes(
    amqp_url: str, tmp_path: Path, app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "LONGEST_RETRY", 0.2)
    parts = urlsplit(amqp_url)
    settings = own_settings(tmp_path, app, amqp_url)
    async with Proxy(parts.hostname or "", parts.port or 5672) as proxy, working(settings, *ALL):
        url = amqp_url.replace(f":{parts.port}", f":{proxy.port}")
        async with Engine(own_settings(tmp_path, app, url)) as engine:
            assert await engine.request(Echo(number=1), timeout=PATIENCE) == 1
            asking = [asyncio.create_task(engine.request(Sleep(seconds=0.5), timeout=60)) for _ in range(20)]
            assert engine._requests is not None
            while len(engine._requests._waiting) < 20 or engine._requests._sending:
                await asyncio.sleep(0.01)
            begun = time.monotonic()
            proxy.close_all()
            found = await asyncio.gather(*asking, return_exceptions=True)
            assert {type(each) for each in found} == {RequestLost}
            assert isinstance(found[0], BrokerUnavailable)
            assert "may have been carried out" in found[0].hint
            assert time.monotonic() - begun < 10  # not their time-out
            # The next one has a way of its own; replies to the lost ones harm nobody.
            numbers = await asyncio.gather(*(engine.request(Echo(number=n), timeout=PATIENCE) for n in range(50)))
            assert numbers == list(range(50))


async def test_another_worker_answers_when_one_is_killed(fleet: Fleet) -> None:
    """Whoever asked gets its reply all the same: command and query are delivered again."""
    await fleet.make_effects()
    plugin = fleet.plugin(PLUGIN)
    first = await fleet.start(plugin)
    async with Engine(fleet.settings()) as engine:
        work = asyncio.create_task(engine.request(Work(number=1), timeout=50))
        look = asyncio.create_task(engine.request(Look(number=1), timeout=50))
        begun = [fleet.folder / "work-begun", fleet.folder / "look-begun"]
        await fleet.until(lambda: all(path.exists() for path in begun), "both to be begun")
        second = await fleet.start(plugin)
        await first.kill()
        assert await asyncio.gather(work, look) == [second.process.pid, second.process.pid]
    assert fleet.query("SELECT state FROM warren_records") == [("done",)]


async def test_a_second_group_on_a_command_is_refused(tmp_path: Path, app: str) -> None:
    settings = own_settings(tmp_path, app)

    async def other(command: Withdraw) -> None: ...

    async def asked(query: Echo) -> int:
        return 0

    withdraw = command_handler(Withdraw, queue=f"{app}.other")(other)
    echo = query_handler(Echo, queue=f"{app}.asked")(asked)
    with pytest.raises(PluginError, match=r"Two handlers take the command account\.withdraw: withdraw at"):
        async with working(settings, *ALL, withdraw):
            pass
    async with working(settings, *ALL) as worker:
        for second, taken in ((withdraw, "command account.withdraw"), (echo, "query test.echo")):
            with pytest.raises(PluginError, match=f"The {taken} has a handler already: {taken.split('.')[1]} of {app}"):
                async with working(settings, second):
                    pass
        assert (await worker.broker.depths([f"{app}.other"]))[f"{app}.other"] is None  # it was not even declared
        async with working(settings, *ALL):  # the same group is welcome
            pass
    # With the first one gone, the other takes over, and commands go to its queue.
    async with working(settings, withdraw) as worker, Engine(settings) as engine:
        sent = await engine.send(Withdraw(account="a", amount=1))

        async def handled() -> bool:
            return worker.consumers[0].stats.handled == 1

        await until(handled, sent.id)


async def test_a_handler_sends_to_whoever_takes_the_command(tmp_path: Path, app: str) -> None:
    from engine import Context, Event, handler
    from tests.runtime.asking import Break, Withdrawn

    taken: list[int] = []

    async def pass_on(event: Event[Withdrawn], ctx: Context) -> None:
        ctx.send(Break(times=7))

    async def take(command: Break) -> None:
        taken.append(command.times)

    settings = own_settings(tmp_path, app)
    sender, taker = handler(Withdrawn)(pass_on), command_handler(Break)(take)
    async with Engine(settings) as engine, working(settings, sender), working(settings, taker):
        await engine.publish(Withdrawn(account="a"))

        async def came() -> bool:
            return taken == [7]

        await until(came, "the command")
