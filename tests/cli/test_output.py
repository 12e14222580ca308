"""What is printed: tables for people, one object for programs, nothing raw from strangers."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import sys
from typing import Any

import pytest
import typer

from engine.cli.confirm import confirm
from engine.cli.output import Column, Output, fitted, number
from engine.cli.progress import progress
from engine.errors import UsageError

HOSTILE = "[/x][bold]\x1b]52;c;eA==\x07\u202e"
COLUMNS = (Column("name", "NAME"), number("size", "SIZE"))
ROWS: list[dict[str, Any]] = [{"name": HOSTILE, "size": 1200}, {"name": "b", "size": None}]


def test_a_table_is_aligned_and_printable(capsys: pytest.CaptureFixture[str]) -> None:
    Output(False).items(ROWS, COLUMNS, "none")
    assert capsys.readouterr().out.splitlines() == [
        "NAME                           SIZE",
        "[/x][bold]␛]52;c;eA==␇\\u202e  1,200",
        "b                                 -",
    ]


def test_an_empty_list_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    Output(False).items([], COLUMNS, "There are none.")
    assert capsys.readouterr().out == "There are none.\n"


def test_json_is_one_object_and_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(True)
    out.items(ROWS, COLUMNS, "none", total=2)
    out.line("for people only")
    out.note("for people only")
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"items": ROWS, "total": 2}
    assert captured.out.isascii()
    assert captured.err == ""


def test_on_a_terminal_nothing_of_a_stranger_controls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    parent, child = pty.openpty()
    with os.fdopen(child, "w") as terminal, os.fdopen(parent, "rb", buffering=0) as reader:
        monkeypatch.setattr(sys, "stdout", terminal)
        Output(False).items(ROWS, COLUMNS, "none")
        terminal.flush()
        assert select.select([reader], [], [], 10)[0]
        shown = os.read(reader.fileno(), 65536).decode()
    assert "[/x][bold]␛]52;c;eA==␇\\u202e" in shown
    assert "\x1b" not in shown


def test_nobody_to_ask_is_an_error_that_names_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(UsageError) as refused:
        confirm(Output(False), "Go on?", yes=False)
    assert "--yes" in refused.value.hint
    assert refused.value.exit_code == 2
    confirm(Output(False), "Go on?", yes=True)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("answer", "count", "agreed"),
    [
        ("y\n", 5, True),
        ("yes\n", 5, True),
        ("\n", 5, False),
        ("n\n", 5, False),
        ("", 5, False),
        ("y\n", 240, False),
        ("240\n", 240, True),
    ],
)
def test_a_large_set_wants_its_count_typed(
    answer: str, count: int, agreed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys, "stderr", Terminal())
    if agreed:
        confirm(Output(False), "Go on?", yes=False, count=count)
    else:
        with pytest.raises(typer.Exit) as ended:
            confirm(Output(False), "Go on?", yes=False, count=count)
        assert ended.value.exit_code == 1


def test_progress_is_silent_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(Output(False), "redriving", 500) as advance:
        advance(500)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


@pytest.mark.parametrize(
    ("widths", "whole", "room", "shown"),
    [
        ((3, 5, 200), (False, False, False), 300, [3, 5, 200]),
        ((3, 5, 200), (False, False, False), 40, [3, 5, 32]),  # an id is what one goes on with
        ((3, 24, 200), (False, True, False), 40, [3, 24, 13]),
        ((3, 100, 200), (False, False, False), 43, [3, 20, 20]),
        ((30, 30), (True, True), 10, [10, 1]),
    ],
)
def test_in_a_narrow_terminal_the_widest_columns_give_way(
    widths: tuple[int, ...], whole: tuple[bool, ...], room: int, shown: list[int]
) -> None:
    assert fitted(widths, whole, room) == shown
