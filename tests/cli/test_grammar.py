"""Help, global options, mistyped words, exit codes: what needs neither settings nor broker."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from typing import Any

import pytest
import typer

from engine.cli import entry
from engine.cli.app import build
from engine.cli.options import Options, options
from engine.errors import ConfigurationError, DatabaseUnavailable

VERBS = ("demo", "worker", "publish", "queues", "workers", "failures", "topology", "doctor", "redrive", "db")
ALL = [(verb,) for verb in VERBS] + [
    (group, verb)
    for group, verbs in {
        "topology": ("show", "diff", "apply", "move", "migrate", "delete"),
        "queues": ("pause", "resume"),
        "failures": ("list", "show"),
        "db": ("upgrade", "check", "prune"),
    }.items()
    for verb in verbs
]


def call(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = entry.run(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def test_help_lists_every_verb_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call("--help", capsys=capsys)
    assert (code, err) == (0, "")
    for verb in VERBS:
        assert f"\n  {verb} " in out
    assert "the world is at fault" in out
    assert call(capsys=capsys)[1] == out


@pytest.mark.parametrize("verb", ALL, ids=" ".join)
def test_each_verb_has_help_with_examples_and_the_global_options(
    verb: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = call(*verb, "--help", capsys=capsys)
    assert code == 0
    assert f"  warren {' '.join(verb)}" in out
    assert "--broker URL" in out


def test_help_of_every_command_is_whole_and_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    def walk(command: Any, path: tuple[str, ...]) -> Any:
        yield path
        for name, child in getattr(command, "commands", {}).items():
            if not child.hidden:
                yield from walk(child, (*path, name))

    paths = list(walk(typer.main.get_command(build()), ()))
    assert len(paths) > 45
    for path in paths:
        out = call(*path, "--help", capsys=capsys)[1]
        assert "Global options:" in out, path
        assert "Commands:" not in out or path, "a verb without a section"
        assert not path or "Examples:" in out, path
        lines = [line.rstrip() for line in out.splitlines() if not line.startswith("Usage:")]
        assert not [line for line in lines if line.endswith("...") or "<int" in line or "<float" in line], path


def test_every_example_in_help_is_a_call_that_parses() -> None:
    """Parsed to the end by the command itself, without running it."""
    import shlex

    root: Any = typer.main.get_command(build())

    def walk(command: Any, path: tuple[str, ...]) -> Any:
        yield command, path
        for name, child in getattr(command, "commands", {}).items():
            yield from walk(child, (*path, name))

    seen = 0
    for command, _ in walk(root, ()):
        for line in (command.epilog or "").splitlines():
            line = line.strip().rpartition("| ")[2].partition(" > ")[0]
            if not line.startswith("warren "):
                continue
            words, current, context = shlex.split(line)[1:], root, None
            while words:
                context = current.make_context("warren", list(words), parent=context)
                rest = [*getattr(context, "_protected_args", []), *context.args]
                if not rest or not hasattr(current, "commands"):
                    break
                name, current, words = current.resolve_command(context, rest)
                assert current is not None, line
                if not words:
                    current.make_context(name, [], parent=context, resilient_parsing=True)
            seen += 1
    assert seen > 25


@pytest.mark.parametrize(
    "order", [("--json", "--broker", "amqp://a", "probe"), ("probe", "--json", "--broker=amqp://a")]
)
def test_global_options_stand_before_or_after_the_verb(order: tuple[str, ...]) -> None:
    app = build()
    found: list[Options] = []

    def probe(context: typer.Context) -> None:
        found.append(options(context))

    from engine.cli.grammar import Command

    app.command("probe", cls=Command)(probe)
    app(list(order), standalone_mode=False)
    assert found[0].json
    assert found[0].overrides() == {"broker": "amqp://a"}


def test_the_option_after_the_verb_wins() -> None:
    app = build()
    found: list[Options] = []

    def probe(context: typer.Context) -> None:
        found.append(options(context))

    from engine.cli.grammar import Command

    app.command("probe", cls=Command)(probe)
    app(["--broker", "amqp://a", "probe", "--broker", "amqp://b", "--log-level", "INFO"], standalone_mode=False)
    assert found[0].overrides() == {"broker": "amqp://b", "log_level": "info"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("redive",), "redrive"),
        (("failures", "lst"), "list"),
        (("worker", "--brokr", "x"), "--broker"),
        (("publish",), "TYPE"),
        (("--log-level", "loud", "queues"), "loud"),
        (("redrive", "seventeen"), "ID"),
    ],
)
def test_a_mistyped_call_says_what_is_near_and_exits_2(
    arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(*arguments, capsys=capsys)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert says in err
    assert "--help" in err
    assert "Traceback" not in err

    code, out, err = call("--json", *arguments, capsys=capsys)
    assert (code, out) == (2, "")
    error = json.loads(err)["error"]
    assert says in error["message"]
    assert error["exit_code"] == 2


def raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every call end with this error."""
    from engine.cli import app

    def broken(*_: str) -> typer.Typer:
        def run(*_: object, **__: object) -> None:
            raise error

        return run  # type: ignore[return-value]

    monkeypatch.setattr(app, "build", broken)


