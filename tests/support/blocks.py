"""The code blocks of a Markdown document, and how they are run. CONTRIBUTING.md says the rules."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM

#: Seconds for one block or command.
PATIENCE = 60.0

#: What a comment before a block may say.
_COMMENT = re.compile(
    r"<!-- (?:file: (?P<file>\S+)|run: (?:skip because (?P<why>\S.*)|exit (?P<exit>\d+)|(?P<background>background))) -->"
)
_FENCE = re.compile(r"(?P<indent> *)(?P<marks>`{3,})(?P<language>[\w-]*)\s*$")


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    line: int
    language: str
    text: str
    file: str | None = None
    skip: str | None = None
    exit: int = 0
    background: bool = False


def read_blocks(markdown: str) -> list[Block]:
    """All fenced blocks of a document; ValueError for a comment or a fence that is none of ours."""
    blocks: list[Block] = []
    lines = markdown.splitlines()
    comment: re.Match[str] | None = None
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if line.startswith(("<!-- file:", "<!-- run:")):
            comment = _COMMENT.fullmatch(line.strip())
            if comment is None:
                raise ValueError(f"line {at}: not one of the comments that CONTRIBUTING.md names: {line}")
            continue
        fence = _FENCE.fullmatch(line)
        if fence is None:
            if line.strip():
                comment = None
            continue
        start, body, indent = at, [], fence["indent"]
        while at < len(lines) and lines[at].strip() != fence["marks"]:
            body.append(lines[at].removeprefix(indent))
            at += 1
        if at == len(lines):
            raise ValueError(f"line {start}: this block does not end")
        at += 1
        said = comment.groupdict() if comment else {}
        blocks.append(
            Block(
                line=start,
                language=fence["language"],
                text="\n".join(body) + "\n",
                file=said.get("file"),
                skip=said.get("why"),
                exit=int(said.get("exit") or 0),
                background=bool(said.get("background")),
            )
        )
        comment = None
    return blocks


class Project:
    """A folder in which the blocks of one document are run, in order, as a reader would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._servants: list[tuple[str, subprocess.Popen[bytes]]] = []
        programs = str(Path(sys.executable).parent)
        self._environ = {name: value for name, value in os.environ.items() if not name.startswith("WARREN_")}
        self._environ |= {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1", "COLUMNS": "100"}

    def run(self, block: Block) -> None:
        """Run a block as its language and comment say; AssertionError where it does not do as written."""
        if block.skip is not None:
            return
        if block.file is not None:
            target = self.folder / block.file
            target.parent.mkdir(parents=True, exist_ok=True)
            if block.language == "python":
                compile(block.text, block.file, "exec")
            target.write_text(block.text)
        elif block.language == "python":
            self._python(block)
        elif block.language == "console":
            for command, expected in read_commands(block.text):
                if block.background:
                    self._serve(command, expected)
                else:
                    self._command(command, expected, block.exit)
        else:
            assert block.language not in {"sh", "bash", "shell", "zsh", "py"}, "write ```python or ```console"

    def close(self) -> None:
        """End what runs in the background, in good order."""
        servants, self._servants = self._servants, []
        for _, process in servants:
            process.send_signal(SIGTERM)
        for command, process in servants:
            try:
                assert process.wait(PATIENCE) == 0, f"{command}: exit code {process.returncode}"
            finally:
                process.kill()

    def _python(self, block: Block) -> None:
        ran = subprocess.run(
            [sys.executable, "-W", "error", "-c", block.text],
            cwd=self.folder,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr

    def _command(self, command: str, expected: str, code: int) -> None:
        ran = subprocess.run(
            command,
            shell=True,
            cwd=self.folder,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        assert ran.returncode == code, f"$ {command}\nexit code {ran.returncode}, not {code}\n{ran.stdout}"
        assert matches(expected, ran.stdout), f"$ {command}\nexpected:\n{expected}\ngot:\n{ran.stdout}"

    def _serve(self, command: str, expected: str) -> None:
        log = self.folder / f".background-{len(self._servants)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                f"exec {command}",
                shell=True,
                cwd=self.folder,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._servants.append((command, process))
        deadline = time.monotonic() + PATIENCE
        while not matches(expected, log.read_text()):
            assert process.poll() is None, f"$ {command}\nended with exit code {process.poll()}\n{log.read_text()}"
            assert time.monotonic() < deadline, f"$ {command}\nexpected:\n{expected}\ngot:\n{log.read_text()}"
            time.sleep(0.05)


def read_commands(text: str) -> list[tuple[str, str]]:
    """The commands of a console block, each with the output that is written below it."""
    commands: list[tuple[str, str]] = []
    lines = text.splitlines()
    while lines:
        line = lines.pop(0)
        if line.startswith("$ "):
            command = line[2:]
            while command.endswith("\\") and lines:
                command = command[:-1] + lines.pop(0).strip()
            commands.append((command, ""))
        elif commands:
            command, output = commands[-1]
            commands[-1] = (command, output + line + "\n")
        elif line.strip():
            raise ValueError(f"a console block begins with a command: $ …, not: {line}")
    return commands


def matches(expected: str, got: str) -> bool:
    """Whether output is as expected: `...` stands for anything, white space counts little, none expected is any."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    return not expected.strip() or doctest.OutputChecker().check_output(expected, got, flags)
