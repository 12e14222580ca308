"""`warren new handler`: a handler and its test, written so that both run at once."""

from __future__ import annotations

import importlib.util
import keyword
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.scaffold import files
from engine.cli.scaffold.events import Known, Subject, find_event, new_event_class
from engine.errors import UsageError
from engine.model.handler import queue_name
from engine.model.names import check_type
from engine.runtime.plugins import FOLDER

if TYPE_CHECKING:
    from engine.cli.call import Call

#: The project's own files of events, to which a new one is added.
EVENTS = "events.py"


def new_handler(call: Call, name: str, event_type: str | None) -> None:
    """Write the files and say what was written. Raises `UsageError`, having written nothing."""
    _check_name(name)
    kind = event_type or f"{name}.requested"
    check_type(kind, "--event")
    root = call.settings.project.root
    handler, test = root / FOLDER / f"{name}.py", root / "tests" / f"test_{name}.py"
    for path in (handler, test):
        if path.exists():
            raise UsageError(
                f"{path.relative_to(root)} is there already, nothing was written", hint="Choose another name."
            )
    events = root / FOLDER / EVENTS
    known = find_event(call.specs_if_any(), events, kind)
    subject = known or new_event_class(kind)
    appended = known is None and events.is_file() and _append(events, subject)
    if appended:
        subject = subject._replace(home=".events")
    written = {
        handler: files.handler_file(name, subject),
        test: files.test_file(name, subject, alone=not isinstance(known, Known)),
    }
    for path, text in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    _say(call, name, subject, [path.relative_to(root) for path in written], events if appended else None)


def _check_name(name: str) -> None:
    hint = "A handler is named as a Python function is: send_welcome."
    if not (name.isidentifier() and name.isascii()) or keyword.iskeyword(name):
        raise UsageError(f"{name!r} cannot be the name of a function", hint=hint)
    if name.startswith(("_", "test_")) or name in ("conftest", EVENTS.removesuffix(".py"), FOLDER):
        raise UsageError(f"a file named {name}.py would not be loaded as a handler", hint=hint)


def _append(events: Path, subject: Subject) -> bool:
    """Add the class to the project's events, if that file is one that can take it."""
    text = events.read_text(encoding="utf-8")
    if "EventData" not in text or f"class {subject.name}(" in text:
        return False
    with events.open("a", encoding="utf-8") as file:
        file.write(("" if text.endswith("\n") else "\n") + "\n\n" + files.event_class(subject))
    return True


def _say(call: Call, name: str, subject: Subject, written: list[Path], appended: Path | None) -> None:
    out, app = call.output, call.settings.app
    test = f"python -m pytest {written[1]}"
    steps = [test, "warren worker"]
    if importlib.util.find_spec("pytest") is None:
        steps.insert(0, "pip install pytest")
    queue = queue_name(app, name, name)
    out.result(
        {
            "written": [str(path) for path in written],
            "appended": appended and f"{FOLDER}/{EVENTS}",
            "event_type": subject.type,
            "queue": queue,
            "next": steps,
        }
    )
    if appended:
        out.line(f"Added {subject.name} to {FOLDER}/{EVENTS}.")
    out.line(f"Wrote {written[0]}: {name} takes {subject.type} from the queue {queue}.")
    out.line(f"Wrote {written[1]}.")
    if subject.doubt:
        out.line(f"The payload in the test is a guess, and {subject.name} refuses it: {subject.doubt}")
    out.line()
    for step, what in zip(steps, ["Next:", *[""] * len(steps)], strict=False):
        out.line(f"{what:<6}{step}")
