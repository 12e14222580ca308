"""`warren new handler`: what it writes runs at once."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Warren


def run_tests(warren: Warren) -> str:
    """Run the project's own tests, from another folder."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:asyncio",
            str(warren.project / "tests"),
        ],
        cwd=warren.project.parent,
        env=warren.environ,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_handler_and_its_test_run_at_once(warren: Warren) -> None:
    done = warren("new", "handler", "send_welcome", "--event", "customer.registered")
    assert done.code == 0, done.err
    assert "python -m pytest tests/test_send_welcome.py" in done.out
    assert "shop.send_welcome.send_welcome" in done.out
    assert "class CustomerRegistered(" in (warren.project / "handlers/send_welcome.py").read_text()
    assert "1 passed" in run_tests(warren)
    shown = warren("topology", "show", "--json")
    assert "shop.send_welcome.send_welcome" in shown.out


def test_its_test_fails_where_the_handler_does(warren: Warren) -> None:
    warren("new", "handler", "greet")
    file = warren.project / "handlers/greet.py"
    file.write_text(f"{file.read_text()}    raise ValueError('broken')\n")
    with pytest.raises(AssertionError, match=r"(?s)0 events were handled by greet.*ValueError: broken"):
        run_tests(warren)


EVENTS = """\
from datetime import date
from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, Field

from engine import EventData


class Size(StrEnum):
    SMALL = "small"


class Line(BaseModel):
    sku: str = Field(min_length=12, max_length=12)
    quantity: int = Field(ge=3)


class OrderPlaced(EventData, type="order.placed", aggregate="order", key="order_id"):
    order_id: str
    total: Decimal
    day: date
    size: Size
    lines: list[Line] = Field(min_length=1)
    gift: bool
    note: str | None
    tags: list[str] = []
"""


def test_an_event_of_the_project_is_used_and_a_new_one_joins_it(warren: Warren) -> None:
    warren.write("handlers/events.py", EVENTS)
    known = warren("new", "handler", "charge", "--event", "order.placed", "--json")
    assert known.json["appended"] is None
    assert known.json["written"] == ["handlers/charge.py", "tests/test_charge.py"]
    assert "from .events import OrderPlaced" in (warren.project / "handlers/charge.py").read_text()
    new = warren("new", "handler", "refund", "--event", "order.returned", "--json")
    assert new.json["appended"] == "handlers/events.py"
    assert (warren.project / "handlers/events.py").read_text().count("class OrderReturned(") == 1
    again = warren("new", "handler", "restock", "--event", "order.returned", "--json")
    assert again.json["appended"] is None
    assert "3 passed" in run_tests(warren)


def test_a_payload_that_cannot_be_guessed_is_said(warren: Warren) -> None:
    warren.write(
        "handlers/events.py",
        "from pydantic import Field\nfrom engine import EventData\n"
        "class Sent(EventData, type='mail.sent'):\n    code: str = Field(pattern='^[A-Z]{3}$')\n",
    )
    assert "is a guess, and Sent refuses it: code: " in warren("new", "handler", "count", "--event", "mail.sent").out


def test_nothing_is_overwritten(warren: Warren) -> None:
    path = warren.write("tests/test_greet.py", "mine = True\n")
    done = warren("new", "handler", "greet", "--json")
    assert done.code == 2
    assert "tests/test_greet.py is there already" in done.error["message"]
    assert path.read_text() == "mine = True\n"
    assert not (warren.project / "handlers").exists()


@pytest.mark.parametrize(
    "name", ["send-welcome", "2nd", "class", "_hidden", "test_it", "conftest", "events", "a.b", "ä", ""]
)
def test_a_name_that_cannot_be_is_refused(warren: Warren, name: str) -> None:
    done = warren("new", "handler", "--json", "--", name)
    assert done.code == 2
    assert not (warren.project / "handlers").exists()


@pytest.mark.parametrize("kind", ["order.*", "order placed", "a..b"])
def test_an_event_type_that_cannot_be_is_refused(warren: Warren, kind: str) -> None:
    assert warren("new", "handler", "greet", "--event", kind).code == 2
    assert not (warren.project / "handlers").exists()


@pytest.mark.parametrize(
    "kind",
    ["2fa.done", *(pytest.param(each, marks=pytest.mark.slow) for each in ("Ünïcode.event", "order-line.added", "x"))],
)
def test_odd_event_types_make_classes_too(warren: Warren, kind: str) -> None:
    assert warren("new", "handler", "greet", "--event", kind).code == 0
    assert "1 passed" in run_tests(warren)
