"""On the engine's own records: trades, interest and borrow fees explain every dollar of NAV, through splits, dividends and delistings."""

from __future__ import annotations

import numpy as np
import pytest

from mech_exo.backtest import EventBacktester
from mech_exo.domain.panel import BarPanel
from mech_exo.kernels.records import EventKind
from mech_exo.performance.trading import account_returns, opening_nav
from mech_exo.utils.settings import CostModel

ROWS, NAMES = 260, 6


def market(seed: int) -> BarPanel:
    """Random walks with gaps, splits both ways, dividends and one delisting."""
    rng = np.random.default_rng(seed)
    close = 60.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, (ROWS, NAMES)), axis=0))
    ratio, dividend = np.ones((ROWS, NAMES)), np.zeros((ROWS, NAMES))
    ratio[80, 0], ratio[120, 1], ratio[150, 2] = 2.0, 0.1, 1.5
    dividend[60::63, 3] = 0.4
    close = close / np.cumprod(ratio, axis=0)
    bars = {"open": close * (1 + rng.normal(0, 0.003, close.shape)), "close": close, "volume": np.full(close.shape, 1e6)}
    bars["high"] = np.maximum(bars["open"], close) * 1.01
    bars["low"] = np.minimum(bars["open"], close) * 0.99
    bars["delisted"] = np.array([ROWS] * (NAMES - 1) + [200])
    gaps = rng.random(close.shape) < 0.01
    gaps[ratio != 1.0] = False
    for name in ("open", "high", "low", "close", "volume"):
        bars[name] = np.where(gaps, np.nan, bars[name])
        bars[name][200:, -1] = np.nan
    names = [f"S{i}" for i in range(NAMES)]
    sessions = np.busday_offset("2015-01-02", np.arange(ROWS), roll="forward")
    return BarPanel.from_arrays(sessions, names, bars | {"split_ratio": ratio, "dividend": dividend})


@pytest.mark.parametrize("seed", [1, 2])
def test_trades_explain_the_nav_of_the_engine(seed):
    chance = np.random.default_rng(seed)

    def strategy(view, portfolio):
        row = view.panel.shape[0]
        if row % 13:
            return None
        weights = chance.uniform(-0.15, 0.3, NAMES)
        return {symbol: float(w) for symbol, w in zip(view.symbols, weights, strict=True) if np.isfinite(view.price[view.symbols.index(symbol)])}

    costs = CostModel(slippage_bps=7.0, cash_rate=0.02, borrow_rate=0.03)
    result = EventBacktester(market(seed), strategy, costs=costs, initial_cash=250_000.0).run()
    days, trades = result.days, result.round_trips
    kinds = set(result.events["kind"])
    assert {EventKind.ORDER, EventKind.SPLIT, EventKind.DIVIDEND, EventKind.DELISTING} <= kinds
    explained = trades["pnl"].sum() + days["interest"].sum() - days["borrow"].sum()
    assert opening_nav(days) == pytest.approx(250_000.0, abs=1e-6)
    assert explained == pytest.approx(days["nav"][-1] - 250_000.0, abs=1e-6)
    assert trades["commission"].sum() == pytest.approx(days["commission"].sum(), abs=1e-6)
    assert trades["slippage"].sum() == pytest.approx(days["slippage"].sum(), abs=1e-6)
    assert np.cumprod(1.0 + account_returns(days)) == pytest.approx(days["index"], rel=1e-12)
    assert (trades["shares"] < 0).any() and (trades["split_factor"] != 1.0).any()
