"""A difference between ledger and broker as a value: its kind, its cause and the evidence, what it forbids, and what repairs it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from mech_exo.execution.broker import AccountState, BrokerOrder, BrokerPosition
from mech_exo.execution.rows import BookId


class BreakKind(StrEnum):
    """A way in which ledger and broker differ."""

    POSITION = "position"
    CASH = "cash"
    ACCOUNT = "account"
    INSTRUMENT = "instrument"
    FOREIGN_ORDER = "foreign_order"
    MISSING_ORDER = "missing_order"
    OVERFILL = "overfill"
    LOST_JOURNAL = "lost_journal"
    REVIVED_ORDER = "revived_order"
    LATE_ACTION = "late_action"


class Cause(StrEnum):
    """What the evidence says a break comes from."""

    UNKNOWN = "unknown"
    MISSED_FILL = "missed_fill"
    CORRECTED_FILL = "corrected_fill"
    MANUAL_TRADE = "manual_trade"
    SPLIT = "split"
    DIVIDEND = "dividend"
    INTEREST = "interest"
    FEE = "fee_or_interest"
    COMMISSION = "commission"
    RENAMED = "changed_instrument"


HALTING = frozenset({BreakKind.ACCOUNT, BreakKind.LOST_JOURNAL, BreakKind.REVIVED_ORDER, BreakKind.OVERFILL})
"""Breaks that stop every order that adds risk, not only those of one symbol."""
HARMLESS = frozenset({Cause.DIVIDEND, Cause.INTEREST, Cause.FEE, Cause.COMMISSION})
"""Causes that explain an amount of cash wholly: shown until it is accepted or paid, and forbidding nothing."""
ACCEPTED = frozenset(
    {BreakKind.POSITION, BreakKind.CASH, BreakKind.INSTRUMENT, BreakKind.OVERFILL, BreakKind.LOST_JOURNAL, BreakKind.REVIVED_ORDER}
)
"""Kinds that `exo reconcile accept` can settle once nothing of them is open at the broker."""


@dataclass(frozen=True, slots=True)
class Break:
    """``ledger`` and ``broker`` are the two figures (shares or USD; NaN = that side has none).

    ``evidence`` says what ``cause`` was concluded from. ``price`` is USD a share of what explains it, ``cash`` USD that came with it (NaN:
    not known), ``orders`` the ids concerned, ``open`` whether they may still trade there, ``key`` the broker's of the instrument.
    """

    kind: BreakKind
    symbol: str | None
    ledger: float
    broker: float
    note: str
    cause: Cause = Cause.UNKNOWN
    evidence: str = ""
    price: float = math.nan
    cash: float = math.nan
    orders: tuple[str, ...] = ()
    open: bool = False
    key: str = ""

    def __str__(self) -> str:
        who = f"{self.symbol}: " if self.symbol else ""
        return f"{who}{self.kind} ({self.note})"

    @property
    def harmless(self) -> bool:
        """True when it forbids nothing."""
        return self.cause in HARMLESS

    @property
    def repair(self) -> str:
        """What the operator does about it, a command where there is one."""
        if self.kind is BreakKind.ACCOUNT:
            return "correct ib_account in config/api_keys_local.yml, or log the gateway in to the book's account"
        if self.kind is BreakKind.MISSING_ORDER:
            return f"exo ledger settle {self.orders[0] if self.orders else 'ORDER'} --as cancelled --reason '…'"
        if self.kind is BreakKind.FOREIGN_ORDER or self.open:
            return "cancel that order at the broker, then exo reconcile"
        return f"exo reconcile accept {self.symbol or 'cash'} --reason '…'"


@dataclass(frozen=True, slots=True)
class GateReport:
    """One completed comparison: what the broker holds and has open, and every break. ``abandoned``: orders given up by it."""

    book: BookId
    account: AccountState
    positions: tuple[BrokerPosition, ...]
    breaks: tuple[Break, ...]
    orders: tuple[BrokerOrder, ...] = ()
    abandoned: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """True when both sides agree."""
        return not self.breaks

    @property
    def locked(self) -> frozenset[str]:
        """Symbols in which only reductions may be sent."""
        return frozenset(found.symbol for found in self.breaks if found.symbol is not None and not found.harmless)

    @property
    def halting(self) -> tuple[Break, ...]:
        """Breaks that stop all new risk."""
        return tuple(found for found in self.breaks if found.kind in HALTING)

    def blocks(self, symbol: str) -> Break | None:
        """The break that forbids new risk in ``symbol``, None when none does."""
        for found in self.breaks:
            if (found.symbol in (None, symbol) or found.kind in HALTING) and not found.harmless:
                return found
        return None

    def held(self, symbol: str) -> int:
        """Signed shares the broker holds of ``symbol``."""
        return next((position.shares for position in self.positions if position.symbol == symbol), 0)
