"""What the limits cost: the verdict on a plan of 500 targets among 3,000 names, and their share of the compiled workload W2.

    python bench/risk.py [--json] [--quick]
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import numpy as np
from _common import Line, best, line, main

from mech_exo.backtest.engine import EventBacktester
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.kernels.account import new_book
from mech_exo.kernels.records import Bars, RiskState
from mech_exo.risk.limits import LimitParams
from mech_exo.risk.rules import BREACH, PLAN, Falls, Past, Sight, approve, read_gaps
from mech_exo.scoring.inputs import FactorInputs
from mech_exo.utils.settings import PortfolioLimits, PositionLimits, RiskLimits, RiskModelLimits
from tests.oracles import market
from tests.oracles.workloads import configured

NAMES, TARGETS = 3000, 500
NAV = 10_000_000.0
PEER = ("nautilus_trader 1.221, one market order, all checks (W7)", 2.48)
EVERY = RiskLimits(
    position_sizing=PositionLimits(max_volume_share=0.5, max_exit_days=20.0),
    portfolio=PortfolioLimits(
        max_turnover=1.0, max_top_five=0.4, max_daily_loss=0.05, max_all_time_drawdown=0.3, max_price_deviation=0.05, shorts="never"
    ),
    risk_model=RiskModelLimits(
        max_pair_correlation=0.8, max_average_correlation=0.5, max_volatility=0.2, max_value_at_risk=0.03, max_expected_shortfall=0.05,
        max_beta=1.0,
    ),
)  # fmt: skip


def verdict_on(panel: BarPanel, returns: np.ndarray, limits: RiskLimits) -> Callable[[], int]:
    """What a night calls for a plan of 500 targets, at the panel's last close."""
    params, row = LimitParams.of(limits), panel.shape[0] - 1
    bars, chance = Bars.of(panel), np.random.default_rng(1)
    names = np.sort(chance.choice(NAMES, TARGETS, replace=False))
    plan, book, breaches = np.zeros(NAMES, PLAN), new_book(NAMES), np.zeros(4 * NAMES + 64, BREACH)
    plan["stop"] = math.nan
    plan["wanted"][names] = np.floor(1.2 * NAV / TARGETS / panel.close[row, names])
    plan["stop"][names] = 0.85 * panel.close[row, names]
    past = Past(row, bars, np.zeros(NAMES, np.bool_), returns)
    sight = Sight(panel.close[row], _sectors(panel)[row], np.zeros(NAMES, np.int8), None if params.rare is None else past)

    def judge() -> int:
        read_gaps(row, plan, bars, np.empty((NAMES, params.gap_window)), np.full(NAMES, -1), params.gap_share)
        return approve(
            plan, names, TARGETS, book, sight, NAV, int(RiskState.ACTIVE), Falls(0.0, 0.0, 0.0), 1.0, params, breaches
        )

    if judge() == 0 or not plan["target"].any():
        raise SystemExit("no limit binds, or all of them deny: nothing worth measuring")
    return judge


def _sectors(panel: BarPanel) -> np.ndarray:
    return np.broadcast_to((np.arange(panel.shape[1]) % 11).astype(np.int16), panel.shape)


def verdicts(repeats: int) -> list[Line]:
    """A plan of 500 with the default limits, and with every limit."""
    panel = market.panel(NAMES, 600)
    returns = FactorInputs(panel).market_return
    default = 1e3 * best(verdict_on(panel, returns, RiskLimits()), 5 * repeats)
    every = 1e3 * best(verdict_on(panel, returns, EVERY), repeats)
    what = f"verdict on {TARGETS} targets among {NAMES:,} names"
    return [
        line(f"{what}, default limits", default, "ms", 20.0),
        line("the same for each target", 1e3 * default / TARGETS, "us", 2.5, PEER),
        line(f"{what}, every limit on", every, "ms", 20.0, ("default limits", default)),
    ]


def share_of_backtest(repeats: int, symbols: int) -> Line:
    """W2 with the default limits on against W2 without, both with sectors known."""
    panel = market.panel(symbols)
    universe = Universe(np.ones(panel.shape, np.bool_), _sectors(panel), tuple(f"Sector {k}" for k in range(11)))
    config = configured(panel, "W2")
    ruled = config.model_copy(update={"risk": RiskLimits(stops=config.risk.stops)})
    free, bound = (EventBacktester(panel, each, universe=universe) for each in (config, ruled))
    if len(bound.run().fills) < 1000:
        raise SystemExit("the limits leave hardly an order: nothing worth measuring")
    without, with_limits = math.inf, math.inf
    for _ in range(3):  # turn about: the machine may be busy for a while
        without, with_limits = min(without, best(free.run, repeats)), min(with_limits, best(bound.run, repeats))
    name = f"W2, {symbols} x 2520, with the default limits: times W2 without"
    return line(name, with_limits / without, "x", 1.3, ("W2 without", 1e3 * without), "ms")


def measure(quick: bool) -> list[Line]:
    """Every figure."""
    repeats = 2 if quick else 10
    return [*verdicts(repeats), share_of_backtest(repeats, 100 if quick else 500)]


if __name__ == "__main__":
    sys.exit(main("Limits", measure, __doc__))
