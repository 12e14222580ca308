"""Run the command line and turn whatever it raises into a message and an exit code."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

from typer.exceptions import Abort, TyperException

from engine.errors import WarrenError
from engine.operations.text import visible

INTERRUPTED = 130


def run(arguments: Sequence[str]) -> int:
    """Run `warren` with these arguments; the exit code. Never raises for a mistake of the user's."""
    from engine.cli.app import build

    as_json = _flag(arguments, "--json")
    try:
        code = build(*arguments[:1])(list(arguments), prog_name="warren", standalone_mode=False)
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Abort:
        code = INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return 1
    except TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError" and not as_json:
            print(error.format_message(), file=sys.stderr)
            return error.exit_code
        return _report(type(error).__name__, error.format_message(), _help_hint(error), error.exit_code, as_json)
    except WarrenError as error:
        return _report(type(error).__name__, error.message, error.hint, error.exit_code, as_json)
    except BaseExceptionGroup as group:
        found = _first(group)
        if found is None:
            return _report_bug(group, _flag(arguments, "--debug"), as_json)
        return _report(type(found).__name__, found.message, found.hint, found.exit_code, as_json)
    except Exception as error:
        return _report_bug(error, _flag(arguments, "--debug"), as_json)
    if code == INTERRUPTED and not as_json:
        print("interrupted", file=sys.stderr)
    return code if isinstance(code, int) else 0


def _flag(arguments: Sequence[str], name: str) -> bool:
    plain = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return name in plain


def _first(group: BaseExceptionGroup[BaseException]) -> WarrenError | None:
    """The first error of ours in a group of several that were raised together."""
    for inner in group.exceptions:
        found = _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
        if isinstance(found, WarrenError):
            return found
    return None


def _help_hint(error: TyperException) -> str:
    context = getattr(error, "ctx", None)
    return f"See `{context.command_path} --help`." if context is not None else ""


def _report(kind: str, message: str, hint: str, code: int, as_json: bool) -> int:
    if as_json:
        said = {"type": kind, "message": message, "hint": hint, "exit_code": code}
        print(json.dumps({"error": said}), file=sys.stderr)
    else:
        print(f"error: {visible(message, lines=True)}", file=sys.stderr)
        if hint:
            print(visible(hint, lines=True), file=sys.stderr)
    return code


def _report_bug(error: BaseException, debug: bool, as_json: bool) -> int:
    """A mistake of ours: a short message, and the traceback where it was asked for or in a file."""
    import traceback

    text = "".join(traceback.format_exception(error))
    if debug:
        print(visible(text, lines=True), file=sys.stderr)
        hint = "This is a bug in Warren. Please report it with the traceback above."
    else:
        hint = f"This is a bug in Warren. The traceback is in {_keep(text)}; --debug prints it here."
    return _report(type(error).__name__, f"unexpected {type(error).__name__}: {error}", hint, 1, as_json)


def _keep(text: str) -> str:
    import tempfile

    with tempfile.NamedTemporaryFile(
        "w", prefix="warren-", suffix=".log", delete=False, errors="backslashreplace"
    ) as file:
        file.write(text)  # readable by its owner only: it may name hosts and users
    return file.name


def _forget_stdout() -> None:
    """The reader went away: keep the interpreter from complaining when it flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
