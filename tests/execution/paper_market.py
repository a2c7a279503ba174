"""A small market and a paper broker for it."""

from __future__ import annotations

import math

import numpy as np

from mech_exo.decision.strategy import cost_params
from mech_exo.domain.panel import BarPanel
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.paper import PaperBroker
from mech_exo.execution.rows import BookId
from mech_exo.kernels.records import CostParams, Terms
from mech_exo.utils.settings import CostModel

BOOK = BookId("paper", "default")
SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
CASH = 100_000.0


def costs(*, slippage: float = 0.0005) -> CostParams:
    """Interactive Brokers' fixed schedule and 5 bps."""
    return cost_params(CostModel(slippage_bps=1e4 * slippage, cash_rate=0.01))


def paper_broker(ledger: Ledger, **changes: float) -> PaperBroker:
    """A paper broker of :data:`BOOK`, not connected."""
    return PaperBroker(ledger, BOOK, costs=costs(**changes), initial_cash=CASH, terms=Terms(3, 1.0, math.nan))


def market(seed: int = 0, sessions: int = 40, symbols: tuple[str, ...] = SYMBOLS, *, actions: bool = True) -> BarPanel:
    """Random bars on weekdays from 2024-01-02; with gaps, splits, dividends and a delisting where ``actions``."""
    chance = np.random.default_rng(seed)
    shape = (sessions, len(symbols))
    close = 50.0 * np.exp(np.cumsum(chance.normal(0.0, 0.02, shape), axis=0))
    open_ = close * np.exp(chance.normal(0.0, 0.01, shape))
    high = np.maximum(open_, close) * (1.0 + chance.uniform(0.0, 0.02, shape))
    low = np.minimum(open_, close) * (1.0 - chance.uniform(0.0, 0.02, shape))
    bars = {"open": open_, "high": high, "low": low, "close": close, "volume": np.full(shape, 1e6)}
    if actions:
        gaps = chance.random(shape) < 0.05
        for values in bars.values():
            values[gaps] = np.nan
        bars["split_ratio"] = np.where(chance.random(shape) < 0.03, 2.0, 1.0)
        bars["dividend"] = np.where(chance.random(shape) < 0.05, 0.25, 0.0)
        ends = np.full(shape[1], sessions)
        ends[-1] = sessions * 2 // 3
        bars["delisted"] = ends
        for name in ("open", "high", "low", "close", "volume"):
            bars[name][ends[-1] :, -1] = np.nan
    days = np.busday_offset("2024-01-02", np.arange(sessions), roll="forward").astype("datetime64[D]")
    return BarPanel.from_arrays(days, symbols, bars)
