"""The research example of the README's kind: any frame in, a result out, and a picture of it."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from mech_exo.backtest import CostModel, EventBacktester, shares
from mech_exo.datasource.demo import sample_market
from mech_exo.domain.panel import BarPanel


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return sample_market(seed=2, symbols=12, years=3).panel.to_frame()


def test_polars_pandas_and_arrow_make_the_same_panel(frame: pl.DataFrame) -> None:
    first = BarPanel.from_frame(frame)
    mixed = frame.sample(fraction=1.0, shuffle=True, seed=1)
    others = (mixed, mixed.lazy(), mixed.to_pandas(), mixed.to_pandas().set_index(["symbol", "date"]), mixed.to_arrow())
    assert {BarPanel.from_frame(other).data_hash() for other in others} == {first.data_hash()}


def test_weights_and_whole_shares_and_leaving_everything(frame: pl.DataFrame) -> None:
    panel = BarPanel.from_frame(frame)
    symbol = frame.group_by("symbol").len().sort("len", "symbol")["symbol"][-1]

    def buy_once(view, portfolio):
        if view.as_of == panel.sessions[5].astype(dt.date):
            return {symbol: 0.5}
        if view.as_of == panel.sessions[400].astype(dt.date):
            return shares({symbol: 10})
        return None

    result = EventBacktester(panel, buy_once, costs=CostModel(slippage_bps=5), initial_cash=1e6).run()
    assert result.fills["symbol"].unique().to_list() == [symbol]
    assert result.fills["shares"].to_list()[0] > 0
    held = result.fills["shares"].sum() + int(result.events["shares"][result.events["kind"] == 3].sum())
    assert held == 10
    assert result.equity.height == len(panel.sessions)
    assert result.trades.height >= 1
    assert result.metrics["final_equity"] == result.equity["nav"][-1]
    assert any("no risk limits" in warning for warning in result.warnings)


def test_a_result_draws_itself(frame: pl.DataFrame) -> None:
    panel = BarPanel.from_frame(frame)
    result = EventBacktester(panel, lambda view, portfolio: None).run()
    figure = result.plot()
    assert figure.to_dict()["data"]
    assert len(figure.data[0].y) >= len(panel.sessions)
