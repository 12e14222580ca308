"""All keys of the monitor, as data: what the bindings, the help and the palette are made from.

An action's id is `group.name`; `[tool.warren.monitor.keys]` gives it other keys. None is a
priority binding: what a focused input does with a key comes first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from textual.binding import Binding, BindingType

from monitor.screens import PLACES


class Action(NamedTuple):
    """Something a key does: the method `action_<name>` of the widget or screen whose group it is in.

    `keys` are Textual's names, separated by commas. `hint`: shown in the bottom line, a text in shorter words. `changes`:
    refused and hidden when the monitor is read-only.
    """

    name: str
    keys: str
    label: str
    hint: bool | str = False
    changes: bool = False
    #: The action in Textual's words, where it is not simply the name.
    action: str = ""


#: What a group is called in the help.
TITLES: dict[str, str] = {
    "app": "Everywhere",
    "places": "Screens",
    "page": "This screen",
    "table": "In a table",
    "filter": "While filtering",
    "dialog": "In a dialog",
    "copied": "Copied text",
    "help": "Help",
    "overview": "Overview",
    "queues": "Queues",
    "workers": "Workers",
    "reading": "While reading",
    "failures": "Failures",
    "message": "A failed message",
    "editor": "In the editor",
    "difference": "What an edit changed",
    "plan": "The plan of a redrive",
    "operation": "Operations",
    "traces": "Traces",
    "node": "A part of a trace",
    "events": "Events",
    "event": "An event",
    "streams": "Streams",
    "projections": "Projections",
    "rebuild": "Rebuilding a projection",
    "demo": "The demo",
}

GROUPS: dict[str, tuple[Action, ...]] = {
    "app": (
        Action("help", "question_mark,f1", "Help", hint=True),
        Action("palette", "colon,ctrl+p", "Commands", hint=True, action="command_palette"),
        Action("refresh", "R", "Refresh now"),
        Action("quit", "q,ctrl+q", "Quit", hint=True),
        Action("interrupt", "ctrl+c", "Copy what is selected, else say how to quit"),
    ),
    "places": tuple(
        Action(place.name, str(place.number % 10), place.title, action=f"go({place.name!r})") for place in PLACES
    ),
    "page": (
        Action("back", "escape", "Back"),
        Action("hold", "p", "Pause or resume the refreshing"),
        Action("focus_next", "tab", "Next part", action="app.focus_next"),
        Action("focus_previous", "shift+tab", "Part before", action="app.focus_previous"),
    ),
    "table": (
        Action("open", "enter", "Open"),
        Action("down", "j,down", "Down"),
        Action("up", "k,up", "Up"),
        Action("first", "g,home", "To the first"),
        Action("last", "G,end", "To the last"),
        Action("half_down", "ctrl+d", "Half a page down"),
        Action("half_up", "ctrl+u", "Half a page up"),
        Action("page_down", "pagedown,ctrl+f", "A page down"),
        Action("page_up", "pageup,ctrl+b", "A page up"),
        Action("filter", "slash", "Filter", hint=True),
        Action("next_match", "n", "Next that matches the filter"),
        Action("previous_match", "N", "The one before that matches"),
        Action("sort", "s", "Sort by the next column", hint="Sort"),
        Action("reverse", "S", "Turn the order round"),
        Action("mark", "space", "Mark"),
        Action("range", "V", "Mark a range"),
        Action("mark_all", "asterisk", "Mark all that match"),
        Action("copy", "y", "Copy the row"),
    ),
    "filter": (
        Action("clear", "escape", "Clear the filter"),
        Action("done", "enter,down", "To the rows"),
    ),
    "dialog": (
        Action("cancel", "escape", "Cancel"),
        Action("next", "tab,right,down", "Next"),
        Action("previous", "shift+tab,left,up", "Before"),
    ),
    "copied": (Action("close", "escape,q,enter,y", "Close"),),
    "help": (Action("close", "escape,q,question_mark,f1", "Close"),),
    "overview": (Action("follow", "enter", "Do what is suggested", hint=True),),
    "queues": (Action("pause", "p", "Pause or resume the queue…", hint="Pause…", changes=True),),
    "workers": (Action("show_all", "a", "Also those that ended", hint="All"),),
    "reading": (
        Action("down", "j,down", "Down"),
        Action("up", "k,up", "Up"),
        Action("first", "g,home", "To the start"),
        Action("last", "G,end", "To the end"),
        Action("half_down", "ctrl+d", "Half a page down"),
        Action("half_up", "ctrl+u", "Half a page up"),
        Action("page_down", "pagedown,ctrl+f,space", "A page down"),
        Action("page_up", "pageup,ctrl+b", "A page up"),
    ),
    "failures": (
        Action("redrive", "r", "Redrive…", hint=True, changes=True),
        Action("edit", "e", "Edit", hint=True, changes=True),
        Action("edit_outside", "E", "Edit in $EDITOR", changes=True),
        Action("difference", "D", "What was edited"),
        Action("archive", "a", "Archive", hint=True, changes=True),
        Action("undo", "u", "Bring back what was archived last…", changes=True),
        Action("delete", "X", "Delete from the archive…", changes=True),
        Action("export", "x", "Export…"),
        Action("trace", "t", "Trace", hint=True),
    ),
    "message": (
        Action("next", "n", "The next failure"),
        Action("previous", "N", "The failure before"),
        Action("copy", "y", "Copy the body"),
        Action("frames", "f", "Every frame, or your own code only"),
    ),
    "editor": (
        Action("save", "ctrl+s", "Save and redrive…", hint="Save…", changes=True),
        Action("difference", "ctrl+g", "Difference", hint=True),
        Action("revert", "ctrl+r", "Back to the original", hint="Original"),
        Action("outside", "ctrl+o", "In $EDITOR", hint=True),
    ),
    "difference": (Action("revert", "u", "Take the edit back…", hint=True, changes=True),),
    "plan": (
        Action("start", "ctrl+s", "Start", hint=True, changes=True),
        Action("again", "ctrl+a", "Also what succeeded", hint=True),
    ),
    "traces": (
        Action("find", "slash", "Trace an id…", hint="Find…", action="screen.find"),
        Action("filter", "f", "Filter", hint=True),
    ),
    "node": (Action("copy", "y", "Copy it"),),
    "events": (
        Action("trace", "t", "Trace", hint=True),
        Action("history", "h", "History of its stream", hint="Stream"),
        Action("replay", "r", "Replay to one handler…", hint="Replay…", changes=True),
        Action("projections", "P", "Projections", hint=True),
        Action("streams", "H", "All streams", hint="Streams"),
        Action("follow", "f", "Follow what comes", hint="Follow"),
    ),
    "event": (
        Action("next", "n", "The next event"),
        Action("previous", "N", "The event before"),
        Action("copy", "y", "Copy the body"),
    ),
    "streams": (Action("events", "e", "Its events in the log", hint="Events"),),
    "projections": (
        Action("pause", "p", "Pause or resume it…", hint="Pause…", changes=True),
        Action("rebuild", "b", "Rebuild it…", hint="Rebuild…"),
        Action("skip", "K", "Skip the event it stands at…", hint="Skip…", changes=True),
        Action("event", "e", "The event it stands at", hint="Event"),
    ),
    "rebuild": (
        Action("begin", "ctrl+s", "Begin the rebuild…", hint="Begin…", changes=True),
        Action("compare", "c", "Compare with the live tables", hint="Compare"),
        Action("swap", "w", "Swap them for the live tables…", hint="Swap…", changes=True),
        Action("skip", "K", "Skip the event the copy stands at…", hint="Skip…", changes=True),
        Action("cancel", "C", "Give the rebuild up…", hint="Give up…", changes=True),
    ),
    "demo": (Action("fix", "F", "Renew the certificate", hint=True),),
    "operation": (
        Action("steer", "P", "Pause it, or go on with it", hint="Pause, go on", changes=True),
        Action("cancel", "C", "Cancel it…", hint="Cancel…", changes=True),
    ),
}


def bindings(*groups: str) -> list[BindingType]:
    """The bindings of these groups, with the ids that a user remaps them by."""
    return [_binding(group, action) for group in groups for action in GROUPS[group]]


def _binding(group: str, action: Action) -> Binding:
    return Binding(
        action.keys,
        action.action or action.name,
        action.label,
        show=bool(action.hint),
        tooltip=action.hint if isinstance(action.hint, str) else "",
        priority=False,
        id=f"{group}.{action.name}",
    )


def every() -> Iterator[tuple[str, Action]]:
    """All actions with their ids."""
    for group, actions in GROUPS.items():
        for action in actions:
            yield f"{group}.{action.name}", action


def changing() -> frozenset[str]:
    """The names of those actions, by group and name, that a read-only monitor refuses."""
    return frozenset(name for name, action in every() if action.changes)
