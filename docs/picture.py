#!/usr/bin/env python3
"""Draw docs/demo.svg: the live view of `warren demo`, taken from a real run when its failures have piled up.

make picture
"""

from __future__ import annotations

import asyncio
import io
import re
import sys
from pathlib import Path

from rich.console import Console, RenderableType

from engine.cli.demo.figures import Figures
from engine.cli.demo.live import LiveView
from engine.cli.demo.stage import Stage
from engine.cli.demo.story import tell

#: Columns of the terminal in the picture, and orders in the story.
WIDTH = 100
ORDERS = 200


class Camera(LiveView):
    """The live view itself; keeps the picture that shows the most dead letters."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: RenderableType = ""
        self._most = -1

    def show(self, figures: Figures, published: int) -> None:
        """Show the figures, and take a picture where things are at their worst."""
        super().show(figures, published)
        if figures.open_failures >= self._most:
            self._most = figures.open_failures
            self.taken = self._picture()


async def play(camera: Camera) -> None:
    """Tell the whole story; raises SystemExit when it proves nothing, for that is no picture to show."""
    async with Stage.set_up(None, None) as stage:
        with camera:
            summary = await tell(stage, ORDERS, camera)
        if not summary.proven:
            raise SystemExit(f"the demo proved nothing: {summary}")


def svg(picture: RenderableType) -> str:
    """The picture as a drawing that needs no font from elsewhere."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), legacy_windows=False)
    console.print(picture)
    drawn = console.export_svg(title="warren demo", unique_id="warren")
    without_fonts = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)
    return (
        "\n".join(line.rstrip() for line in without_fonts.replace("Fira Code", "Menlo, Consolas").splitlines()) + "\n"
    )


def main() -> None:
    """Write the file named on the command line, else docs/demo.svg."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("demo.svg")
    camera = Camera()
    asyncio.run(play(camera))
    target.write_text(svg(camera.taken), encoding="utf-8")
    print(f"Wrote {target}.")


if __name__ == "__main__":
    main()
