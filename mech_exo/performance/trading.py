"""What trading did: costs, turnover, exposure and the statistics of closed trades, from the engine's records.

``days`` ``(T,)`` is :data:`mech_exo.kernels.records.DAY`, ``events`` ``(M,)`` is EVENT, ``trades`` is
:data:`mech_exo.performance.attribution.TRADE`. USD unless a name says fraction. NaN where nothing was measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.kernels.records import EventKind, Outcome
from mech_exo.performance.ratios import YEAR, Floats, time_weighted_returns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Records = NDArray[np.void]

ORDER_KINDS = (EventKind.ORDER, EventKind.STOP, EventKind.TARGET)


def session_pnl(days: Records) -> Floats:
    """``(T,)`` change of NAV in each session net of flows: price P&L + dividends + interest - borrow - commission - slippage."""
    gains = days["price_pnl"] + days["dividends"] + days["interest"]
    result: Floats = gains - days["borrow"] - days["commission"] - days["slippage"]
    return result


def opening_nav(days: Records) -> float:
    """NAV before the first session: its closing NAV less its flow and its P&L. NaN without sessions."""
    return float(days["nav"][0] - days["flow"][0] - session_pnl(days[:1])[0]) if len(days) else math.nan


def account_returns(days: Records) -> Floats:
    """``(T,)`` time-weighted session returns of the account, fractions.

    An account that was empty and got its first deposit in the first session opens with that deposit. NaN rule as in
    :func:`mech_exo.performance.ratios.time_weighted_returns`.
    """
    start, flow = _opening(days)
    return time_weighted_returns(days["nav"], flow, start)


def gross_returns(days: Records) -> Floats:
    """``(T,)`` :func:`account_returns` before commission, slippage and borrow fees: each session's costs are put back, over the same NAV.

    What the strategy would have earned on the capital it had if trading were free; costs of earlier sessions stay paid (GIPS 2020,
    glossary "gross-of-fees", here before trading costs too). NaN where the net return is.
    """
    start, _ = _opening(days)
    before = np.concatenate([[start], days["nav"][:-1]]) if len(days) else np.empty(0)
    paid = days["commission"] + days["slippage"] + days["borrow"]
    result: Floats = account_returns(days) + paid / np.where(before > 0.0, before, np.nan)
    return result


def _opening(days: Records) -> tuple[float, Floats]:
    """NAV before the first session and ``(T,)`` flows; a first deposit into an empty account is its opening NAV, no flow."""
    flow = days["flow"].astype(np.float64)
    start = opening_nav(days)
    if len(flow) and flow[0] > 0.0 and abs(start) <= 1e-9 * flow[0]:
        start, flow[0] = flow[0], 0.0
    return start, flow


@dataclass(frozen=True, slots=True)
class Costs:
    """Where gross became net, USD. ``net = gross - commission - slippage - borrow``."""

    gross: float
    commission: float
    slippage: float
    borrow: float
    net: float

    @property
    def total(self) -> float:
        """Commission + slippage + borrow fees."""
        return self.commission + self.slippage + self.borrow

    @property
    def share(self) -> float:
        """Total costs as a fraction of gross P&L; NaN ("not meaningful") unless gross P&L is above 0."""
        return self.total / self.gross if self.gross > 0.0 else math.nan


def costs(days: Records) -> Costs:
    """Gross P&L = price P&L + dividends + interest, and what was paid out of it. All NaN without sessions."""
    if not len(days):
        return Costs(math.nan, math.nan, math.nan, math.nan, math.nan)
    commission, slippage, borrow = (float(days[name].sum()) for name in ("commission", "slippage", "borrow"))
    net = float(session_pnl(days).sum())
    return Costs(net + commission + slippage + borrow, commission, slippage, borrow, net)


def turnover_ann(days: Records) -> float:
    """One-way turnover per year: (bought + sold) / 2 ÷ average closing NAV ÷ (T / 252). 1.0 = the whole book once a year.

    NaN without sessions or with an average NAV not above 0.
    """
    if not len(days):
        return math.nan
    average = float(days["nav"].mean())
    return float(days["traded"].sum()) / 2.0 / average * YEAR / len(days) if average > 0.0 else math.nan


def exposure(days: Records) -> tuple[Floats, Floats]:
    """``(T,)`` gross and net exposure at each close as fractions of NAV; NaN where NAV is not above 0."""
    nav = np.where(days["nav"] > 0.0, days["nav"], np.nan)
    return (days["long_value"] - days["short_value"]) / nav, (days["long_value"] + days["short_value"]) / nav


@dataclass(frozen=True, slots=True)
class Activity:
    """Counts of events. ``orders`` = every order, stop and target that came to the market, filled or not."""

    orders: int
    fills: int
    stop_outs: int
    target_exits: int
    delistings: int

    @property
    def unfilled(self) -> int:
        """Orders, or cut-off parts of them, that ended unfilled: no bar, expired, ended, or more than the margin allows."""
        return self.orders - self.fills


def activity(events: Records) -> Activity:
    """Count ``events``. A stop-out is a filled resting stop of any kind; time stops are orders, not stop-outs.

    What is carried to the next session is not over and not counted yet; each session's execution of an order is a fill.
    """
    kind, filled = events["kind"], events["outcome"] == Outcome.FILLED
    order = np.logical_or.reduce([kind == code for code in ORDER_KINDS])  # np.isin takes ten times as long
    order &= events["outcome"] != Outcome.CARRIED
    return Activity(
        orders=int(order.sum()),
        fills=int((order & filled).sum()),
        stop_outs=int((filled & (kind == EventKind.STOP)).sum()),
        target_exits=int((filled & (kind == EventKind.TARGET)).sum()),
        delistings=int(((kind == EventKind.DELISTING) | (kind == EventKind.STALE_CLOSE)).sum()),
    )


@dataclass(frozen=True, slots=True)
class TradeStatistics:
    """Closed round trips; a trade wins when its net P&L is above 0. Ratios are NaN where their denominator is empty."""

    closed: int
    open: int
    wins: int
    win_rate: float
    profit_factor: float
    payoff: float
    expectancy: float
    average_return: float
    average_holding: float
    best: float
    worst: float


def trade_statistics(trades: Records) -> TradeStatistics:
    """Statistics of ``trades``.

    win_rate = wins / closed; profit_factor = Σ gains / |Σ losses|; payoff = mean gain / |mean loss|; expectancy = mean net
    P&L of a closed trade (USD); average_return = mean return on entry value; best and worst are fractions of NAV at entry.
    Van Tharp (1998), "Trade Your Way to Financial Freedom", ch. 7, in USD instead of multiples of risk.
    """
    done = trades[~trades["open"]]
    pnl = done["pnl"]
    gains, losses = pnl[pnl > 0.0], pnl[pnl < 0.0]
    lost = float(losses.sum())
    return TradeStatistics(
        closed=len(done),
        open=len(trades) - len(done),
        wins=len(gains),
        win_rate=len(gains) / len(done) if len(done) else math.nan,
        profit_factor=float(gains.sum()) / -lost if lost < 0.0 else math.nan,
        payoff=_mean(gains) / -_mean(losses),
        expectancy=_mean(pnl),
        average_return=_mean(done["return"]),
        average_holding=_mean(done["holding"]),
        best=float(done["nav_fraction"].max()) if len(done) else math.nan,
        worst=float(done["nav_fraction"].min()) if len(done) else math.nan,
    )


def worst_loss(trades: Records) -> float:
    """Largest loss of one trade as a positive fraction of NAV at its entry; 0 if none lost, NaN without trades or without a NAV.

    A trade is one lot and also one whole position (flat to flat): the larger loss counts, so that buying in three parts
    does not make a loss three times smaller. Open trades count at the last close.
    """
    if not len(trades):
        return math.nan
    by_entry = trades[np.argsort(trades["entry_row"], kind="stable")]
    _, first, member = np.unique(by_entry["position"], return_index=True, return_inverse=True)
    whole = np.bincount(member, by_entry["pnl"]) / by_entry["nav"][first]
    worst = np.minimum(trades["nav_fraction"].min(), whole.min())  # NumPy's minimum keeps NaN, Python's min does not
    return -float(np.minimum(worst, 0.0))


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else math.nan
