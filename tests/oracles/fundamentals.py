"""What was known of one company at one close, written a second time: plain Python over all its facts, one date at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

STATEMENT = {
    "revenue", "cost_of_revenue", "gross_profit", "operating_income", "net_income", "operating_cash_flow", "capital_expenditure",
    "depreciation", "eps_diluted", "total_assets", "current_assets", "current_liabilities", "total_equity", "total_debt", "long_term_debt",
    "cash", "receivables", "inventory", "average_shares",
}  # fmt: skip
MONTHS = {"instant": 0, "3M": 3, "6M": 6, "9M": 9, "12M": 12}
NAN = math.nan


@dataclass(frozen=True)
class Fact:
    metric: str
    end: date
    period: str
    value: float
    filed: date
    known: datetime
    version: int = 0


def months(days: int) -> int | None:
    """How many months a fiscal period of so many days has."""
    for count, (least, most) in {3: (77, 119), 6: (161, 203), 9: (245, 287), 12: (350, 380)}.items():
        if least <= days <= most:
            return count
    return None


class Knowledge:
    """The facts known by ``close``; splits (day, new per old) up to ``today`` are undone to today's share count."""

    def __init__(
        self, facts: Sequence[Fact], close: datetime, splits: Sequence[tuple[date, float]], today: date, metrics: set[str]
    ) -> None:
        mine = [f for f in facts if f.known <= close and f.metric in metrics and f.period in MONTHS]
        self.ends = sorted({f.end for f in mine})
        self.values: dict[tuple[str, date, int], float] = {}
        for f in sorted(mine, key=lambda f: (f.filed, f.version)):
            since = f.filed if f.metric in ("eps_diluted", "average_shares") else f.end
            ratio = math.prod(value for day, value in splits if since < day <= today)
            value = f.value / ratio if f.metric == "eps_diluted" else f.value * ratio if "shares" in f.metric else f.value
            self.values[f.metric, f.end, MONTHS[f.period]] = value
        self.newest = self.ends[-1] if self.ends else None
        self.filed = max((f.filed for f in mine if f.end == self.newest), default=date.min)

    def before(self, end: date | None, days: int, slack: int) -> date | None:
        if end is None:
            return None
        near = [(abs((end - e).days - days), -e.toordinal(), e) for e in self.ends if e < end and abs((end - e).days - days) <= slack]
        return min(near)[2] if near else None

    def at_end(self, metric: str, end: date | None) -> float:
        known = [self.values[metric, end, m] for m in sorted(MONTHS.values()) if end and (metric, end, m) in self.values]
        return known[0] if known else NAN

    def quarter(self, metric: str, end: date | None) -> float:
        if end is None:
            return NAN
        if (metric, end, 3) in self.values:
            return self.values[metric, end, 3]
        for span in (6, 9, 12):
            rest, at = self.values.get((metric, end, span), NAN), end
            for _ in range(span // 3 - 1):
                at = self.before(at, 91, 28) if at else None
                rest -= self.quarter(metric, at)
            if not math.isnan(rest):
                return rest
        return NAN

    def lasting(self, metric: str, end: date, span: int) -> float:
        if (metric, end, span) in self.values:
            return self.values[metric, end, span]
        total, at = 0.0, end
        for _ in range(span // 3):
            total += self.quarter(metric, at)
            at = self.before(at, 91, 28) if at else None
        return total

    def trailing(self, metric: str, end: date | None) -> float:
        if end is None:
            return NAN
        if (metric, end, 12) in self.values:
            return self.values[metric, end, 12]
        years = [e for e in self.ends if e < end and (metric, e, 12) in self.values and months((end - e).days) in (3, 6, 9)]
        ago = self.before(end, 365, 15)
        if years and ago:
            span = months((end - years[-1]).days)
            assert span is not None
            total = self.values[metric, years[-1], 12] + self.lasting(metric, end, span) - self.lasting(metric, ago, span)
            if not math.isnan(total):
                return total
        return self.lasting(metric, end, 12)


def ratio(top: float, base: float) -> float:
    return top / base if base > 0 else NAN


def flag(value: float) -> float:
    return NAN if math.isnan(value) else float(value > 0)


def inputs_at(
    facts: Sequence[Fact], close: datetime, today: date, price: float, splits: Sequence[tuple[date, float]], max_age: int = 400
) -> Mapping[str, float]:
    """Every derived input of one company (facts of one source) at one close; NaN unknown."""
    books = Knowledge(facts, close, splits, today, STATEMENT)
    if (today - books.filed).days > max_age:
        books = Knowledge((), close, splits, today, STATEMENT)
    end, ago, long_ago = books.newest, None, None
    ago = books.before(end, 365, 15)
    long_ago = books.before(ago, 365, 15)
    cover = Knowledge(facts, close, splits, today, {"shares_outstanding"})
    if (today - cover.filed).days > max_age:
        cover = Knowledge((), close, splits, today, set())
    shares = cover.at_end("shares_outstanding", cover.newest)
    before = cover.at_end("shares_outstanding", cover.before(cover.newest, 365, 45))
    if math.isnan(shares):
        shares, before = books.at_end("average_shares", end), books.at_end("average_shares", ago)
    shares, before = (count if count > 0 else NAN for count in (shares, before))
    opinion = Knowledge(facts, close, splits, today, {"analyst_rating"})
    rating = opinion.at_end("analyst_rating", opinion.newest) if (today - opinion.filed).days <= max_age else NAN
    ttm, old, stock = books.trailing, lambda metric: books.trailing(metric, ago), books.at_end
    income, cash, assets, equity = ttm("net_income", end), ttm("operating_cash_flow", end), stock("total_assets", end), stock("total_equity", end)  # fmt: skip
    assets_1, assets_2, worth = stock("total_assets", ago), stock("total_assets", long_ago), price * shares
    debt, debt_1 = stock("long_term_debt", end), stock("long_term_debt", ago)
    revenue, gross = ttm("revenue", end), ttm("gross_profit", end)
    made = {
        "market_cap": worth,
        "shares_outstanding": shares,
        "analyst_rating": rating,
        "pe_ratio": ratio(worth, income),
        "earnings_yield": ratio(income, worth),
        "price_to_book": ratio(worth, equity),
        "book_to_market": ratio(equity, worth) if equity > 0 else NAN,
        "return_on_equity": ratio(income, equity),
        "debt_to_equity": ratio(stock("total_debt", end), equity),
        "revenue_growth": ratio(revenue, old("revenue")) - 1,
        "earnings_growth": ratio(income, old("net_income")) - 1,
        "gross_profitability": ratio(gross, assets),
        "accruals": ratio(income - cash, (assets + assets_1) / 2),
        "f_roa": flag(ratio(income, assets_1)),
        "f_cfo": flag(ratio(cash, assets_1)),
        "f_delta_roa": flag(ratio(income, assets_1) - ratio(old("net_income"), assets_2)),
        "f_accrual": flag(cash - income),
        "f_delta_leverage": 1.0
        if debt == debt_1 == 0
        else flag(ratio(debt_1, (assets_1 + assets_2) / 2) - ratio(debt, (assets + assets_1) / 2)),
        "f_delta_liquidity": flag(
            ratio(stock("current_assets", end), stock("current_liabilities", end))
            - ratio(stock("current_assets", ago), stock("current_liabilities", ago))
        ),
        "f_no_issue": NAN if math.isnan(shares + before) else float(shares <= before),
        "f_delta_margin": flag(ratio(gross, revenue) - ratio(old("gross_profit"), old("revenue"))),
        "f_delta_turnover": flag(ratio(revenue, assets_1) - ratio(old("revenue"), assets_2)),
    }
    made["f_score"] = sum(value for name, value in made.items() if name.startswith("f_"))
    made["net_income_ttm"], made["net_income_quarter"] = income, books.quarter("net_income", end)
    made["eps_diluted_ttm"], made["eps_diluted_quarter"] = ttm("eps_diluted", end), books.quarter("eps_diluted", end)
    made["average_shares"] = stock("average_shares", end)
    return made
