"""The record layouts that compiled functions and their drivers share.

One record per symbol, event or session keeps everything a rule touches on one cache line and makes a whole account one
argument. Units: USD, shares (float64 that holds whole numbers), fractions; indices are -1 and levels NaN where absent.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BOOK = np.dtype(
    [
        ("shares", np.float64),  # signed whole shares held
        ("mark", np.float64),  # last close seen, USD
        ("missing", np.int64),  # sessions since the last bar
        ("entry", np.float64),  # fill price that opened the position, slippage included
        ("best", np.float64),  # highest high (long) or lowest low (short) since entry
        ("age", np.int64),  # sessions since entry; 0 in the session of entry
        ("atr", np.float64),  # ATR when the entry was decided
        ("stop", np.float64),  # resting stop level for the next bar
        ("target", np.float64),  # resting profit-target level for the next bar
        ("stop_reason", np.int64),  # Reason of the stop that binds
        ("order", np.float64),  # signed shares to trade in the next session; 0 = none
        ("order_reason", np.int64),
        ("order_stop", np.float64),  # levels attached to an entry order
        ("order_target", np.float64),
        ("order_stop_reason", np.int64),
        ("order_atr", np.float64),
        ("cost", np.float64),  # average fill price of what is held, slippage included
        ("order_kind", np.int64),  # OrderKind
        ("order_level", np.float64),  # limit or stop price, USD
        ("order_keep", np.int64),  # 1: a limit or stop that is not reached is ordered anew
        ("rest", np.float64),  # signed shares the session's order left to be ordered anew, its terms still in ``order_*``; 0 = none
        ("spent", np.float64),  # USD paid (or, short, received) to open and enlarge what is held, at fill prices
        ("earned", np.float64),  # USD of cash it has brought: what was sold and its income less what was bought and commissions
    ]
)
"""Per symbol ``(N,)``: what is held, its levels, and the order for the next open."""

ACCOUNT = np.dtype(
    [
        ("cash", np.float64),
        ("nav", np.float64),
        ("value", np.float64),  # of all positions at the last close, signed
        ("index", np.float64),  # time-weighted growth of 1, flows taken out
        ("live", np.int64),  # symbols held or with an order: entries of the ``live`` index array
        ("events", np.int64),  # events written so far
    ]
)
"""One record: the account's scalars."""

DAY = np.dtype(
    [
        ("nav", np.float64),  # at the close
        ("index", np.float64),  # time-weighted growth of 1 since the start, flows taken out
        ("cash", np.float64),
        ("long_value", np.float64),
        ("short_value", np.float64),  # negative or 0
        ("flow", np.float64),  # deposits less withdrawals, at the open
        ("price_pnl", np.float64),  # change of marks, before costs
        ("dividends", np.float64),
        ("interest", np.float64),
        ("borrow", np.float64),  # paid for shorts, positive
        ("commission", np.float64),
        ("slippage", np.float64),  # USD paid beyond the reference price (open or level)
        ("traded", np.float64),  # USD bought plus sold
        ("state", np.int64),  # RiskState after this close
        ("scale", np.float64),  # share of full exposure that the drawdown governor leaves after this close; 1 = all
        ("wins", np.float64),  # positions closed with a profit after costs
        ("losses", np.float64),  # positions closed without one
        ("gains", np.float64),  # sum of the profits, each as a fraction of what the position cost
        ("forfeits", np.float64),  # sum of the losses, likewise; positive
    ]
)
"""Per session ``(T,)``. NAV change = flow + price_pnl + dividends + interest - borrow - commission - slippage."""

EVENT = np.dtype(
    [
        ("row", np.int64),  # session
        ("symbol", np.int64),
        ("kind", np.int64),  # EventKind
        ("outcome", np.int64),  # Outcome
        ("reason", np.int64),  # Reason
        ("shares", np.float64),  # signed
        ("price", np.float64),  # fill price, slippage included; NaN if not filled
        ("reference", np.float64),  # open or level the slippage is measured from
        ("commission", np.float64),
        ("cash", np.float64),  # change of cash it caused
    ]
)
"""What happened, in order: orders filled or not, stops, dividends, splits, delistings."""


class EventKind(IntEnum):
    """What an event is."""

    ORDER = 0
    STOP = 1
    TARGET = 2
    SPLIT = 3
    DIVIDEND = 4
    DELISTING = 5
    STALE_CLOSE = 6


class Outcome(IntEnum):
    """What became of an order, or of the part of it that an event is about."""

    FILLED = 0
    NO_BAR = 1
    ENDED = 2  # by a corporate action before the open (the listing is gone, a split left less than one lot), or with its position
    CARRIED = 3  # not filled in this session and ordered anew for the next
    EXPIRED = 4  # a limit or stop that was not reached
    NO_MARGIN = 5  # more than the account may carry


class OrderKind(IntEnum):
    """How an order may fill."""

    MARKET_ON_OPEN = 0
    MARKET_ON_CLOSE = 1
    LIMIT = 2
    STOP = 3
    LIMIT_ON_OPEN = 4  # a limit for the open alone


class Reason(IntEnum):
    """Why an order or exit exists."""

    NONE = 0
    REBALANCE = 1
    HARD_STOP = 2
    TRAILING_STOP = 3
    VOLATILITY_STOP = 4
    PROFIT_TARGET = 5
    TIME_STOP = 6
    DELISTED = 7
    NO_BARS = 8
    CORPORATE_ACTION = 9
    MARGIN_CALL = 10
    GOVERNOR = 11
    FLATTEN = 12


class RiskState(IntEnum):
    """What risk allows."""

    ACTIVE = 0
    REDUCING = 1
    HALTED = 2


NO_DATES = np.empty(0, np.int64)
NO_DATES.flags.writeable = False


class Bars(NamedTuple):
    """The panel's arrays as the kernels take them; see :class:`mech_exo.domain.panel.BarPanel`."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    split_ratio: Floats
    dividend: Floats
    delisted: Ints
    delisting_value: Floats
    calendar_day: Ints = NO_DATES  # (T,) counted from any day; only a time stop in days reads them

    @classmethod
    def of(cls, panel: Any) -> Bars:
        """The arrays of a panel (anything with attributes of these names)."""
        return cls(*(getattr(panel, name) for name in cls._fields))


class CostParams(NamedTuple):
    """A :class:`mech_exo.utils.settings.CostModel` as numbers."""

    per_share: float
    fraction: float  # of the order's value
    min_order: float
    max_fraction: float
    slippage: float  # fraction
    spread: float  # quoted, USD per share
    spread_estimate: float  # multiple of the half spread that daily bars imply
    impact: float
    impact_window: int
    participation: float  # of the session's volume; inf: no cap
    cash_rate: float
    margin_rate: float
    borrow_rate: float


class Terms(NamedTuple):
    """What an account may do, whatever it costs."""

    max_missing: int  # sessions without a bar after which a position is closed at its last close
    lot: float  # shares come in multiples of it
    initial_margin: float  # of gross exposure; NaN: an order is never cut for want of margin
    adjust_dividends: bool = False  # a cash dividend lowers entry, best price and levels
