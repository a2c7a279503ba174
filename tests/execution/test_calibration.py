"""Calibration: what the paper broker charges is found again; under noise and outliers the interval holds what it says it holds."""

from __future__ import annotations

import dataclasses
import math
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from mech_exo.decision.strategy import cost_params
from mech_exo.domain.errors import MissingDataError
from mech_exo.domain.orders import Order, OrderKey, OrderReason, OrderState, OrderType
from mech_exo.domain.panel import BarPanel
from mech_exo.execution import calibration
from mech_exo.execution.calibration import MINIMUM, Calibration, calibrate, huber
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.paper import PaperBroker
from mech_exo.execution.rows import Intent
from mech_exo.kernels.records import CostParams, Terms
from mech_exo.utils.settings import CommissionPreset, CostModel
from tests.execution.paper_market import BOOK, market

PANEL = market(3, 60, actions=False)
FIRST = 25


def schedules(present: CostModel) -> dict[str, CostParams]:
    presets = [preset for preset in CommissionPreset if preset is not CommissionPreset.CUSTOM]
    return {"present": cost_params(present)} | {preset.value: cost_params(CostModel(commission=preset)) for preset in presets}


def paper_fills(ledger: Ledger, costs: CostModel, panel: BarPanel = PANEL, sessions: int = 30) -> None:
    """A random market order for every name and session, filled by the paper broker on ``costs``."""
    broker = PaperBroker(ledger, BOOK, costs=cost_params(costs), initial_cash=1e9, terms=Terms(30, 1.0, math.nan))
    broker.connect()
    chance = np.random.default_rng(1)
    days = [day.astype(object) for day in panel.sessions]
    for t in range(FIRST, FIRST + sessions):
        orders = []
        for symbol in panel.symbols:
            shares = int(chance.choice([-1, 1]) * chance.integers(100, 60_000))
            id_ = OrderKey(BOOK.account, BOOK.strategy, days[t + 1], symbol, str(shares > 0), "test").id()
            orders.append(Order(id_, symbol, shares, days[t + 1], OrderReason.REBALANCE))
        close = dict(zip(panel.symbols, panel.close[t].tolist(), strict=True))
        ledger.plan([Intent(order, close[order.symbol]) for order in orders], BOOK, days[t])
        for order in orders:
            ledger.set_state(order.id, OrderState.SENDING)
            ledger.set_state(order.id, OrderState.LIVE, "", order.id)
            assert broker.place(order).accepted
        for fill in broker.trade_session(panel, t + 1).fills:
            ledger.record_fill(BOOK, fill)


def estimates(found: Calibration) -> dict[str, calibration.Estimate]:
    return {one.name: one for one in found.estimates}


@pytest.mark.parametrize(
    "costs",
    [
        CostModel(slippage_bps=7.5, impact=0.8, commission=CommissionPreset.IB_TIERED),
        CostModel(slippage_bps=0.0, impact=1.3, commission=CommissionPreset.IB_FIXED, spread_usd=0.02),
        CostModel(slippage_bps=12.0, impact=0.0, commission=CommissionPreset.PER_CENT, spread_estimate=0.5),
    ],
)
def test_the_paper_brokers_costs_are_found_again(tmp_path: Path, costs: CostModel) -> None:
    believed = costs.model_copy(update={"slippage_bps": 5.0, "impact": 0.1, "commission": CommissionPreset.ZERO})
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        paper_fills(ledger, costs)
        found = calibrate(ledger, BOOK, PANEL, cost_params(believed), schedules(believed))
        same = calibrate(ledger, BOOK, PANEL, cost_params(costs), schedules(costs))
    assert found.orders == 120 and found.left_out == 0 and found.noise_bps < 1e-6
    for name, true in (("slippage_bps", costs.slippage_bps), ("impact", costs.impact)):
        one = estimates(found)[name]
        assert one.value == pytest.approx(true, abs=1e-6) and one.low - 1e-6 <= true <= one.high + 1e-6
        assert one.proposed == pytest.approx(true, abs=1e-4)
        assert estimates(same)[name].proposed == getattr(costs, name), "what the fills do not contradict stays"
    assert found.commission.proposed == costs.commission.value and found.commission.missed[costs.commission.value] == pytest.approx(0.0, abs=1e-6)
    assert same.commission.proposed == "present"


def test_partial_fills_of_an_order_count_as_one_order(tmp_path: Path) -> None:
    """An order filled in pieces at different prices has the impact of the whole."""
    costs = CostModel(slippage_bps=7.5, impact=0.8)
    with Ledger.open(tmp_path / "whole.sqlite") as whole, Ledger.open(tmp_path / "parts.sqlite") as parts:
        paper_fills(whole, costs)
        parts.plan([Intent(row.order, row.price) for row in whole.orders(BOOK)], BOOK, date(2024, 1, 2))
        for row in whole.fills(BOOK):
            fill, first = row.fill, row.fill.shares // 3
            for n, (shares, off) in enumerate(((first, 0.01 * (fill.shares - first)), (fill.shares - first, -0.01 * first))):
                price = fill.price + off / abs(fill.shares)
                parts.record_fill(BOOK, dataclasses.replace(fill, id=f"{fill.id}-{n}", shares=shares, price=price, commission=fill.commission / 2))
        one, other = (calibrate(ledger, BOOK, PANEL, cost_params(costs), schedules(costs)) for ledger in (whole, parts))
    for name in ("slippage_bps", "impact"):
        assert estimates(other)[name].value == pytest.approx(estimates(one)[name].value, abs=1e-6)
    assert other.commission.charged == pytest.approx(one.commission.charged)


