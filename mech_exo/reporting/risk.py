"""The tear sheet's section on risk: how much of its limits an account used, what its last book risks, what bad days would do to it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.performance import figures
from mech_exo.performance.drawdowns import trailing_drawdown
from mech_exo.performance.ratios import growth
from mech_exo.performance.trading import account_returns, exposure
from mech_exo.reporting import page
from mech_exo.reporting.text import UNKNOWN, percent, ratio, whole
from mech_exo.reporting.view import Chart, Result, Section, Table

if TYPE_CHECKING:
    from mech_exo.domain.portfolio import Portfolio
    from mech_exo.risk.model import BookRisk
    from mech_exo.risk.stress import StressLine
    from mech_exo.utils.settings import RiskLimits

USE = "Of each limit, 100 % is the limit itself: gross and net exposure, and the fall from the trailing 12-month peak."
STOPS = "No stop is counted: in a gap a resting stop fills at the open, wherever that is."
NOTHING_HELD = "Nothing is held at the last close."


def risk(result: Result) -> Section:
    """Limits through time, the last book's risk, stress."""
    from mech_exo.risk.model import Terms, book_risk
    from mech_exo.risk.stress import stress

    book, terms = _closing(result), Terms.of(result.config.risk)
    market = result.market if book.positions else None
    measured = book_risk(book, market, terms)
    stressed = stress(book, market, terms) if book.positions else ()
    tables = (_book_table(measured, book, result.market is not None), _parts(measured), _stress_table(stressed))
    return Section("risk", "Risk and limits", (_use(result), *tables))


def _use(result: Result) -> Chart:
    limits, days = result.config.risk, result.days
    title = "Use of limits"
    if not len(days):
        return page.drawn(title, USE, "No session yet.", lambda: figures.limits_figure(result.sessions, {}))
    asked = _asked(limits)
    if not asked:
        return page.drawn(title, USE, "No limit was on.", lambda: figures.limits_figure(result.sessions, {}))
    gross, net = exposure(days)
    values = {"Gross": gross, "Net": np.abs(net), "Drawdown": trailing_drawdown(growth(account_returns(days)))[1:]}
    used = {name: values[name] / limit for name, limit in asked.items()}
    return page.drawn(title, USE, "", lambda: figures.limits_figure(result.sessions, used))


def _asked(limits: RiskLimits) -> dict[str, float]:
    from mech_exo.domain.verdict import BreachCode
    from mech_exo.risk.usage import limit_of

    gross = [x for x in (limit_of(code, limits) for code in (BreachCode.GROSS, BreachCode.LEVERAGE)) if x is not None]
    found = {
        "Gross": min(gross, default=None),
        "Net": limit_of(BreachCode.NET, limits),
        "Drawdown": limit_of(BreachCode.DRAWDOWN, limits),
    }
    return {name: limit for name, limit in found.items() if limit is not None}


def _closing(result: Result) -> Portfolio:
    """What was held at the last close, at the market's prices; a share is 1 USD where those are not at hand."""
    from mech_exo.domain.portfolio import Portfolio, Position

    if not len(result.days) or not result.days["nav"][-1] > 0.0:
        return Portfolio(0.0)
    nav, held = float(result.days["nav"][-1]), result.holdings
    last, market = result.sessions[-1].astype(object), result.market
    opened = datetime.combine(last, datetime.min.time(), UTC)
    positions = {}
    for row in held.filter(held["date"] == last).iter_rows(named=True):
        value, symbol = row["weight"] * nav, row["symbol"]
        price = 1.0 if market is None else float(market.panel.close[-1, market.panel.column_of(symbol)])
        price = price if price > 0.0 else 1.0
        if np.isfinite(value) and value != 0.0:
            positions[symbol] = Position(symbol, value / price, price, price, opened, row["sector"])
    return Portfolio(nav - sum(p.market_value for p in positions.values()), positions)


def _book_table(risk: BookRisk, book: Portfolio, bars: bool) -> Table:
    """``bars`` says whether the prices of what is held are at hand."""
    head = ("Figure", "USD", "Of NAV", "As limits measure it, USD")
    rows: list[tuple[str, ...]] = []

    def money(label: str, value: float | None, bare: float | None = None) -> None:
        part = UNKNOWN if value is None or not book.nav > 0.0 else percent(value / book.nav)
        rows.append((label, whole(value), part, "" if bare is None else whole(bare)))

    level = f"{risk.level:.0%}".replace("%", "\u00a0%")
    money("Volatility, a year", risk.volatility_ann, risk.volatility_without_offsets)
    money(f"Value at risk {level}, a session", risk.value_at_risk, risk.value_at_risk_without_offsets)
    money(f"Expected shortfall {level}, a session", risk.expected_shortfall, risk.expected_shortfall_without_offsets)
    money("Value at risk under a normal law", risk.normal_value_at_risk)
    rows.append(("Beta to the members, equally weighted", "", ratio(risk.beta), ""))
    pair = risk.worst_pair
    rows.append(("Average correlation of positions", "", ratio(risk.average_correlation), ""))
    rows.append((f"Highest: {pair[0]} and {pair[1]}" if pair else "Highest correlation", "", ratio(pair[2] if pair else None), ""))
    rows.append(("Five largest positions", "", percent(risk.top_five), ""))
    unknown = f" Unknown because of {', '.join(sorted(risk.unknown))}." if risk.unknown else ""
    if not bars:
        unknown = " Unknown here: the prices of what is held are not at hand; a run that was loaded without its data has none."
    note = f"By the last {risk.window} sessions of what was held at the last close. In a limit no hedge relieves another loss.{unknown}"
    return Table("What the last book risks", head, tuple(rows) if book.positions else (), nothing=NOTHING_HELD, note=note)


def _parts(risk: BookRisk) -> Table:
    """Each position's part in the volatility, the largest first."""
    head = ("Position", "Component, USD", "Share of volatility", "Own volatility", "Beta", "Days to exit")
    lines = sorted(risk.positions, key=lambda line: -(line.component or 0.0))
    rows = tuple(
        (
            line.symbol, whole(line.component), percent(line.share, 1), percent(line.volatility_ann, 1), ratio(line.beta),
            _days(line.days_to_exit),
        )
        for line in lines
    )  # fmt: skip
    note = "The components sum to the volatility of the book (Euler); one below 0 hedges."
    return Table("Who carries the risk", head, rows, nothing=NOTHING_HELD, note=note)


def _days(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:,.1f}" if value >= 0.05 or value == 0.0 else "< 0.1"


def _stress_table(lines: tuple[StressLine, ...]) -> Table:
    head = ("Scenario", "USD", "Of NAV", "Worst position", "Rests on")
    rows = tuple(
        (
            f"{line.scenario} ({line.detail})" if line.detail else line.scenario, "not measured" if line.pnl is None else whole(line.pnl),
            "" if line.fraction is None else percent(line.fraction, 1), f"{line.worst[0]} {whole(line.worst[1])}" if line.worst else "",
            line.basis + (f"; not measured: {', '.join(line.unmeasured)}" if line.unmeasured and line.pnl is not None else ""),
        )
        for line in lines
    )  # fmt: skip
    return Table("Stress of the last book", head, rows, left=(0, 3, 4), nothing=NOTHING_HELD, note=STOPS)
