"""What a company earns, owns and owes, beside its price.

Every value is of what was known at the row's close: twelve months to the newest period of which a figure was known. NaN is no opinion: a
figure is unknown, older than 400 days, or its base is zero or negative. Formulas of the inputs: docs/fundamentals.md.
"""

from __future__ import annotations

from mech_exo.domain.facts import rows_of
from mech_exo.scoring.factors.base import Compute, Factor, Family, Floats, Ints, Params
from mech_exo.scoring.inputs import FactorInputs
from mech_exo.utils.settings import Direction


def pe_ratio(inputs: FactorInputs, rows: Ints, _params: Params) -> Floats:
    """``(K, N)`` market value over net income of twelve months, a ratio. A loss has no P/E: NaN, not cheap.

    Basu (1977), "Investment Performance of Common Stocks in Relation to Their Price-Earnings Ratios", Journal of Finance 32(3).
    """
    return rows_of(inputs.fact("pe_ratio"), rows)


def earnings_yield(inputs: FactorInputs, rows: Ints, _params: Params) -> Floats:
    """``(K, N)`` net income of twelve months over market value, a fraction; a loss is a negative yield, so that it has an opinion.

    Basu (1983), "The Relationship between Earnings' Yield, Market Value and Return for NYSE Common Stocks", Journal of Financial
    Economics 12(1).
    """
    return rows_of(inputs.fact("earnings_yield"), rows)


def price_to_book(inputs: FactorInputs, rows: Ints, _params: Params) -> Floats:
    """``(K, N)`` market value over equity, a ratio; NaN where equity is not above 0.

    The inverse of Fama & French (1992), "The Cross-Section of Expected Stock Returns", Journal of Finance 47(2).
    """
    return rows_of(inputs.fact("price_to_book"), rows)


def book_to_market(inputs: FactorInputs, rows: Ints, _params: Params) -> Floats:
    """``(K, N)`` equity over market value, a fraction; NaN where equity is not above 0.

    Fama & French (1992), "The Cross-Section of Expected Stock Returns", Journal of Finance 47(2), at today's price instead of December's.
    """
    return rows_of(inputs.fact("book_to_market"), rows)


def debt_to_equity(inputs: FactorInputs, rows: Ints, _params: Params) -> Floats:
    """``(K, N)`` total debt over equity, a ratio; NaN where equity is not above 0 or a filing says nothing of debt.

    The evidence is divided: Bhandari (1988), "Debt/Equity Ratio and Expected Common Stock Returns", Journal of Finance 43(2), found that
    more debt earned more; George & Hwang (2010), "A Resolution of the Distress Risk and Leverage Puzzles in the Cross Section of Stock
    Returns", Journal of Financial Economics 96(1), that less debt did. ``factors.yml`` decides; as shipped less is better.
    """
    return rows_of(inputs.fact("debt_to_equity"), rows)


def return_on_equity(inputs: FactorInputs, rows: Ints, _params: Params) -> Floats:
    """``(K, N)`` net income of twelve months over equity, a fraction; NaN where equity is not above 0.

    Haugen & Baker (1996), "Commonality in the Determinants of Expected Stock Returns", Journal of Financial Economics 41(3).
    """
    return rows_of(inputs.fact("return_on_equity"), rows)


def revenue_growth(inputs: FactorInputs, rows: Ints, _params: Params) -> Floats:
    """``(K, N)`` revenue of twelve months over that of the twelve before, less 1, a fraction; NaN where the base is not above 0.

    Jegadeesh & Livnat (2006), "Revenue Surprises and Stock Returns", Journal of Accounting and Economics 41(1-2): revenue above what its
    past led to expect is followed by high returns. Growth over five years is not: Lakonishok, Shleifer & Vishny (1994), "Contrarian
    Investment, Extrapolation, and Risk", Journal of Finance 49(5), found the slow growers ahead.
    """
    return rows_of(inputs.fact("revenue_growth"), rows)


def earnings_growth(inputs: FactorInputs, rows: Ints, _params: Params) -> Floats:
    """``(K, N)`` net income of twelve months over that of the twelve before, less 1, a fraction; NaN after a loss or nothing.

    Chan, Jegadeesh & Lakonishok (1996), "Momentum Strategies", Journal of Finance 51(5): earnings that rose above those of a year before
    are followed by high returns for half a year.
    """
    return rows_of(inputs.fact("earnings_growth"), rows)


def gross_profitability(inputs: FactorInputs, rows: Ints, _params: Params) -> Floats:
    """``(K, N)`` gross profit of twelve months over assets, a fraction.

    Novy-Marx (2013), "The Other Side of Value: The Gross Profitability Premium", Journal of Financial Economics 108(1).
    """
    return rows_of(inputs.fact("gross_profitability"), rows)


_LOW, _HIGH = Direction.LOWER_BETTER, Direction.HIGHER_BETTER


def _of(compute: Compute, unit: str, direction: Direction, source: str) -> Factor:
    name = compute.__name__  # each of these is a function above, named as the input it reads
    return Factor(name, Family.FUNDAMENTAL, (name,), unit, direction, source, compute)


FUNDAMENTAL = (
    _of(pe_ratio, "ratio", _LOW, "Basu (1977), Journal of Finance 32(3)"),
    _of(earnings_yield, "fraction", _HIGH, "Basu (1983), Journal of Financial Economics 12(1)"),
    _of(price_to_book, "ratio", _LOW, "Fama & French (1992), Journal of Finance 47(2)"),
    _of(book_to_market, "fraction", _HIGH, "Fama & French (1992), Journal of Finance 47(2)"),
    _of(debt_to_equity, "ratio", _LOW, "George & Hwang (2010), Journal of Financial Economics 96(1); contrary: Bhandari (1988)"),
    _of(return_on_equity, "fraction", _HIGH, "Haugen & Baker (1996), Journal of Financial Economics 41(3)"),
    _of(revenue_growth, "fraction", _HIGH, "Jegadeesh & Livnat (2006), Journal of Accounting and Economics 41(1-2)"),
    _of(earnings_growth, "fraction", _HIGH, "Chan, Jegadeesh & Lakonishok (1996), Journal of Finance 51(5)"),
    _of(gross_profitability, "fraction", _HIGH, "Novy-Marx (2013), Journal of Financial Economics 108(1)"),
)