def test_an_error_of_ours_is_a_message_a_hint_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    raising(DatabaseUnavailable("the database \x1b[2J is locked", hint="Wait."), monkeypatch)
    assert call("queues", capsys=capsys) == (1, "", "error: the database ␛[2J is locked\nWait.\n")
    raising(ExceptionGroup("several", [ConfigurationError("no such option")]), monkeypatch)
    assert call("queues", capsys=capsys)[0] == 2
    code, _, err = call("queues", "--json", capsys=capsys)
    assert json.loads(err) == {
        "error": {"type": "ConfigurationError", "message": "no such option", "hint": "", "exit_code": code}
    }


def test_a_bug_names_where_its_traceback_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    raising(ZeroDivisionError("oops"), monkeypatch)
    code, _, err = call("queues", capsys=capsys)
    [log] = tmp_path.iterdir()
    assert code == 1
    assert str(log) in err
    assert "Traceback" not in err
    assert "ZeroDivisionError: oops" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0
    assert "Traceback" in call("queues", "--debug", capsys=capsys)[2]


def test_an_interrupt_exits_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    raising(KeyboardInterrupt(), monkeypatch)
    assert call("queues", capsys=capsys)[0] == 130


def test_completion_offers_verbs_and_options() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv[0] = 'warren'; from engine.cli import main; main()"],
        env={"_WARREN_COMPLETE": "complete_bash", "COMP_WORDS": "warren re", "COMP_CWORD": "1", "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "redrive" in done.stdout.split()


def test_help_imports_nothing_heavy_and_is_quick() -> None:
    code = (
        "import sys; sys.argv = ['warren', '--help']\n"
        "from engine.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = ('aio_pika', 'aiormq', 'sqlmodel', 'sqlalchemy', 'pydantic', 'pydantic_settings', 'textual', 'rich', 'asyncio')\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)"
    )
    bare, whole = [], []
    for _ in range(3):
        bare.append(cost("import typer"))
        whole.append(cost(code, said="[]\n"))
    assert min(whole) < 6 * min(bare)


def cost(code: str, said: str = "") -> float:
    """The seconds of CPU that an interpreter takes for this: what else the machine does counts little."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stderr == said
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def test_a_verb_made_alone_is_the_verb_that_all_have() -> None:
    """`build` makes only what is called; what a call of it says and means is the same."""
    whole: Any = typer.main.get_command(build())
    for name, command in whole.commands.items():
        alone: Any = typer.main.get_command(build(name))
        assert list(alone.commands) == [name]
        assert [each.name for each in alone.commands[name].params] == [each.name for each in command.params]
    assert len(typer.main.get_command(build("nothing of ours")).commands) == len(whole.commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("port", ["0", "70000", "eighty", "\udcff"])
def test_a_value_that_must_be_converted_is_still_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call("monitor", "--port", port, capsys=capsys)
    assert code == 2
    assert "--port" in err
