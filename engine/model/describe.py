"""An exception in words that fit a header: its type, its message, its traceback, and where it arose."""

from __future__ import annotations

import re
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from types import FrameType
from typing import Final, NamedTuple

#: The longest message and traceback, in bytes of UTF-8.
MAX_MESSAGE: Final = 2 * 1024
MAX_TRACEBACK: Final = 8 * 1024

#: How much of what is too long is kept of its beginning; the rest of its end.
_HEAD: Final = 0.3

_STDLIB: Final = tuple({path + "/" for name in ("stdlib", "platstdlib") if (path := sysconfig.get_paths().get(name))})
_PACKAGES: Final = ("/site-packages/", "/dist-packages/")


class Description(NamedTuple):
    """An exception in words. `top_frame` is `file:function` of the innermost user code, or empty."""

    exception: str
    message: str
    traceback: str
    top_frame: str


def describe(error: BaseException) -> Description:
    """Put an exception into words. Never raises, whatever the exception does."""
    return Description(type_name(error), message_of(error), _traceback_of(error), top_frame(error))


def type_name(error: BaseException) -> str:
    """The name of the exception's class, without module and enclosing functions."""
    return type(error).__qualname__.rpartition("<locals>.")[2]


def message_of(error: BaseException) -> str:
    """What the exception says, cut to `MAX_MESSAGE`; a group's with what its members are."""
    text = _say(error)
    if isinstance(error, BaseExceptionGroup):
        members = [f"{type_name(leaf)}: {_say(leaf)}" for leaf, _ in zip(_leaves(error), range(5), strict=False)]
        text = "; ".join([text, *members])
    return _cut(_printable(text), MAX_MESSAGE)


#: How a plugin's folder is named while its files are imported by path; its author knows nothing of that name.
_PRIVATE = re.compile(r"\b_warren_plugins_[0-9a-f]{12}\.")


def _say(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:  # a user's __str__ may raise anything
        return f"(its str() raised {type_name(failure)})"


def _leaves(error: BaseException, depth: int = 0) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup) and depth < 50:
        for member in error.exceptions:
            yield from _leaves(member, depth + 1)
    else:
        yield error


def _traceback_of(error: BaseException) -> str:
    try:
        blocks = list(traceback.TracebackException.from_exception(error, compact=True).format())
    except Exception as failure:  # it runs the user's __str__ and __repr__
        blocks = [f"{type_name(error)}: {_say(error)}\n(its traceback cannot be shown: {type_name(failure)})\n"]
    blocks = [_cut(_PRIVATE.sub("", _printable(block)), MAX_MESSAGE) for block in blocks]
    if _size(blocks) > MAX_TRACEBACK:
        blocks = _without_libraries(blocks)
    return _cut("".join(blocks), MAX_TRACEBACK)


def _size(blocks: list[str]) -> int:
    return sum(len(block.encode()) for block in blocks)


def _without_libraries(blocks: list[str]) -> list[str]:
    """Frames that are not the user's make room first, each run of them for one line."""
    kept: list[str] = []
    left_out = 0
    for block in [*blocks, ""]:
        head = block.lstrip(" |+-").partition("\n")[0]
        path = head.split('"')[1] if head.startswith('File "') and head.count('"') >= 2 else None
        if path is not None and _is_library(path):
            left_out += 1
            continue
        if left_out:
            kept.append(f"  … {left_out} frames of libraries left out …\n")
            left_out = 0
        kept.append(block)
    return kept


def _cut(text: str, limit: int) -> str:
    """The text in at most `limit` bytes: where it is too long a note stands for its middle."""
    raw = text.encode()
    if len(raw) <= limit:
        return text
    note = f"\n… {len(raw) - limit} bytes or a little more left out …\n"
    room = limit - len(note.encode())
    head = int(room * _HEAD)
    return raw[:head].decode(errors="ignore") + note + raw[head - room :].decode(errors="ignore")


def _printable(text: str) -> str:
    """Text that UTF-8 and every database can hold."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


def top_frame(error: BaseException) -> str:
    """`file:function` of the innermost user code in its traceback, or empty."""
    for leaf in (error, *_leaves(error)) if not isinstance(error, BaseExceptionGroup) else (*_leaves(error), error):
        found = _user_frame(leaf)
        if found:
            return found
    return ""


def _user_frame(error: BaseException) -> str:
    """`file:function` of the innermost frame of user code."""
    frame = user_frame(_frames(error))
    if frame is None:
        return ""
    return f"{PurePath(frame.f_code.co_filename).stem}:{frame.f_code.co_qualname.rpartition('<locals>.')[2]}"


def user_frame(stack: Iterable[FrameType]) -> FrameType | None:
    """The innermost frame of user code: outside the engine, the standard library and installed packages.

    A handler that is itself installed is recognised as the first frame outside the engine. The stack
    begins with its outermost frame.
    """
    frames = [frame for frame in stack if not _is_engine(frame)]
    entry = next((frame for frame in frames if not _in(frame, _STDLIB)), None)
    if entry is None:
        return None
    home = _package(entry)
    for frame in reversed(frames):
        if not _is_library(frame.f_code.co_filename) or (_package(frame) == home and not _in(frame, _STDLIB)):
            return frame
    return None


def _frames(error: BaseException) -> list[FrameType]:
    found = []
    link = error.__traceback__
    while link is not None:
        found.append(link.tb_frame)
        link = link.tb_next
    return found


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _is_engine(frame: FrameType) -> bool:
    return _package(frame) == "engine"


def _in(frame: FrameType, folders: tuple[str, ...]) -> bool:
    return frame.f_code.co_filename.startswith(folders)


def _is_library(path: str) -> bool:
    return path.startswith(("<frozen ", *_STDLIB)) or any(part in path for part in _PACKAGES)
