"""Figures show the numbers of the metrics, leave gaps where nothing is known, and survive empty accounts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.performance import figures
from mech_exo.performance.attribution import TRADE, by_exit_reason, trades_frame
from mech_exo.performance.benchmark import rolling_beta
from mech_exo.performance.drawdowns import max_drawdown
from mech_exo.performance.periods import calendar_returns
from mech_exo.performance.ratios import growth
from mech_exo.performance.trading import account_returns
from tests.performance.test_trading import make_days
from tests.reporting.sample import Sample, weekdays


@pytest.fixture(scope="module")
def sample():
    return Sample()


def test_equity_ends_at_the_total_return_and_has_a_log_button(sample):
    figure = figures.equity_figure(sample.sessions, sample.days, sample.benchmark)
    assert figure.data[0].y[-1] == pytest.approx(100 * (1 + sample.metrics["total_return"]))
    assert [button.label for button in figure.layout.updatemenus[0].buttons] == ["Linear", "Log"]


def test_the_benchmark_joins_the_account_and_stops_at_a_gap():
    days = make_days([100.0, 110.0, 121.0, 121.0], price_pnl=[0.0, 10.0, 11.0, 0.0])
    figure = figures.equity_figure(weekdays(4), days, np.array([np.nan, np.nan, 0.5, np.nan]))
    theirs = figure.data[1].y
    assert np.isnan(theirs[[0, 1, 3]]).all() and theirs[2] == pytest.approx(165.0)


def test_both_lines_begin_at_100_in_the_first_session():
    days = make_days([100.0, 110.0, 121.0], price_pnl=[0.0, 10.0, 11.0])
    mine, theirs = figures.equity_figure(weekdays(3), days, np.array([-0.022, 0.5, 0.1])).data
    assert list(mine.y) == pytest.approx([100.0, 110.0, 121.0]) and list(theirs.y) == pytest.approx([100.0, 150.0, 165.0])


@pytest.mark.parametrize("count", [1, 3, figures.FEW_SESSIONS])
def test_the_date_axis_of_a_few_sessions_names_them_and_no_hour(count):
    dates, days = weekdays(count), make_days([100.0] * count)
    for figure in (figures.equity_figure(dates, days), figures.underwater_figure(dates, days), figures.exposure_figure(dates, days)):
        axis = figure.layout.xaxis
        assert list(axis.tickvals) == [str(day) for day in dates] and axis.ticktext[0] == "4 Jan 2010"
        assert np.datetime64(axis.range[0]) < dates[0] and np.datetime64(axis.range[1]) > dates[-1]
        assert all(line.mode == "lines+markers" for line in figure.data)
    assert figures.equity_figure(weekdays(13), make_days([100.0] * 13)).layout.xaxis.tickvals is None


def test_underwater_reaches_the_maximum_drawdown(sample):
    figure = figures.underwater_figure(sample.sessions, sample.days)
    assert -min(figure.data[0].y) == pytest.approx(max_drawdown(growth(account_returns(sample.days))))


def test_rolling_begins_when_a_year_is_full(sample):
    sharpe, volatility = figures.rolling_figure(sample.sessions, sample.days).data
    assert np.isnan(sharpe.y[:251]).all() and np.isfinite(sharpe.y[251:]).all() and np.isfinite(volatility.y[251:]).all()


def test_waterfall_steps_add_up(sample):
    (steps,) = figures.costs_figure(sample.days).data
    assert sum(steps.x[:4]) == pytest.approx(steps.x[4]) and steps.x[4] == pytest.approx(sample.metrics["net_pnl"])


def test_gross_and_net_end_at_the_metrics(sample):
    net, gross = figures.gross_net_figure(sample.sessions, sample.days).data
    assert net.y[-1] == pytest.approx(sample.metrics["net_pnl"], rel=1e-6)
    assert gross.y[-1] == pytest.approx(sample.metrics["gross_pnl"], rel=1e-6)


def test_turnover_by_month_adds_up_to_what_was_traded(sample):
    (bars,) = figures.turnover_figure(sample.sessions, sample.days).data
    months = sample.sessions.astype("datetime64[M]").astype(str)
    for month, share in zip(bars.x, bars.y, strict=True):
        mine = sample.days[months == month[:7]]
        assert share == pytest.approx(mine["traded"].sum() / 2 / mine["nav"].mean())


def test_sectors_are_thinned_to_closes_that_were_and_end_with_the_last_one():
    dates = weekdays(1700)
    weights = {"Energy": np.linspace(0.1, 0.3, 1700), "unknown": np.full(1700, 0.9), "Utilities": np.full(1700, 0.25)}
    figure = figures.sectors_figure(dates, weights)
    assert [line.name for line in figure.data] == ["Utilities", "Energy", "unknown"]
    energy = figure.data[1]
    assert len(energy.x) <= 500 and energy.x[-1] == str(dates[-1])
    place = {str(day): row for row, day in enumerate(dates)}
    assert list(energy.y) == pytest.approx([weights["Energy"][place[day]] for day in energy.x])


def test_beta_is_the_third_panel_where_there_is_one(sample):
    beta = rolling_beta(account_returns(sample.days), sample.benchmark)
    figure = figures.rolling_figure(sample.sessions, sample.days, beta=beta)
    assert len(figure.data) == 3 and figure.data[2].y == pytest.approx(beta, rel=1e-6, nan_ok=True)


def test_bars_of_pnl_are_written_beside_and_coloured_by_sign():
    bars, text = figures.pnl_figure(["a", "b", "c", "d"], np.array([1234.5, 0.0, -99.6, np.nan])).data
    assert list(bars.marker.color) == ["#0072B2", "#D55E00", "#D55E00", "#D55E00"]
    assert list(text.text) == ["+1,234", "0", "\u2212100", "unknown"] and list(text.x) == [1234.5, 0.0, 0.0, 0.0]


def test_holding_shows_every_closed_trade(sample):
    assert sum(len(part.x) for part in figures.holding_figure(sample.round_trips).data) == sample.metrics["trades"]


def test_the_out_of_sample_curve_marks_its_windows():
    dates, returns = weekdays(40), np.full(40, 0.01)
    figure = figures.out_of_sample_figure(dates, returns, [str(dates[20])], np.full(40, 0.02))
    mine, theirs = figure.data
    assert mine.y[-1] == pytest.approx(100 * 1.01**40) and theirs.y[-1] == pytest.approx(100 * 1.02**39)
    assert [shape.x0 for shape in figure.layout.shapes] == [str(dates[20])]


def test_luck_shows_the_interval_and_what_luck_would_show():
    figure = figures.luck_figure(0.9, 0.3, 1.5, 0.7)
    (point,) = figure.data
    assert point.x == (0.9,) and point.error_x.array[0] == pytest.approx(0.6) and point.error_x.arrayminus[0] == pytest.approx(0.6)
    assert {note.text for note in figure.layout.annotations} == {"0", "goal 0.6", "luck 0.70"}
    assert not figures.luck_figure(*[float("nan")] * 4).data


def test_the_distribution_holds_every_closed_trade(sample):
    parts = figures.trades_figure(sample.round_trips).data
    assert sum(len(part.x) for part in parts) == sample.metrics["trades"]


def test_exits_show_every_reason(sample):
    bars, _ = figures.exits_figure(by_exit_reason(sample.trades)).data
    assert {name.split(" (")[0] for name in bars.y} == {"rebalance", "trailing stop"}


def test_net_exposure_is_drawn_only_where_it_differs(sample):
    assert len(figures.exposure_figure(sample.sessions, sample.days).data) == 1
    assert len(figures.exposure_figure(weekdays(1), make_days([100.0], long_value=50.0, short_value=-20.0)).data) == 2


def test_monthly_scale_is_symmetric(sample):
    (cells,) = figures.monthly_figure(calendar_returns(sample.sessions, account_returns(sample.days))).data
    assert cells.zmin == -cells.zmax and cells.zmax == pytest.approx(np.nanmax(np.abs(cells.z)))


@pytest.mark.parametrize("nav", [[], [100.0], [100.0, -5.0]])
def test_strange_accounts_draw_without_an_error(nav):
    days, dates = make_days(nav), weekdays(len(nav))
    empty = np.zeros(0, TRADE)
    drawn = [
        figures.equity_figure(dates, days, np.full(len(nav), np.nan)), figures.underwater_figure(dates, days), figures.rolling_figure(dates, days),
        figures.exposure_figure(dates, days), figures.costs_figure(days), figures.trades_figure(empty), figures.holding_figure(empty),
        figures.turnover_figure(dates, days), figures.gross_net_figure(dates, days), figures.sectors_figure(dates, {}),
        figures.out_of_sample_figure(dates, account_returns(days), []), figures.windows_figure([], np.empty(0), np.empty(0), "sharpe"),
        figures.exits_figure(by_exit_reason(trades_frame(empty, dates, ()))), figures.monthly_figure(calendar_returns(dates, account_returns(days))),
    ]  # fmt: skip
    assert all(figure.to_json() for figure in drawn)


@given(st.lists(st.one_of(st.floats(-5.0, 5.0), st.just(math.nan)), min_size=1, max_size=20))
def test_a_waterfall_lays_its_parts_end_to_end_and_ends_at_their_sum(parts):
    values = np.array(parts)
    (bars,) = figures.waterfall_figure([f"part {i}" for i in range(len(parts))], values, "whole").data
    base, size = np.array(bars.base, float), np.array(bars.x, float)
    ends = (base + size)[:-1]
    assert base[0] == 0.0 and base[1:-1] == pytest.approx(ends[:-1], abs=1e-9)
    assert (base[-1], size[-1]) == (0.0, pytest.approx(np.nansum(values), abs=1e-9))
    assert [text == "unknown" for text in bars.text[:-1]] == np.isnan(values).tolist()  # never a 0 for what is not known


def test_a_name_s_levels_stand_only_while_they_rested_and_each_fill_is_one_triangle():
    sessions = np.arange("2024-01-02", "2024-01-22", dtype="datetime64[D]")
    close = np.linspace(10.0, 12.0, len(sessions))
    stop = np.where(np.arange(len(sessions)) > 4, 9.0, np.nan)
    levels = figures.Levels(np.where(np.isnan(stop), np.nan, 10.4), stop, np.full(len(sessions), np.nan))
    trades = figures.Trades(sessions[[5, 11]], np.array([10.4, 11.1]), np.array([70, -70]))
    lines = {trace.name: trace for trace in figures.name_figure(sessions, close, close - 0.2, close + 0.2, levels, trades).data if trace.name}
    assert np.isnan(lines["Stop"].y).tolist() == np.isnan(stop).tolist() and np.isnan(lines["Target"].y).all()
    assert (list(lines["Bought"].x), list(lines["Sold"].x)) == (["2024-01-07"], ["2024-01-13"])
    assert "70" in lines["Bought"].text[0] and lines["Sold"].text[0] == "sold 70"
