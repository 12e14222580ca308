"""A fleet of real worker processes on each broker and, in `make faults`, on each database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.homes import HOMES, home
from tests.support.workers import Fleet


@pytest.fixture(params=HOMES)
async def fleet(request: pytest.FixtureRequest, tmp_path: Path, app: str) -> AsyncIterator[Fleet]:
    """Workers on a broker and a database that are this test's own, or shared under names of its own."""
    async with home(request, request.param, tmp_path, app) as made:
        yield made
