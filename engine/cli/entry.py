"""Run the command line and turn whatever it raises into a message and an exit code."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from typer.exceptions import Abort, TyperException

from engine.errors import WarrenError
from engine.operations.text import visible

INTERRUPTED = 130

#: What the system says of a disk, a right or a limit: the world is at fault, not the program.
_SYSTEM = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG}) | {
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
}


def run(arguments: Sequence[str]) -> int:
    """Run `warren` with these arguments; the exit code. Never raises for a mistake of the user's."""
    from engine.cli.app import build

    _mend_streams()
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
        if isinstance(error, OSError) and error.errno in _SYSTEM:
            return _report_system(error, as_json)
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


def _report_system(error: OSError, as_json: bool) -> int:
    """What the system refuses, such as a file that this user may not write."""
    reason = error.strerror or str(error)
    if error.filename is not None:
        message = f"{os.fsdecode(error.filename)}: {reason}"
        hint = "Give this user the right to it, or name another place."
    else:
        _forget_stdout()  # what could not be written is not tried once more at the end
        message, hint = f"cannot write: {reason}", "Look at the disk, and at where the output goes."
    return _report(type(error).__name__, message, hint, 1, as_json)


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
    """Nobody takes the output: keep the interpreter from complaining when it flushes at its end."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _mend_streams() -> None:
    """Have all three, whatever the caller closed; and show, escaped, what their encoding does not know."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:  # else the next file that is opened, a database say, would be taken for it
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w" if number else "r", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif number and hasattr(getattr(sys, name), "reconfigure"):
            getattr(sys, name).reconfigure(errors="backslashreplace")
