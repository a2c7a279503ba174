"""The derived figures, as pure functions over arrays of any one shape.

NaN in, NaN out: what is unknown makes unknown whatever needs it. A ratio over a base that is zero or negative is missing, not a number.
Money is USD, results are fractions or ratios, never percent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def over(numerator: Floats, base: Floats) -> Floats:
    """``numerator / base`` where the base is above 0, else NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(base > 0.0, numerator / base, np.nan)


def growth(now: Floats, before: Floats) -> Floats:
    """``now / before - 1`` where ``before`` is above 0, else NaN: growth over a loss says nothing."""
    return over(now, before) - 1.0


def accruals(net_income: Floats, operating_cash_flow: Floats, assets: Floats, assets_before: Floats) -> Floats:
    """Earnings not backed by cash, as a fraction of average assets; low is good.

    Sloan (1996), The Accounting Review 71(3), with the accrual component measured from the cash flow statement, as Hribar & Collins
    (2002), Journal of Accounting Research 40(1), have it: acquisitions do not disturb it.
    """
    return over(net_income - operating_cash_flow, (assets + assets_before) / 2.0)


def positive(value: Floats) -> Floats:
    """1 where ``value`` is above 0, 0 where it is not, NaN where it is unknown."""
    return np.where(np.isnan(value), np.nan, (value > 0.0).astype(np.float64))


def return_improved(income: Floats, before: Floats, assets_1: Floats, assets_2: Floats) -> Floats:
    """Whether income over the assets at the year's beginning rose; ``assets_1`` and ``assets_2``: one and two years ago."""
    return positive(over(income, assets_1) - over(before, assets_2))


def leverage_fell(debt: Floats, debt_1: Floats, assets: Floats, assets_1: Floats, assets_2: Floats) -> Floats:
    """Whether long-term debt over average assets fell. A company without long-term debt in both years did not raise it: 1."""
    now, before = over(debt, (assets + assets_1) / 2.0), over(debt_1, (assets_1 + assets_2) / 2.0)
    free = (debt == 0.0) & (debt_1 == 0.0)
    return np.where(free, 1.0, positive(before - now))


def ratio_rose(top: Floats, top_1: Floats, base: Floats, base_1: Floats) -> Floats:
    """Whether ``top / base`` is above ``top_1 / base_1``."""
    return positive(over(top, base) - over(top_1, base_1))


def no_shares_issued(shares: Floats, before: Floats) -> Floats:
    """1 where the share count, splits undone, is not above that of a year before."""
    return np.where(np.isnan(shares) | np.isnan(before), np.nan, (shares <= before).astype(np.float64))


def book_to_market(equity: Floats, cap: Floats) -> Floats:
    """``equity / cap`` where both are above 0, else NaN."""
    return over(over(equity, cap), positive(equity))


def count(cover: Floats, asked: Floats, average: Floats) -> Floats:
    """Shares: ``asked``, the ``average`` where today's ``cover`` is unknown; NaN if not above 0."""
    found = np.where(np.isnan(cover), average, asked)
    return np.where(found > 0.0, found, np.nan)


def first_known(values: Floats, others: Floats) -> Floats:
    """``values``, and ``others`` where they are unknown."""
    return np.where(np.isnan(values), others, values)


def not_negative(values: Floats) -> Floats:
    """``values`` where they are 0 or more, else NaN."""
    return np.where(values >= 0.0, values, np.nan)
