"""What factors read: forward-adjusted arrays of a panel, made once when first asked for."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mech_exo.domain.errors import MissingDataError
from mech_exo.kernels import njit
from mech_exo.kernels.market import equal_weighted_returns
from mech_exo.kernels.rolling import returns

if TYPE_CHECKING:
    from mech_exo.domain.facts import Cells
    from mech_exo.domain.panel import BarPanel, Universe

Floats = NDArray[np.float64]

BARS = ("open", "high", "low", "close", "volume", "total_return", "returns", "market_return", "raw_close", "raw_volume")
"""The arrays of :class:`FactorInputs` that are made from bars; ``market_return`` from those of the members."""


def reinvested(close: Floats, split_ratio: Floats, dividend: Floats) -> Floats:
    """``(T, N)`` value of one share of row 0 whose dividends buy more of the stock at the ex-date's close.

    The return from one close to the next is (close × ratio + dividend × ratio) / previous close - 1, the holding-period return
    of CRSP. A dividend on a session without a bar is reinvested at the next observed close. NaN where not traded.
    """
    out = np.empty_like(close)  # NumPy asks for large pages, compiled code does not: a third of the time
    _reinvest(close, split_ratio, dividend, out)
    return out


@njit
def _reinvest(close: Floats, split_ratio: Floats, dividend: Floats, out: Floats) -> None:
    steps, count = close.shape
    shares, pending = np.ones(count), np.zeros(count)
    for t in range(steps):
        for j in range(count):
            price, ratio = close[t, j], split_ratio[t, j]
            shares[j] *= ratio
            pending[j] = pending[j] / ratio + dividend[t, j]
            if price == price and pending[j] != 0.0:
                shares[j] *= 1.0 + pending[j] / price
                pending[j] = 0.0
            out[t, j] = price * shares[j]


class FactorInputs:
    """Arrays ``(T, N)`` of ``panel`` as factors read them.

    Prices are forward-adjusted: as traded × the split ratio accumulated *to date*, so a later split never touches an earlier
    row. Where nothing ever happened they are the panel's own arrays, not copies. NaN = not traded. USD, shares.

    Price *levels* (minimum price, dollar volume) are read from :attr:`raw_close` and :attr:`raw_volume`; facts by :meth:`fact`.
    ``universe`` (None: everyone, nothing else known) tells members and facts on the same rows.
    """

    def __init__(self, panel: BarPanel, universe: Universe | None = None) -> None:
        self.panel, self.universe = panel, universe

    def fact(self, name: str) -> Cells:
        """``(T, N)`` what was known of ``name`` at each close, to be indexed as an array or read by :func:`mech_exo.domain.facts.rows_of`.

        Raises MissingDataError with the reason where nothing is known.
        """
        reason = "no universe was given" if self.universe is None else self.universe.facts.why_absent(name)
        if self.universe is None or reason is not None:
            raise MissingDataError(f"{name} is not known of any name: {reason}")
        return self.universe.facts.known[name]

    @cached_property
    def split_to_date(self) -> Floats | None:
        """``(T, N)`` product of the split ratios up to and including each row; None when there was no split."""
        if not self.panel.has_actions or bool((self.panel.split_ratio == 1.0).all()):
            return None
        return _read_only(np.multiply.accumulate(self.panel.split_ratio, axis=0))

    def _forward(self, values: Floats) -> Floats:
        return values if self.split_to_date is None else _read_only(values * self.split_to_date)

    @cached_property
    def open(self) -> Floats:
        """``(T, N)`` open, adjusted for splits."""
        return self._forward(self.panel.open)

    @cached_property
    def high(self) -> Floats:
        """``(T, N)`` high, adjusted for splits."""
        return self._forward(self.panel.high)

    @cached_property
    def low(self) -> Floats:
        """``(T, N)`` low, adjusted for splits."""
        return self._forward(self.panel.low)

    @cached_property
    def close(self) -> Floats:
        """``(T, N)`` close, adjusted for splits."""
        return self._forward(self.panel.close)

    @cached_property
    def volume(self) -> Floats:
        """``(T, N)`` shares traded, in shares of row 0: as traded ÷ the split ratio to date."""
        return self.panel.volume if self.split_to_date is None else _read_only(self.panel.volume / self.split_to_date)

    @cached_property
    def total_return(self) -> Floats:
        """``(T, N)`` close adjusted for splits and dividends: see :func:`reinvested`."""
        if not self.panel.has_actions or not bool((self.panel.dividend != 0.0).any()):
            return self.close
        return _read_only(reinvested(self.panel.close, self.panel.split_ratio, self.panel.dividend))

    @cached_property
    def returns(self) -> Floats:
        """``(T, N)`` change of :attr:`total_return` since the last observed close, fraction; NaN where not traded, or first."""
        return _read_only(returns(self.total_return))

    @cached_property
    def market_return(self) -> Floats:
        """``(T,)`` return of the market: the mean of the returns since the session before of all its members, fraction.

        Members are those known at that session's close (no universe: every name), of which both closes are known; equal weights, total
        returns. NaN where there is none. The names' order changes no bit of it, and neither does a name that is never a member.
        """
        member = np.ones(self.panel.shape, np.bool_) if self.universe is None else self.universe.member
        return _read_only(equal_weighted_returns(self.total_return, member))

    @property
    def raw_close(self) -> Floats:
        """``(T, N)`` close as traded."""
        return self.panel.close

    @property
    def raw_volume(self) -> Floats:
        """``(T, N)`` shares as traded."""
        return self.panel.volume


def _read_only(values: Floats) -> Floats:
    values.flags.writeable = False
    return values
