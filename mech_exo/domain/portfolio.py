"""What is held: :class:`Position` (frozen) and :class:`Portfolio`, the one mutable shell of the domain."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mech_exo.domain.errors import InputError


@dataclass(frozen=True, slots=True)
class Position:
    """``shares`` (signed; whole but for backtests of fractional shares) of ``symbol``.

    Parameters
    ----------
    entry_price, current_price
        USD per share, above 0 and finite.
    entry_date
        When it was opened.
    sector
        None = unknown, which a sector limit denies.
    stop_level, target_level
        Resting levels in USD, None = none.
    """

    symbol: str
    shares: float
    entry_price: float
    current_price: float
    entry_date: datetime
    sector: str | None = None
    stop_level: float | None = None
    target_level: float | None = None

    def __post_init__(self) -> None:
        for name in ("entry_price", "current_price"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} of {self.symbol} must be above 0 and finite; got {value}")
        if not math.isfinite(self.shares):
            raise InputError(f"shares of {self.symbol} must be finite; got {self.shares}")
        if int(self.shares) == self.shares:
            object.__setattr__(self, "shares", int(self.shares))

    @property
    def market_value(self) -> float:
        """USD, negative when short."""
        return self.shares * self.current_price

    @property
    def unrealised_pnl(self) -> float:
        """USD since entry, before exit costs."""
        return self.shares * (self.current_price - self.entry_price)


class Portfolio:
    """Cash and positions; NAV = cash + Σ shares × price.

    ``Portfolio(100000)`` is 100,000 USD of cash. :meth:`add_position` pays the entry cost from it.

    Raises
    ------
    InputError
        Cash is not a finite number.
    """

    def __init__(self, cash: float, positions: Mapping[str, Position] | None = None) -> None:
        if isinstance(cash, bool) or not math.isfinite(cash):
            raise InputError(f"cash must be a finite number of USD; got {cash}")
        self.cash = float(cash)
        self.positions: dict[str, Position] = dict(positions or {})

    def add_position(self, position: Position) -> None:
        """Buy (or short) ``position`` at its entry price; cash pays. A symbol is held once."""
        if position.symbol in self.positions:
            raise InputError(f"{position.symbol} is already held", remedy="close it first, or build the portfolio anew")
        if position.shares == 0:
            return
        self.cash -= position.shares * position.entry_price
        self.positions[position.symbol] = position

    @property
    def nav(self) -> float:
        """Net asset value in USD."""
        return self.cash + sum(p.market_value for p in self.positions.values())

    @property
    def gross_exposure(self) -> float:
        """Σ |value| in USD."""
        return sum(abs(p.market_value) for p in self.positions.values())

    @property
    def net_exposure(self) -> float:
        """Σ value in USD."""
        return sum(p.market_value for p in self.positions.values())

    def weight(self, symbol: str) -> float:
        """Fraction of NAV held in ``symbol``; 0 when not held."""
        held = self.positions.get(symbol)
        return 0.0 if held is None else held.market_value / self.nav

    def shares(self, symbol: str) -> float:
        """Signed shares held of ``symbol``; 0 when not held."""
        held = self.positions.get(symbol)
        return 0 if held is None else held.shares

    def as_dict(self) -> dict[str, Any]:
        """Cash, NAV and positions, for ``--json``."""
        return {
            "cash": self.cash,
            "nav": self.nav,
            "positions": [
                {
                    "symbol": p.symbol,
                    "shares": p.shares,
                    "entry_price": p.entry_price,
                    "price": p.current_price,
                    "value": p.market_value,
                    "unrealised_pnl": p.unrealised_pnl,
                    "sector": p.sector,
                    "stop_level": p.stop_level,
                    "target_level": p.target_level,
                }
                for p in self.positions.values()
            ],
        }

    def __repr__(self) -> str:
        return f"Portfolio(nav={self.nav:,.2f}, cash={self.cash:,.2f}, positions={len(self.positions)})"
