"""What README.md and docs/ show is run as written, one document after the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.blocks import Block, Project, matches, read_blocks, read_commands

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = [path.relative_to(ROOT).as_posix() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))]

DOCUMENT = """Text.
<!-- file: shop.py -->
```python
x = 1
```
- a list
  ```console
  $ true
  ```
<!-- run: skip because it needs a broker -->

```console
$ warren worker
```
"""


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_blocks_of(document: str, tmp_path: Path) -> None:
    project = Project(tmp_path)
    try:
        for block in read_blocks((ROOT / document).read_text(encoding="utf-8")):
            try:
                project.run(block)
            except (AssertionError, SyntaxError, ValueError) as error:
                pytest.fail(f"{document}, line {block.line}: {error}", pytrace=False)
    finally:
        project.close()


def test_blocks_are_read_with_their_comments() -> None:
    assert read_blocks(DOCUMENT) == [
        Block(line=3, language="python", text="x = 1\n", file="shop.py"),
        Block(line=7, language="console", text="$ true\n"),
        Block(line=12, language="console", text="$ warren worker\n", skip="it needs a broker"),
    ]


@pytest.mark.parametrize("text", ["<!-- run: skip -->\n", "<!-- run: skip because -->\n", "```python\nx = 1\n"])
def test_a_block_is_not_left_out_by_mistake(text: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        read_blocks(text)


def test_commands_are_read_with_their_output() -> None:
    assert read_commands("$ echo a \\\n    b\na b\n$ true\n") == [("echo a b", "a b\n"), ("true", "")]


def test_output_is_matched_loosely() -> None:
    assert matches("", "anything")
    assert matches("took ... s\n", "took   1.2  s\n")
    assert not matches("took ... s\n", "took 1.2 minutes\n")


def test_blocks_do_as_they_say(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.run(Block(1, "python", "WORD = 'well'\n", file="shop/words.py"))
    project.run(Block(1, "python", "from shop.words import WORD\nassert WORD == 'well'\n"))
    project.run(Block(1, "console", "$ cat shop/words.py\nWORD = ...\n$ python -c 'print(1)'\n1\n"))
    project.run(Block(1, "console", "$ exit 3\n", exit=3))
    for block in (Block(1, "python", "1/0\n"), Block(1, "console", "$ echo a\nb\n"), Block(1, "console", "$ false\n")):
        with pytest.raises(AssertionError):
            project.run(block)


def test_a_command_in_the_background_ends_with_its_document(tmp_path: Path) -> None:
    project = Project(tmp_path)
    script = "import signal, sys; signal.signal(15, lambda *_: sys.exit(0)); print('ready', flush=True); signal.pause()"
    project.run(Block(1, "python", script, file="serve.py"))
    project.run(Block(1, "console", "$ python serve.py\nready\n", background=True))
    project.close()
    project.run(Block(1, "console", "$ python -c 'import signal; signal.pause()'\n", background=True))
    with pytest.raises(AssertionError, match="exit code -15"):
        project.close()