def test_too_few_fills_are_refused_with_the_number_needed(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        paper_fills(ledger, CostModel(), sessions=10)
        with pytest.raises(MissingDataError, match=rf"at least {MINIMUM} .* has 40 that can be measured, 10 more are needed"):
            calibrate(ledger, BOOK, PANEL, cost_params(CostModel()), schedules(CostModel()))


def test_only_market_orders_with_a_known_arrival_are_measured(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        paper_fills(ledger, CostModel(impact=0.5))
        days = [day.astype(object) for day in PANEL.sessions]
        stop = Order("mx1-stop", "AAA", -10, days[40], OrderReason.HARD_STOP, OrderType.STOP, level=40.0, rests=True)
        ledger.plan([Intent(stop, 50.0)], BOOK, days[2])
        some = ledger.fills(BOOK)[0].fill
        ledger.record_fill(BOOK, dataclasses.replace(some, id="s", order_id=stop.id, price=1.0))
        later = dataclasses.replace(some, id="n", order_id=some.order_id, symbol="ZZZ", reference=math.nan, session=days[41])
        ledger.record_fill(BOOK, later)
        today = days[-1] + timedelta(days=1)  # its bars come in the evening
        ledger.record_fill(BOOK, dataclasses.replace(some, id="t", reference=math.nan, session=today))
        found = calibrate(ledger, BOOK, PANEL, cost_params(CostModel()), schedules(CostModel()))
    assert (found.orders, found.left_out) == (120, 2)
    assert estimates(found)["impact"].value == pytest.approx(0.5, abs=1e-6)


def test_the_intervals_hold_what_they_say_under_heavy_tails_and_outliers() -> None:
    """1,000 samples of 80 fills, Student's t noise of 3 degrees and one in twenty far off: each 95 % interval covers in 92 to 98 of 100."""
    chance, runs, truth = np.random.default_rng(7), 1_000, np.array([5e-4, 0.7])
    inside = np.zeros(2)
    for _ in range(runs):
        x = 0.02 * np.sqrt(chance.uniform(1e-5, 0.02, 80))
        noise = 1e-3 * chance.standard_t(3, 80) * np.where(chance.random(80) < 0.05, 20.0, 1.0)
        fitted, errors, _ = huber(np.column_stack([np.ones(80), x]), truth[0] + truth[1] * x + noise)
        inside += np.abs(fitted - truth) <= calibration.Z * errors
    assert ((inside / runs >= 0.92) & (inside / runs <= 0.98)).all(), inside / runs


def test_huber_is_the_minimum_of_its_own_loss() -> None:
    """Oracle: scipy finds no better coefficients for Huber's loss at the scale that was used."""
    from scipy.optimize import minimize

    chance = np.random.default_rng(2)
    design = np.column_stack([np.ones(60), chance.uniform(0.0, 1.0, 60)])
    y = design @ np.array([0.3, 2.0]) + 0.1 * chance.standard_t(2, 60)
    fitted, _, scale = huber(design, y)

    def loss(coefficients: np.ndarray) -> float:
        left = np.abs(y - design @ coefficients) / scale
        return float(np.where(left <= calibration.K, left**2 / 2.0, calibration.K * left - calibration.K**2 / 2.0).sum())

    best = minimize(loss, fitted, method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-12, "maxiter": 4000})
    assert fitted == pytest.approx(best.x, abs=1e-6)


def test_what_does_not_vary_says_nothing_of_impact() -> None:
    fitted, errors, _ = huber(np.column_stack([np.ones(60), np.full(60, 0.01)]), np.random.default_rng(0).normal(5e-4, 1e-4, 60))
    assert fitted[0] == pytest.approx(5e-4, abs=1e-4) and math.isfinite(errors[0])
    assert fitted[1] == 0.0 and errors[1] == math.inf


def test_one_fill_that_went_wrong_moves_hardly_anything() -> None:
    """60 orders with noise of 1 bp and one 500 bps off: least squares would say 8 bps more."""
    chance = np.random.default_rng(4)
    design = np.column_stack([np.ones(60), 0.02 * np.sqrt(chance.uniform(1e-5, 0.02, 60))])
    y = design @ np.array([5e-4, 0.5]) + 1e-4 * chance.standard_normal(60)
    before, errors, _ = huber(design, y)
    y[7] += 0.05
    after, wider, scale = huber(design, y)
    assert np.abs(after - before) == pytest.approx(np.zeros(2), abs=float(errors.max())) and abs(after[0] - before[0]) < 2e-5
    assert (wider < 1.5 * errors).all() and scale < 2e-4
    assert abs(np.linalg.lstsq(design, y, rcond=None)[0][0] - before[0]) > 1e-4, "what it is spared"
