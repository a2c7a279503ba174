"""The registry of derived factor inputs: what each is made of, its unit and its formula."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mech_exo.datasource.accounts.formulas import (
    accruals,
    book_to_market,
    growth,
    leverage_fell,
    no_shares_issued,
    over,
    positive,
    ratio_rose,
    return_improved,
)
from mech_exo.datasource.accounts.metrics import FLOWS, STATEMENT, STOCKS
from mech_exo.datasource.accounts.states import Need
from mech_exo.kernels.fiscal import AT_END, SINGLE, TRAILING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MARKET_CAP = Need("market_cap", AT_END)
SHARES = Need("shares_outstanding", AT_END)
SHARES_BEFORE = Need("shares_outstanding", AT_END, 1)
RATING = Need("analyst_rating", AT_END)


def _ttm(metric: str, years: int = 0) -> Need:
    return Need(metric, TRAILING, years)


def _end(metric: str, years: int = 0) -> Need:
    return Need(metric, AT_END, years)


@dataclass(frozen=True, slots=True)
class Input:
    """A derived figure: ``formula`` of the arrays of ``needs``, in their order; ``unit``; ``source``: where the formula is from."""

    name: str
    unit: str
    needs: tuple[Need, ...]
    formula: Callable[..., Floats]
    source: str = ""


def _same(value: Any) -> Any:
    return value


_INCOME, _REVENUE, _GROSS, _CASH = "net_income", "revenue", "gross_profit", "operating_cash_flow"
_ASSETS, _EQUITY = "total_assets", "total_equity"
_PIOTROSKI = "Piotroski (2000), Journal of Accounting Research 38, section 2.2"

F_SCORE = (
    Input("f_roa", "0 or 1", (_ttm(_INCOME), _end(_ASSETS, 1)), lambda income, assets: positive(over(income, assets)), _PIOTROSKI),
    Input("f_cfo", "0 or 1", (_ttm(_CASH), _end(_ASSETS, 1)), lambda cash, assets: positive(over(cash, assets)), _PIOTROSKI),
    Input(
        "f_delta_roa",
        "0 or 1",
        (_ttm(_INCOME), _ttm(_INCOME, 1), _end(_ASSETS, 1), _end(_ASSETS, 2)),
        return_improved,
        _PIOTROSKI,
    ),
    Input("f_accrual", "0 or 1", (_ttm(_CASH), _ttm(_INCOME)), lambda cash, income: positive(cash - income), _PIOTROSKI),
    Input(
        "f_delta_leverage",
        "0 or 1",
        (_end("long_term_debt"), _end("long_term_debt", 1), _end(_ASSETS), _end(_ASSETS, 1), _end(_ASSETS, 2)),
        leverage_fell,
        _PIOTROSKI,
    ),
    Input(
        "f_delta_liquidity",
        "0 or 1",
        (_end("current_assets"), _end("current_assets", 1), _end("current_liabilities"), _end("current_liabilities", 1)),
        ratio_rose,
        _PIOTROSKI,
    ),
    Input("f_no_issue", "0 or 1", (SHARES, SHARES_BEFORE), no_shares_issued, _PIOTROSKI),
    Input("f_delta_margin", "0 or 1", (_ttm(_GROSS), _ttm(_GROSS, 1), _ttm(_REVENUE), _ttm(_REVENUE, 1)), ratio_rose, _PIOTROSKI),
    Input(
        "f_delta_turnover",
        "0 or 1",
        (_ttm(_REVENUE), _ttm(_REVENUE, 1), _end(_ASSETS, 1), _end(_ASSETS, 2)),
        ratio_rose,
        _PIOTROSKI,
    ),
)
"""The nine components; their sum, ``f_score``, is known only where all nine are."""
SCORES = {"f_score": "0 to 9", "f_points": "0 to 9", "f_known": "0 to 9"}
"""Made of :data:`F_SCORE`: the sum where all nine are known, the sum of those that are, and how many are."""

_RATIOS = (
    Input("market_cap", "USD", (MARKET_CAP,), _same),
    Input("shares_outstanding", "shares", (SHARES,), _same),
    Input("analyst_rating", "-1 to 1", (RATING,), _same, "Womack (1996), Journal of Finance 51(1)"),
    Input("pe_ratio", "ratio", (MARKET_CAP, _ttm(_INCOME)), over, "Basu (1977), Journal of Finance 32(3)"),
    Input("earnings_yield", "fraction", (_ttm(_INCOME), MARKET_CAP), over, "Basu (1983), Journal of Financial Economics 12(1)"),
    Input("price_to_book", "ratio", (MARKET_CAP, _end(_EQUITY)), over, "Fama & French (1992), Journal of Finance 47(2)"),
    Input(
        "book_to_market",
        "ratio",
        (_end(_EQUITY), MARKET_CAP),
        book_to_market,
        "Fama & French (1992), Journal of Finance 47(2)",
    ),
    Input("return_on_equity", "fraction", (_ttm(_INCOME), _end(_EQUITY)), over, "Haugen & Baker (1996), Journal of Financial Economics 41"),
    Input("debt_to_equity", "ratio", (_end("total_debt"), _end(_EQUITY)), over, "Bhandari (1988), Journal of Finance 43(2)"),
    Input(
        "revenue_growth",
        "fraction",
        (_ttm(_REVENUE), _ttm(_REVENUE, 1)),
        growth,
        "Lakonishok, Shleifer & Vishny (1994), Journal of Finance 49(5)",
    ),
    Input(
        "earnings_growth",
        "fraction",
        (_ttm(_INCOME), _ttm(_INCOME, 1)),
        growth,
        "Lakonishok, Shleifer & Vishny (1994), Journal of Finance 49(5)",
    ),
    Input("gross_profitability", "fraction", (_ttm(_GROSS), _end(_ASSETS)), over, "Novy-Marx (2013), Journal of Financial Economics 108"),
    Input(
        "accruals",
        "fraction",
        (_ttm(_INCOME), _ttm(_CASH), _end(_ASSETS), _end(_ASSETS, 1)),
        accruals,
        "Sloan (1996), The Accounting Review 71(3); Hribar & Collins (2002), Journal of Accounting Research 40(1)",
    ),
)

_PLAIN = (
    *(Input(f"{name}_ttm", unit, (_ttm(name),), _same) for name, unit in FLOWS.items()),
    *(Input(f"{name}_quarter", unit, (Need(name, SINGLE),), _same) for name, unit in FLOWS.items()),
    *(Input(name, unit, (_end(name),), _same) for name, unit in STOCKS.items()),
)

DERIVED = (*(item.name for item in (*_RATIOS, *F_SCORE)), "f_score")
"""What :func:`mech_exo.datasource.storage.StoreView.fundamental_inputs` hands over unasked."""

INPUTS = {item.name: item for item in (*_RATIOS, *F_SCORE, *_PLAIN)}
"""Every input by name, beside :data:`SCORES`. Beside the derived ones: ``<flow>_ttm`` (four quarters), ``<flow>_quarter``
(the last quarter alone) and the figures at the end of the newest period."""

SHOWN = {
    "pe_ratio": ("pe_ratio", 10),
    "price_to_book": ("price_to_book", 10),
    "market_cap": ("market_cap", 10),
    "return_on_equity": ("return_on_equity", 100),
    "debt_to_equity": ("debt_to_equity", 100),
    "revenue_growth": ("revenue_growth_ttm", 100),
    "earnings_growth": ("eps_growth_ttm", 100),
}
"""Where a source shows the figure itself and has no statements to derive it from: the vendor's metric, and for how many days it is
believed. What moves with the price ages faster."""

UNITS = {**{name: item.unit for name, item in INPUTS.items()}, **SCORES}
assert set(STATEMENT) >= {need.metric for item in INPUTS.values() for need in item.needs} - {
    "market_cap",
    "shares_outstanding",
    "analyst_rating",
}
