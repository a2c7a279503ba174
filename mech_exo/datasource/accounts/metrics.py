"""The words of the table of facts: metrics with their units, and the spans a figure may cover."""

from __future__ import annotations

from enum import StrEnum


class Span(StrEnum):
    """``fiscal_period`` of a fact: what lies between the start of the figure and ``period_end``."""

    INSTANT = "instant"
    QUARTER = "3M"
    HALF = "6M"
    NINE = "9M"
    YEAR = "12M"
    SNAPSHOT = "snapshot"
    """A vendor's own ratio, as shown that day: stored and shown, never computed with."""


CODES = {Span.INSTANT: 0, Span.QUARTER: 1, Span.HALF: 2, Span.NINE: 3, Span.YEAR: 4}

FLOWS = {
    "revenue": "USD",
    "cost_of_revenue": "USD",
    "gross_profit": "USD",
    "operating_income": "USD",
    "net_income": "USD",
    "operating_cash_flow": "USD",
    "capital_expenditure": "USD",
    "depreciation": "USD",
    "eps_diluted": "USD/share",
}
"""Figures of a span of time. Capital expenditure and depreciation are positive."""

STOCKS = {
    "total_assets": "USD",
    "current_assets": "USD",
    "current_liabilities": "USD",
    "total_equity": "USD",
    "total_debt": "USD",
    "long_term_debt": "USD",
    "cash": "USD",
    "receivables": "USD",
    "inventory": "USD",
    "average_shares": "shares",
}
"""Figures at the end of a period; ``average_shares`` is the weighted average of basic shares over it."""

STATEMENT = {**FLOWS, **STOCKS}
PER_SHARE = ("eps_diluted", "average_shares")
"""Figures of a statement that a split changes; a filing states them on the share count of its own day (SEC Staff Accounting Bulletin,
Topic 4.C), whatever the period."""

AS_OF_DAY = {"shares_outstanding": "shares", "analyst_rating": "score"}
"""Figures as of their own date: the count on the cover of a filing; the analysts' mean opinion from -1 (strong sell) to 1 (strong buy)."""

MAX_AGE = 400
"""Calendar days after the last filing about the newest period until which a company's figures are believed: an annual report's year and
a month."""
