"""The KPI contract: what the user demands of the system, as code.

Six figures, over the trailing twelve months and over the whole period, each judged ``pass``, ``fail``, ``not enough data``
or ``not meaningful``. A ceiling (drawdown, loss of one trade) fails as soon as it is broken; everything else, and every
pass, needs a full year of sessions, and a win rate needs :data:`MIN_TRADES` closed trades. Beside each stands its 95 % interval
(:mod:`mech_exo.performance.intervals`) where one exists; it informs, the verdict is about the figure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from mech_exo.performance import trading
from mech_exo.performance.drawdowns import max_drawdown
from mech_exo.performance.intervals import Interval, cagr_interval, drawdown_interval, share_interval, sharpe_interval, wilson_interval
from mech_exo.performance.ratios import YEAR, Floats, cagr, growth, sharpe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Records = NDArray[np.void]

MAX_DRAWDOWN = 0.10
MIN_SHARPE = 0.6
MIN_CAGR = 0.15
MAX_COST_SHARE = 0.25
MAX_TRADE_LOSS = 0.02
MIN_WIN_RATE = 0.55
MIN_TRADES = 30


class Verdict(StrEnum):
    """What is said of one figure."""

    PASS = "pass"  # noqa: S105 a verdict, not a secret
    FAIL = "fail"
    NOT_ENOUGH_DATA = "not enough data"
    NOT_MEANINGFUL = "not meaningful"


@dataclass(frozen=True, slots=True)
class Kpi:
    """One figure against its threshold. ``bound`` is "at most" or "above"; ``value`` NaN where unknown; fractions, Sharpe a ratio.

    ``annualisation`` is the sessions of a year an annual figure is reckoned with, None for one that is not annual; ``risk_free`` the
    annual rate taken off, None where none is. Where there is no ``interval``, ``note`` says why.
    """

    name: str
    label: str
    value: float
    bound: str
    threshold: float
    verdict: Verdict
    interval: Interval | None = None
    note: str = ""
    annualisation: int | None = None
    risk_free: float | None = None

    def text(self, value: float | None = None) -> str:
        """``value`` (None: the figure itself) in the figure's unit; "unknown" where it is not finite."""
        number = self.value if value is None else value
        return format(number, ".2f" if self.name == "sharpe" else ".1%") if math.isfinite(number) else "unknown"

    @property
    def text_of_interval(self) -> str:
        """The interval's two ends; "none" where there is none."""
        known = self.interval is not None and math.isfinite(self.interval.low)
        return f"{self.text(self.interval.low)} to {self.text(self.interval.high)}" if known and self.interval else "none"

    def as_dict(self) -> dict[str, Any]:
        """For JSON: NaN becomes None."""
        known = self.interval is not None and math.isfinite(self.interval.low)
        return {
            "value": self.value if math.isfinite(self.value) else None,
            "bound": self.bound,
            "threshold": self.threshold,
            "verdict": self.verdict.value,
            "interval": [self.interval.low, self.interval.high] if known and self.interval else None,
            "interval_method": self.interval.method if known and self.interval else None,
            "annualisation": self.annualisation,
            "risk_free": self.risk_free,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class KpiPeriod:
    """The six figures of one period; ``start`` and ``end`` are its first and last session, None when there is none."""

    name: str
    start: date | None
    end: date | None
    sessions: int
    kpis: tuple[Kpi, ...]

    @property
    def verdict(self) -> Verdict:
        """``fail`` if one fails, else ``not enough data`` if one lacks data, else ``not meaningful`` if one is, else ``pass``."""
        said = {kpi.verdict for kpi in self.kpis}
        return next((v for v in (Verdict.FAIL, Verdict.NOT_ENOUGH_DATA, Verdict.NOT_MEANINGFUL) if v in said), Verdict.PASS)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "start": self.start.isoformat() if self.start else None,
            "end": self.end.isoformat() if self.end else None,
            "sessions": self.sessions,
            "verdict": self.verdict.value,
            **{kpi.name: kpi.as_dict() for kpi in self.kpis},
        }


@dataclass(frozen=True, slots=True)
class KpiReport:
    """The contract over the trailing twelve months and the whole period."""

    trailing: KpiPeriod
    whole: KpiPeriod

    def as_dict(self) -> dict[str, Any]:
        """For JSON: ``trailing_12_months`` and ``whole_period``."""
        return {period.name: period.as_dict() for period in (self.trailing, self.whole)}


def kpi_contract(sessions: NDArray[np.datetime64], days: Records, trades: Records, risk_free: float = 0.0) -> KpiReport:
    """Judge an account: ``sessions``, ``days`` ``(T,)`` of DAY, ``trades`` of :data:`mech_exo.performance.attribution.TRADE`.

    The trailing period is the last 252 sessions (all of them when there are fewer), with the trades closed in it and the
    positions still open; the whole period is everything. The trailing maximum drawdown begins with those sessions: a fall from an older
    peak, or one that ended before, is not in it (the metric ``max_drawdown_12m`` looks at every session of the whole period).
    """
    returns = trading.account_returns(days)
    first = max(0, len(days) - YEAR)
    recent = trades[trades["open"] | (trades["exit_row"] >= first)]
    return KpiReport(
        trailing=_period("trailing_12_months", sessions[first:], days[first:], returns[first:], recent, risk_free),
        whole=_period("whole_period", sessions, days, returns, trades, risk_free),
    )


