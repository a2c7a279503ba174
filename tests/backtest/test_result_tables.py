"""The tables of a result agree with the engine's own account, and with each other."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mech_exo.backtest import EventBacktester, shares
from mech_exo.domain.panel import BarPanel
from mech_exo.kernels.records import EventKind
from mech_exo.utils.settings import CostModel, StopRules
from tests.backtest.driving import busy_config, default_config, sample

CENT = 1e-6


@pytest.fixture(scope="module", params=["busy", "default", "random"])
def result(request):
    panel, universe = sample(seed=5, symbols=40, years=4)
    rng = np.random.default_rng(4)

    def anything(view, portfolio):
        if view.row % 9:
            return None
        return {name: w for name, w, price in zip(view.symbols, rng.uniform(-0.1, 0.1, 40), view.price, strict=True) if price > 0 and abs(w) > 0.03}

    strategy = {"busy": busy_config(), "default": default_config(), "random": anything}[request.param]
    costs = CostModel(cash_rate=0.03, borrow_rate=0.05, margin_rate=0.07)
    stops = StopRules() if request.param == "random" else None
    return EventBacktester(panel, strategy, universe=universe, costs=costs, stops=stops, initial_cash=80_000.0).run()


def test_holdings_are_the_engine_s_account_at_every_close(result):
    held = result.holdings
    assert {EventKind.SPLIT, EventKind.DIVIDEND} <= set(result.events["kind"].tolist())
    row = np.searchsorted(result.sessions, held["date"].to_numpy())
    value = held["value"].to_numpy()
    for side, field in ((value > 0, "long_value"), (value < 0, "short_value")):
        assert np.bincount(row[side], value[side], len(result.days)) == pytest.approx(result.days[field], abs=CENT)
    assert (held["shares"] != 0).all() and held["price"].is_nan().sum() == 0
    assert held["weight"].to_numpy() == pytest.approx(value / result.days["nav"][row], rel=1e-12)
    assert held.select("date", "symbol").is_unique().all() and held.sort("date", "symbol").equals(held)


def test_exposure_is_the_account_as_fractions(result):
    table, days = result.exposure, result.days
    assert table["gross"].to_numpy() == pytest.approx((days["long_value"] - days["short_value"]) / days["nav"], rel=1e-12)
    assert (table["long"] + table["short"]).to_numpy() == pytest.approx(table["net"].to_numpy(), abs=1e-12)
    assert (table["net"] + table["cash"]).to_numpy() == pytest.approx(1.0, abs=1e-9)
    counts = result.holdings.group_by("date").len().sort("date")
    assert table.filter(pl.col("positions") > 0)["positions"].to_list() == counts["len"].to_list()


def test_weights_are_wide_holdings(result):
    wide = result.weights
    assert wide.height == len(result.sessions) and wide.columns[1:] == sorted(result.holdings["symbol"].unique())
    assert wide.drop("date").sum_horizontal().to_numpy() == pytest.approx(result.exposure["net"].to_numpy(), abs=1e-9)


def test_costs_go_from_gross_to_net_every_session(result):
    table = result.costs
    nav = np.concatenate([[80_000.0], result.days["nav"]])
    assert table["net"].to_numpy() == pytest.approx(np.diff(nav) - result.days["flow"], abs=CENT)
    kinds = table.select("commission", "slippage", "borrow", "margin_interest")
    assert (kinds.min_horizontal() >= 0).all() or (result.days["slippage"] < 0).any()
    assert table["total"].to_numpy() == pytest.approx(kinds.sum_horizontal().to_numpy(), abs=CENT)
    assert (table["interest_earned"] - table["margin_interest"]).to_numpy() == pytest.approx(result.days["interest"], abs=1e-12)
    by_kind = dict(result.costs_by_kind.select("kind", "usd").iter_rows())
    assert by_kind["commission"] == pytest.approx(result.metrics["commission"]) and by_kind["total"] == pytest.approx(table["total"].sum())


def test_orders_say_when_they_were_decided(result):
    orders = result.orders
    decided = orders.filter(pl.col("kind") == "order")
    row = {day: number for number, day in enumerate(result.equity["date"])}
    assert all(row[order["date"]] - row[order["decided"]] == 1 for order in decided.iter_rows(named=True)) and decided.height > 100
    assert orders.filter(pl.col("kind") != "order")["decided"].is_null().all()
    filled = orders.filter(pl.col("outcome") == "filled")
    assert filled["reference"].is_nan().sum() == 0 and filled["price"].is_nan().sum() == 0
    assert orders.filter(pl.col("outcome") != "filled")["price"].is_nan().all()


def test_attribution_adds_up_to_the_net_profit(result):
    days = result.days
    rest = days["interest"].sum() - days["borrow"].sum()
    for table in (result.by_symbol, result.by_sector):
        assert table["pnl"].sum() + rest == pytest.approx(days["nav"][-1] - 80_000.0, abs=1e-5)
    assert result.by_exit_reason["pnl"].sum() == pytest.approx(result.trades.filter(~pl.col("open"))["pnl"].sum())
    sectors = {result.universe.sector_names[code] for code in np.unique(result.universe.sector) if code >= 0}
    assert set(result.by_sector["sector"].drop_nulls()) <= sectors and result.trades["sector"].null_count() < result.trades.height


def test_the_mark_of_what_has_no_close():
    """Bought at an open without a close after it: the reference; later the last close, divided by the split that came meanwhile."""
    days = 8
    close = np.array([10.0, np.nan, 12.0, np.nan, np.nan, 6.5, 7.0, 7.0])
    opening = np.array([10.0, 11.0, 12.0, np.nan, np.nan, 6.0, 7.0, 7.0])
    bars = {"open": opening[:, None], "close": close[:, None], "volume": np.full((days, 1), 1e6)}
    bars |= {"high": np.fmax(opening, close)[:, None], "low": np.fmin(opening, close)[:, None], "split_ratio": np.ones((days, 1))}
    bars["split_ratio"][4] = 2.0
    panel = BarPanel.from_arrays(np.datetime64("2020-01-01") + np.arange(days), ["A"], bars)
    result = EventBacktester(panel, lambda view, _: shares({"A": 100}) if view.row == 0 else None).run()
    assert result.holdings.select("shares", "price").rows() == [(100, 11.0), (100, 12.0), (100, 12.0), (200, 6.0), (200, 6.5), (200, 7.0), (200, 7.0)]
    assert result.holdings["value"].to_numpy() == pytest.approx(result.days["long_value"][1:], abs=CENT)
