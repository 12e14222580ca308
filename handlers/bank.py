"""A bank: accounts that are nothing but their events, and a transfer between two of them.

    transfer.requested ─▶ transfer ─▶ account.withdrawn, account.deposited, transfer.completed
                                 └──▶ transfer.rejected

The transfer takes money from one account and gives it to the other in one transaction, together
with the record that it was done: so it happens once and whole, or not at all.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Self

from engine import Aggregate, Context, Event, EventData, Repository, StreamMissing, applies, handler


class AccountEvent(EventData, aggregate="account", key="account_id"):
    """What happened to an account."""

    account_id: str


class AccountOpened(AccountEvent, type="account.opened"):
    """Somebody has an account now."""

    owner: str


class MoneyDeposited(AccountEvent, type="account.deposited"):
    """Money came in."""

    amount: Decimal
    transfer_id: str | None = None


class MoneyWithdrawn(AccountEvent, type="account.withdrawn"):
    """Money went out."""

    amount: Decimal
    transfer_id: str | None = None


class TransferEvent(EventData, aggregate="transfer", key="transfer_id"):
    """What happened to a transfer."""

    transfer_id: str


class TransferRequested(TransferEvent, type="transfer.requested"):
    """Money is to go from one account to another."""

    source: str
    target: str
    amount: Decimal


class TransferCompleted(TransferEvent, type="transfer.completed"):
    """It went."""


class TransferRejected(TransferEvent, type="transfer.rejected"):
    """It did not, and no money moved."""

    reason: str


class Refused(Exception):
    """The bank does not do that."""


class InsufficientFunds(Refused):
    """More was to be taken than there is."""


class Account(Aggregate, type="account", snapshot_every=100):
    """An account; it never goes below zero."""

    owner: str = ""
    balance: Decimal = Decimal(0)

    @classmethod
    def open(cls, account_id: str, owner: str) -> Self:
        """A new account."""
        account = cls.new(account_id)
        account.emit(AccountOpened(account_id=account_id, owner=owner))
        return account

    def deposit(self, amount: Decimal, transfer_id: str | None = None) -> None:
        """Put money in."""
        if amount <= 0:
            raise Refused(f"{amount} is no amount")
        self.emit(MoneyDeposited(account_id=self.id, amount=amount, transfer_id=transfer_id))

    def withdraw(self, amount: Decimal, transfer_id: str | None = None) -> None:
        """Take money out."""
        if amount <= 0:
            raise Refused(f"{amount} is no amount")
        if amount > self.balance:
            raise InsufficientFunds(f"{self.id} has {self.balance}, not {amount}")
        self.emit(MoneyWithdrawn(account_id=self.id, amount=amount, transfer_id=transfer_id))

    @applies(AccountOpened)
    def _opened(self, event: AccountOpened) -> None:
        self.owner = event.owner

    @applies(MoneyDeposited)
    def _deposited(self, event: MoneyDeposited) -> None:
        self.balance += event.amount

    @applies(MoneyWithdrawn)
    def _withdrawn(self, event: MoneyWithdrawn) -> None:
        self.balance -= event.amount


@handler(TransferRequested)
async def transfer(event: Event[TransferRequested], ctx: Context, accounts: Repository[Account]) -> None:
    """Move the money, or say why not."""
    wanted = event.data

    def move(source: Account, target: Account) -> None:
        source.withdraw(wanted.amount, wanted.transfer_id)
        target.deposit(wanted.amount, wanted.transfer_id)

    try:
        if wanted.source == wanted.target:
            raise Refused(f"{wanted.source} is both source and target")
        await accounts.update(move, wanted.source, wanted.target)
    except StreamMissing as error:
        ctx.emit(TransferRejected(transfer_id=wanted.transfer_id, reason=error.message))
    except Refused as error:
        ctx.emit(TransferRejected(transfer_id=wanted.transfer_id, reason=str(error)))
    else:
        ctx.emit(TransferCompleted(transfer_id=wanted.transfer_id))