def _period(name: str, sessions: NDArray[np.datetime64], days: Records, returns: Floats, trades: Records, risk_free: float) -> KpiPeriod:
    ends: tuple[date | None, date | None] = (sessions[0].astype(object), sessions[-1].astype(object)) if len(sessions) else (None, None)
    full = len(days) >= YEAR
    kpis = (
        _drawdown(days, returns, full),
        _sharpe(returns, risk_free, full),
        _cagr(returns, full),
        _cost_share(days, full),
        _trade_loss(trades, full),
        _win_rate(trades, full),
    )
    return KpiPeriod(name, *ends, len(days), kpis)


def _ceiling(name: str, label: str, value: float, limit: float, full: bool, interval: Interval | None = None, note: str = "") -> Kpi:
    """At most ``limit``: broken is broken, whatever the length of the record."""
    if math.isfinite(value) and value > limit:
        verdict = Verdict.FAIL
    else:
        verdict = Verdict.PASS if full and math.isfinite(value) else Verdict.NOT_ENOUGH_DATA
    return Kpi(name, label, value, "at most", limit, verdict, interval, note)


def _floor(name: str, label: str, value: float, limit: float, enough: bool, interval: Interval, note: str = "") -> Kpi:
    """Above ``limit``."""
    if not enough or not math.isfinite(value):
        return Kpi(name, label, value, "above", limit, Verdict.NOT_ENOUGH_DATA, interval, note)
    return Kpi(name, label, value, "above", limit, Verdict.PASS if value > limit else Verdict.FAIL, interval, note)


def _drawdown(days: Records, returns: Floats, full: bool) -> Kpi:
    name, label = "max_drawdown", "Maximum drawdown"
    if len(days) and not (days["nav"] > 0.0).all() and np.isfinite(days["nav"]).all():
        return Kpi(name, label, math.nan, "at most", MAX_DRAWDOWN, Verdict.FAIL, note="NAV fell to 0 or below: no interval of what is left")
    value = max_drawdown(growth(returns)) if len(returns) else math.nan
    interval = drawdown_interval(returns)
    known = math.isfinite(interval.low)
    note = "interval: what stretches of this record, drawn anew, would have brought" if known else "no interval of so few sessions"
    return _ceiling(name, label, value, MAX_DRAWDOWN, full, interval, note)


def _sharpe(returns: Floats, risk_free: float, full: bool) -> Kpi:
    note = f"annual on {YEAR} sessions; risk-free rate {risk_free:.2%} a year"
    kpi = _floor("sharpe", "Sharpe ratio", sharpe(returns, risk_free), MIN_SHARPE, full, sharpe_interval(returns, risk_free), note)
    return replace(kpi, annualisation=YEAR, risk_free=risk_free)


def _cagr(returns: Floats, full: bool) -> Kpi:
    kpi = _floor("cagr", "CAGR", cagr(returns), MIN_CAGR, full, cagr_interval(returns), f"annual on {YEAR} sessions")
    return replace(kpi, annualisation=YEAR)


def _cost_share(days: Records, full: bool) -> Kpi:
    paid = trading.costs(days)
    name, label = "cost_share", "Fees + slippage of gross P/L"
    if not full:
        return Kpi(name, label, paid.share, "at most", MAX_COST_SHARE, Verdict.NOT_ENOUGH_DATA, note=f"no interval below {YEAR} sessions")
    if not paid.gross > 0.0:
        note = f"gross P/L is {paid.gross:,.2f} USD, not above 0; costs were {paid.total:,.2f} USD"
        return Kpi(name, label, math.nan, "at most", MAX_COST_SHARE, Verdict.NOT_MEANINGFUL, note=note)
    spent = days["commission"] + days["slippage"] + days["borrow"]
    interval = share_interval(spent, trading.session_pnl(days) + spent)
    note = "" if math.isfinite(interval.high) else "no interval: in more than 2.5 % of the resamples gross P/L is not above 0"
    return _ceiling(name, label, paid.share, MAX_COST_SHARE, full, interval, note)


def _trade_loss(trades: Records, full: bool) -> Kpi:
    note = "of NAV before the entry; by lot and by whole position, open ones at the last close; no interval: one trade is no sample"
    return _ceiling("worst_trade_loss", "Largest loss of one trade", trading.worst_loss(trades), MAX_TRADE_LOSS, full, None, note)


def _win_rate(trades: Records, full: bool) -> Kpi:
    done = trading.trade_statistics(trades)
    enough = full and done.closed >= MIN_TRADES
    note = f"{done.wins} of {done.closed} closed trades" + ("" if done.closed >= MIN_TRADES else f"; {MIN_TRADES} are needed")
    return _floor("win_rate", "Win rate", done.win_rate, MIN_WIN_RATE, enough, wilson_interval(done.wins, done.closed), note)
