"""The scenario: given events, when a command, then events."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from engine.errors import UnknownEvent
from engine.model.aggregate import Aggregate, applies
from engine.model.event import EventData
from engine.testing.scenario import Scenario
from handlers.bank import (
    Account,
    AccountOpened,
    InsufficientFunds,
    MoneyDeposited,
    MoneyWithdrawn,
    Refused,
)

OPENED = AccountOpened(account_id="a-1", owner="alice")
FIVE = MoneyDeposited(account_id="a-1", amount=Decimal(5))


class Counted(EventData, type="counter.counted"):
    step: int = 1


class Hidden(Aggregate, type="counter", snapshot_every=2):
    """Its state is not always what its fields say."""

    total: int = 0
    share: int = 0

    @applies(Counted)
    def _counted(self, event: Counted) -> None:
        self.total += event.step
        self.share = self.total / 2  # type: ignore[assignment]  # a slip: it is no integer


def scenario(*events: EventData) -> Scenario[Account]:
    return Scenario(Account, "a-1").given(*events)


def test_what_a_command_emits() -> None:
    scenario().when(lambda _: Account.open("a-1", "alice")).then(OPENED)
    acted = scenario(OPENED, FIVE).when(lambda account: account.withdraw(Decimal(2)))
    acted.then(MoneyWithdrawn(account_id="a-1", amount=Decimal(2)))
    assert acted.aggregate.balance == 3
    assert (acted.aggregate.owner, acted.aggregate.version) == ("alice", 2)
    scenario(OPENED).when(lambda account: account.owner).then()


def test_several_commands_on_one_history() -> None:
    one = scenario(OPENED, FIVE)
    one.when(lambda account: account.withdraw(Decimal(5))).then(MoneyWithdrawn(account_id="a-1", amount=Decimal(5)))
    one.when(lambda account: account.withdraw(Decimal(6))).then_raises(InsufficientFunds, "has 5, not 6")
    one.when(lambda account: account.deposit(Decimal(0))).then_raises(Refused)
    assert one.aggregate.pending == ()
    assert scenario(OPENED, FIVE).when(lambda account: account.balance).result == 5


@pytest.mark.parametrize(
    "claim",
    [
        lambda one: one.when(lambda account: account.deposit(Decimal(5))).then(),
        lambda one: one.when(lambda account: None).then(FIVE),
        lambda one: one.when(lambda account: account.deposit(Decimal(4))).then(FIVE),
        lambda one: one.when(lambda account: account.withdraw(Decimal(5))).then(),
        lambda one: one.when(lambda account: account.deposit(Decimal(5))).then_raises(Refused),
        lambda one: one.when(lambda account: 1 / 0).then_raises(Refused),
        lambda one: one.when(lambda account: account.withdraw(Decimal(5))).then_raises(Refused, "nothing like it"),
        lambda one: one.given(MoneyDeposited(account_id="a-2", amount=Decimal(5))),
    ],
)
def test_what_is_not_so_fails_the_test(claim: Any) -> None:
    with pytest.raises(AssertionError):
        claim(scenario(OPENED))


def test_a_history_that_the_aggregate_does_not_know_is_refused() -> None:
    with pytest.raises(UnknownEvent, match=r"counter\.counted at version 2 of account/a-1 is not known to Account"):
        scenario(OPENED).given(Counted())


def test_a_state_that_no_snapshot_gives_back_fails_the_test() -> None:
    Scenario(Hidden).when(lambda counter: counter.emit(Counted(step=2))).then(Counted(step=2))
    with pytest.raises(AssertionError, match="snapshot"):
        Scenario(Hidden).when(lambda counter: counter.emit(Counted(step=7))).then(Counted(step=7))
