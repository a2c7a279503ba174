"""The same terms and wishes for the engine as for the naive account, and the comparison of what they did."""

from __future__ import annotations

import math

import numpy as np

from mech_exo.backtest.engine import EventBacktester
from mech_exo.decision.tickets import limit, on_close, stop
from mech_exo.kernels.records import DAY, EventKind, Outcome, Reason
from mech_exo.utils.settings import CostModel, GovernorRules, MarginRules, RiskLimits, StopRules
from tests.oracles.naive_account import NaiveAccount
from tests.oracles.naive_market import Terms


def asked(wishes):
    """Wishes as a callable strategy says them."""

    def said(wish):
        if wish.kind == "limit":
            return limit(wish.shares, price=wish.price, keep=wish.keep)
        if wish.kind == "stop":
            return stop(wish.shares, price=wish.price, keep=wish.keep)
        return on_close(wish.shares) if wish.kind == "close" else wish.shares

    return {f"S{s}": said(wish) for s, wish in wishes.items()}


def backtester_of(panel, function, terms: Terms, flows):
    costs = CostModel(
        commission="custom", per_share=terms.per_share, fraction=terms.fraction, min_order=terms.minimum, max_fraction=terms.cap,
        slippage_bps=terms.slippage * 1e4, spread_usd=terms.spread_usd, spread_estimate=terms.spread_estimate, impact=terms.impact,
        impact_window=terms.impact_window, participation=terms.participation, cash_rate=terms.cash_rate, margin_rate=terms.margin_rate,
        borrow_rate=terms.borrow_rate,
    )  # fmt: skip
    stops = StopRules(
        hard=terms.hard, trailing=terms.trailing, target=terms.target, time_sessions=terms.time, time_days=terms.time_days,
        volatility_atr=None, active_on_entry=terms.at_entry, adjust_for_dividends=terms.adjust,
    )  # fmt: skip
    margin = None
    if terms.initial is not None:
        margin = MarginRules(initial=terms.initial, maintenance_long=terms.maintenance_long, maintenance_short=terms.maintenance_short)
    limits = RiskLimits.off(stops, margin)
    if terms.governor is not None:
        mine = terms.governor
        rules = GovernorRules(
            soft_drawdown=mine.soft, min_change=mine.step, re_risk="recovered" if mine.recovered else "decision", wait_sessions=mine.wait
        )
        book = limits.portfolio.model_copy(update={"max_drawdown": mine.hard})
        limits = limits.model_copy(update={"governor": rules, "portfolio": book})
    made = EventBacktester(
        panel, function, costs=costs, initial_cash=terms.cash, limits=limits, fractional=terms.fractional, flows=np.array(flows)
    )
    made.config = made.config.model_copy(
        update={"strategy": made.config.strategy.model_copy(update={"max_missing_sessions": terms.patience})}
    )
    return made


def close_to(ours, theirs, scale=1.0):
    if theirs is None:
        return math.isnan(ours)
    return math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-9 * scale)


def compare(result, naive: NaiveAccount, scale):
    """Every event and every figure of every session."""
    events = result.events
    for place, theirs in enumerate(naive.log):
        assert place < len(events), f"not said: {theirs}"
        ours = dict(zip(events.dtype.names, events[place].tolist(), strict=True))
        words = (EventKind(ours["kind"]).name.lower(), Outcome(ours["outcome"]).name.lower(), Reason(ours["reason"]).name.lower())
        assert (ours["row"], ours["symbol"], *words) == (
            theirs["row"], theirs["symbol"], theirs["kind"], theirs["outcome"], theirs["reason"],
        ), (place, ours, theirs)  # fmt: skip
        for name in ("shares", "price", "reference", "commission", "cash"):
            assert close_to(ours[name], theirs[name], scale if name in ("commission", "cash") else 1.0), (name, ours, theirs)
    assert len(events) == len(naive.log), f"said beyond: {events[len(naive.log)]}"
    for name in set(DAY.names or ()) - {"state"}:
        for row, (ours, theirs) in enumerate(zip(result.days[name].tolist(), naive.book, strict=True)):
            assert close_to(ours, theirs[name], scale), (row, name, ours, theirs[name])
