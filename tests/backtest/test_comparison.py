"""Two runs side by side: what differs in what went in, what differs in what came out, and where they part."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from mech_exo.backtest import BacktestResult, EventBacktester, compare, shares
from mech_exo.cli.output import plain
from mech_exo.domain.panel import BarPanel
from mech_exo.utils.settings import CostModel

DAYS = 40
FREE = CostModel(commission="zero", slippage_bps=0, margin_rate=0)


@pytest.fixture(scope="module")
def panel():
    close = np.column_stack([20 + np.sin(np.arange(DAYS)), 30 + np.cos(np.arange(DAYS) * 1.7)])
    bars = dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": np.full(close.shape, 1e6)}
    return BarPanel.from_arrays(np.datetime64("2020-01-01") + np.arange(DAYS), ["A", "B"], bars)


def run(panel, plan, **given):
    return EventBacktester(panel, lambda view, _: shares(plan[view.row]) if view.row in plan else None, **{"costs": FREE, **given}).run()


def test_a_run_and_itself(panel, tmp_path):
    first = run(panel, {0: {"A": 100}, 20: {}})
    same = compare(first, BacktestResult.load(first.save(tmp_path / "r")))
    assert same.identical and same.differences == () and same.lines() == ("The two runs are the same, to the last bit.",)
    assert same.trades_common == 1 and same.correlation == pytest.approx(1.0) and same.tracking_error_ann == 0.0
    assert all(line.a == line.b for line in same.metrics) and same.as_dict()["identical"]


def test_where_they_part(panel):
    first = run(panel, {0: {"A": 100}, 20: {"A": 100, "B": 50}, 30: {}})
    second = run(panel, {0: {"A": 100}, 20: {"A": 100, "B": 60}, 30: {}})
    found = compare(first, second)
    day = first.equity["date"]
    assert not found.identical and found.first_session == day[22], "it opens where it closes and costs nothing: the first session is the same"
    assert (found.first_fill_a["date"], found.first_fill_a["shares"], found.first_fill_b["shares"]) == (day[21], 50, 60)
    assert found.trades_common == 1 and found.trades_only_a["shares"].to_list() == [50] and found.trades_only_b["shares"].to_list() == [60]
    apart = (first.equity["return"] - second.equity["return"]).to_numpy()
    assert found.tracking_error_ann == pytest.approx(apart.std(ddof=1) * np.sqrt(252))
    assert found.correlation == pytest.approx(np.corrcoef(first.equity["return"], second.equity["return"])[0, 1])
    assert [line.key for line in found.differences] == ["strategy"]


def test_what_went_in_by_dotted_key(panel):
    plan = {0: {"A": 100}}
    found = compare(run(panel, plan), run(panel, plan, costs=CostModel(slippage_bps=7), initial_cash=50_000.0))
    keys = {line.key: (line.a, line.b) for line in found.differences}
    assert keys["strategy.initial_cash"] == (100_000.0, 50_000.0) and keys["strategy.costs.slippage_bps"] == (0.0, 7.0)
    assert not {"code", "data", "first session"} & keys.keys()
    change = next(line for line in found.metrics if line.name == "final_equity")
    assert change.change == pytest.approx(change.b - change.a) and any(line.change is None for line in found.metrics)


def test_another_period_and_other_data(panel):
    plan = {5: {"A": 100}}
    shorter = compare(run(panel, plan), EventBacktester(panel, lambda view, _: None, costs=FREE).run(end=panel.sessions[9].astype(object)))
    keys = {line.key: (line.a, line.b) for line in shorter.differences}
    assert keys["last session"] == ("2020-02-09", "2020-01-10") and "data" in keys and shorter.sessions == 10
    assert shorter.first_fill_b is None and shorter.first_fill_a["symbol"] == "A"


def test_equal_rows_are_counted_one_by_one(panel):
    twice = run(panel, {0: {"A": 10}, 1: {"A": 20}, 5: {}})
    once = run(panel, {0: {"A": 20}, 5: {}})
    assert compare(twice, once).trades_only_a["shares"].sum() == 20 and compare(twice, twice).trades_common == twice.trades.height == 2


def test_every_form_of_it(panel):
    found = compare(run(panel, {0: {"A": 100}}), run(panel, {0: {"B": 100}}))
    assert json.loads(json.dumps(plain(found.as_dict()), allow_nan=False))["run_a"] == found.run_a
    assert "<table>" in found._repr_html_() and "first fill of" in str(found) and "nan" not in str(found)
    assert isinstance(found.trades_only_a, pl.DataFrame)


def test_nothing_in_common(panel):
    first = EventBacktester(panel, lambda view, _: None).run(end=panel.sessions[4].astype(object))
    second = EventBacktester(panel, lambda view, _: None).run(panel.sessions[10].astype(object))
    found = compare(first, second)
    assert found.sessions == 0 and np.isnan(found.correlation) and "unknown" in str(found)
