"""The text of what is written."""

from __future__ import annotations

import json
from typing import Any

from engine.cli.scaffold.events import Subject
from engine.runtime.plugins import FOLDER

_EVENT = '''\
class {name}(EventData, type="{type}", aggregate="{aggregate}", key="{aggregate}_id"):
    """What is known of it when it happens; other programs read these names."""

    {aggregate}_id: str
'''

_HANDLER = '''\
"""What is done when {type} happens."""

from __future__ import annotations

from engine import Context, Event{imported}, handler
{event}

@handler({name})
async def {function}(event: Event[{name}], ctx: Context) -> None:
    """Runs once for each event. What it raises is tried again, and becomes a dead letter in the end."""
    ctx.log.info("%s was handled", event.type)
'''

_TEST = '''\
"""{function}, run by a worker within the test."""

from __future__ import annotations

import asyncio
from pathlib import Path

from engine.testing.harness import Harness, load

{module} = load(Path(__file__).parents[1] / "{folder}" / "{function}.py")


def test_{function}_handles_its_event() -> None:
    async def story() -> None:
        async with Harness({module}.{function}) as harness:
            await harness.publish({event})
            await harness.settle()
            harness.handled({module}.{function}, count=1)
            harness.dead_letters(count=0)

    asyncio.run(story())
'''


def event_class(subject: Subject) -> str:
    """The class of an event, with one field: what it is about."""
    return _EVENT.format(name=subject.name, type=subject.type, aggregate=subject.aggregate)


def handler_file(function: str, subject: Subject) -> str:
    """A handler, with its event class unless that has a home of its own."""
    if subject.home is None:
        imported, event = ", EventData", f"\n\n{event_class(subject)}"
    else:
        imported, event = "", f"\nfrom {subject.home} import {subject.name}\n"
        if not subject.home.startswith("."):
            event = event.removeprefix("\n")
    return _HANDLER.format(function=function, name=subject.name, type=subject.type, imported=imported, event=event)


def test_file(function: str, subject: Subject, *, alone: bool) -> str:
    """Its test. `alone`: the class is new, and its field known."""
    if alone:
        arguments = ", ".join(f'{name}="{value}"' for name, value in subject.payload.items())
        event = f"handlers.{subject.name}({arguments})"
    else:
        event = f"{_literal(subject.type)}, {_literal(subject.payload)}"
    return _TEST.format(function=function, folder=FOLDER, module="handlers", event=event)


def _literal(value: Any) -> str:
    """A value of JSON as Python writes it, with the quotes of a formatter."""
    match value:
        case str():
            return json.dumps(value, ensure_ascii=False)
        case dict():
            return "{" + ", ".join(f"{_literal(key)}: {_literal(item)}" for key, item in value.items()) + "}"
        case list():
            return f"[{', '.join(map(_literal, value))}]"
        case _:
            return repr(value)
