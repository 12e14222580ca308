#!/usr/bin/env python3
"""Draw docs/monitor-*.svg: the dashboard on a shop whose payment provider fails, taken from a real run.

make picture
"""

from __future__ import annotations

import asyncio
import math
import random
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from textual.pilot import Pilot

from engine.cli.demo.stage import Stage
from engine.cli.demo.story import Placing, order_ids
from engine.model.message import Message
from engine.operations.operator import Operator
from monitor.app import Monitor, make

#: Orders in the story, and how many a second come on the average.
ORDERS, RATE = 640, 22.0
#: Seconds that a step may take.
PATIENCE = 40.0
#: What strangers publish who did not read what an order is.
ODD = (b'{"order_id": "x-1"', b'{"order_id": "x-2", "customer": "ada"}')


ROOT = str(Path(__file__).resolve().parent.parent)


def elsewhere(path: str) -> str:
    """A path as long as this one that is nobody's own."""
    return "/srv/st" + "o" * max(len(path) - 9, 1) + "re"


class Step(NamedTuple):
    """Press these keys, wait until all these texts are on the screen, and take a picture where it has a name."""

    keys: str
    see: Sequence[str]
    name: str = ""


#: What is drawn. Keys are separated by spaces.
STEPS = (
    Step("", ("GatewayDown", "out "), "overview"),
    Step("3", ("GatewayDown: the certificate", "failures of"), "failures"),
    Step("enter enter", ("Traceback", "the certificate"), "message"),
    Step("t", ("reserve_inventory", "✗ failure #", "open"), "trace"),
    Step("escape escape escape", ("failures of",)),
)
#: The same, once the provider is mended.
AFTER = (
    Step("r", ("Redrive ", "will be sent to their queues again", "canary")),
    Step("ctrl+s", ()),
)
#: What the log tells of it.
LAST = (Step("8", ("▶ following", "─ Body"), "events"),)


class Camera:
    """Somebody at the dashboard who takes pictures."""

    def __init__(self, monitor: Monitor, pilot: Pilot[None], folder: Path) -> None:
        self._monitor = monitor
        self._pilot = pilot
        self._folder = folder

    @property
    def screen(self) -> str:
        """What is on the screen, as text."""
        drawing = re.sub(r"<[^>]*>", "", self._monitor.export_screenshot(simplify=True))
        return drawing.replace("&#160;", " ")

    async def follow(self, steps: Sequence[Step]) -> None:
        """Go through the steps."""
        for step in steps:
            await self._pilot.press(*step.keys.split())
            await self.see(*step.see)
            if step.name:
                await self._pilot.pause(0.6)
                self.take(step.name)

    async def see(self, *texts: str) -> None:
        """Wait for texts on the screen."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not all(text in self.screen for text in texts):
                    await self._pilot.pause(0.1)
        except TimeoutError:
            raise SystemExit(f"waited in vain for {texts}:\n{self.screen}") from None

    def take(self, name: str) -> None:
        """Write a picture that needs no font from elsewhere."""
        drawn = self._monitor.export_screenshot(title="warren monitor")
        without = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL).replace("Fira Code", "Menlo, Consolas")
        # Ids that differ at each run would make each picture another one from its first line on.
        steady = re.sub(r"terminal-\d+", f"warren-{name}", without).replace(ROOT, elsewhere(ROOT))
        path = self._folder / f"monitor-{name}.svg"
        path.write_text("\n".join(line.rstrip() for line in steady.splitlines()) + "\n", encoding="utf-8")
        print(f"Wrote {path}.")


async def flow(stage: Stage) -> None:
    """Orders that come now faster, now slower, and some that are none."""
    placing, chance = Placing(stage, order_ids(ORDERS)), random.Random(3)
    while not placing.done:
        pace = RATE * (1.1 + 0.8 * math.sin(placing.placed / 60) + 0.3 * chance.random())
        placing.group = 6
        await placing.go_on()
        if chance.random() < 0.06:
            await stage.engine.publish_messages(
                [("order.placed", Message(chance.choice(ODD), message_id=f"x-{placing.placed}"))]
            )
        await asyncio.sleep(placing.group / pace)


async def draw(folder: Path) -> None:
    """Let orders fail, look at them, mend what was broken, and send them again."""
    async with Stage.set_up(None, None) as stage:
        stage.break_provider()
        await stage.start_worker()
        monitor = make(stage.settings)
        monitor.source.operator = Operator("anna@web-1")
        monitor.CANARY = 5  # type: ignore[misc]  # so few would go without one
        async with monitor.run_test(size=(124, 34)) as pilot:
            camera = Camera(monitor, pilot, folder)
            await flow(stage)
            await camera.follow(STEPS)
            stage.mend_provider()
            await camera.follow(AFTER)
            await camera.see("✓ done", "succeeded")
            camera.take("redrive")
            await camera.follow(LAST)
        if monitor.fault is not None:
            raise monitor.fault


def main() -> None:
    """Write the pictures into the folder named on the command line, else beside this file."""
    asyncio.run(draw(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))


if __name__ == "__main__":
    main()
