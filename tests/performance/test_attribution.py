"""Round trips against a naive share-by-share account, hand-made cases, and the sum law."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mech_exo.kernels.records import Bars, EventKind, Reason
from mech_exo.performance.attribution import by_exit_reason, by_symbol, round_trips, trades_frame
from mech_exo.performance.trading import activity, trade_statistics, worst_loss
from tests.performance.naive import Account

CASH = 100_000.0


def make_bars(close, split=None, high=None, low=None):
    close = np.asarray(close, float)
    shape = close.shape
    high = close * 1.02 if high is None else np.asarray(high, float)
    low = close * 0.98 if low is None else np.asarray(low, float)
    ratio = np.ones(shape) if split is None else np.asarray(split, float)
    never, nothing = np.full(shape[1], shape[0]), np.full(shape[1], np.nan)
    return Bars(close, high, low, close, np.ones(shape), ratio, np.zeros(shape), never, nothing)


def trips(account):
    events, days = account.records()
    return round_trips(events, days, account.bars), events, days


@st.composite
def histories(draw, splits):
    rows, names = draw(st.integers(2, 12)), draw(st.integers(1, 3))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    close = 50.0 * np.exp(np.cumsum(rng.normal(0, 0.05, (rows, names)), axis=0))
    close[rng.random((rows, names)) < 0.15] = np.nan
    ratio = np.ones((rows, names))
    if splits:
        hit = rng.random((rows, names)) < 0.2
        ratio[hit] = rng.choice([2.0, 3.0, 1.5, 0.5, 0.1, 1.0 / 3.0], hit.sum())
        close = close / np.cumprod(ratio, axis=0)
    account = Account(make_bars(close, ratio), CASH)
    for row in range(rows):
        for symbol in range(names):
            if account.held.get(symbol) and ratio[row, symbol] != 1.0:
                account.split(row, symbol, ratio[row, symbol], account.marks[symbol] / ratio[row, symbol])
            if rng.random() < 0.3:
                account.dividend(row, symbol, float(rng.uniform(0, 1)))
            if np.isnan(close[row, symbol]):
                account.unfilled(row, symbol, 10)
                if account.held.get(symbol) and rng.random() < 0.2:
                    account.trade(row, symbol, -account.held[symbol], account.marks[symbol], EventKind.STALE_CLOSE, Reason.NO_BARS)
                continue
            for _ in range(rng.integers(0, 3)):
                account.trade(row, symbol, int(rng.integers(-60, 61)), float(close[row, symbol]))
        account.close(row, float(rng.choice([0.0, 5_000.0, -2_000.0])), float(rng.uniform(0, 3)), float(rng.uniform(0, 2)))
    return account


@settings(max_examples=150, deadline=None)
@given(histories(splits=True))
def test_trades_sum_to_the_change_of_nav(account):
    trades, _, days = trips(account)
    explained = trades["pnl"].sum() + days["interest"].sum() - days["borrow"].sum()
    assert explained == pytest.approx(account.nav - CASH - days["flow"].sum(), abs=1e-6)
    assert trades["income"].sum() >= days["dividends"].sum() - 1e-6 or (trades["shares"] < 0).any()


@settings(max_examples=150, deadline=None)
@given(histories(splits=False))
def test_realised_pnl_equals_the_share_by_share_account(account):
    trades, _, days = trips(account)
    done = trades[~trades["open"]]
    gross = ((done["exit_price"] - done["entry_price"]) * done["shares"]).sum()
    assert gross == pytest.approx(account.realised, abs=1e-6)
    assert (done["pnl"] + done["commission"] - done["income"]).sum() == pytest.approx(account.realised, abs=1e-6)
    assert trades["commission"].sum() == pytest.approx(days["commission"].sum(), abs=1e-6)
    assert trades["slippage"].sum() == pytest.approx(days["slippage"].sum(), abs=1e-6)
    still = trades[trades["open"]]
    for symbol, shares in account.held.items():
        assert still["shares"][still["symbol"] == symbol].sum() == pytest.approx(shares, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(histories(splits=True))
def test_excursions_bound_the_result_and_are_never_negative(account):
    trades, _, _ = trips(account)
    move = (trades["exit_price"] / trades["entry_price"] - 1.0) * np.sign(trades["shares"])
    assert (trades["mae"] >= -1e-12).all() and (trades["mfe"] >= -1e-12).all()
    assert (trades["mfe"] >= move - 1e-9).all() and (trades["mae"] >= -move - 1e-9).all()


def test_two_lots_are_sold_first_in_first_out():
    account = Account(make_bars([[10.0], [12.0], [15.0], [20.0]]), CASH, per_share=0.0, slip=0.0)
    account.trade(0, 0, 100, 10.0)
    account.close(0)
    account.trade(1, 0, 50, 12.0)
    account.close(1)
    account.trade(2, 0, -120, 15.0, EventKind.STOP, Reason.TRAILING_STOP)
    account.close(2)
    account.close(3)
    trades, events, _ = trips(account)
    assert trades["shares"].tolist() == [100.0, 20.0, 30.0]
    assert trades["pnl"].tolist() == pytest.approx([500.0, 60.0, 240.0])
    assert trades["open"].tolist() == [False, False, True]
    assert trades["holding"].tolist() == [2, 1, 2]
    assert set(trades["position"]) == {1}
    assert trades["return"][0] == pytest.approx(0.5)
    assert trades["nav_fraction"].tolist() == pytest.approx([500 / CASH, 60 / CASH, 240 / CASH])
    assert activity(events).stop_outs == 1 and activity(events).fills == 3


def test_a_split_keeps_the_value_and_a_later_sale_is_in_new_shares():
    account = Account(make_bars([[100.0], [50.0], [60.0]], [[1.0], [2.0], [1.0]]), CASH, per_share=0.0, slip=0.0)
    account.trade(0, 0, 10, 100.0)
    account.close(0)
    account.split(1, 0, 2.0, 50.0)
    account.close(1)
    account.trade(2, 0, -20, 60.0)
    account.close(2)
    trades, _, _ = trips(account)
    (trade,) = trades
    assert (trade["shares"], trade["entry_price"], trade["split_factor"], trade["pnl"]) == (20.0, 50.0, 2.0, 200.0)
    assert trade["mae"] == pytest.approx(0.02) and trade["mfe"] == pytest.approx(0.2)


def test_a_reverse_split_below_one_share_closes_the_trade_in_cash():
    account = Account(make_bars([[5.0], [50.0]], [[1.0], [0.1]]), CASH, per_share=0.0, slip=0.0)
    account.trade(0, 0, 7, 5.0)
    account.close(0)
    account.split(1, 0, 0.1, 50.0)
    account.close(1)
    trades, _, _ = trips(account)
    (trade,) = trades
    assert not trade["open"] and trade["exit_reason"] == Reason.CORPORATE_ACTION
    assert trade["exit_price"] == pytest.approx(50.0) and trade["pnl"] == pytest.approx(0.0)


def test_crossing_zero_closes_one_side_and_opens_the_other():
    account = Account(make_bars([[10.0], [11.0], [9.0]]), CASH, per_share=0.01, slip=0.0)
    account.trade(0, 0, 100, 10.0)
    account.close(0)
    account.trade(1, 0, -150, 11.0)
    account.close(1)
    account.trade(2, 0, 50, 9.0)
    account.close(2)
    trades, _, _ = trips(account)
    assert trades["shares"].tolist() == [100.0, -50.0]
    assert trades["position"].tolist() == [1, 2]
    assert trades["pnl"].tolist() == pytest.approx([100 - 1 - 1, 100 - 0.5 - 0.5])
    assert trades["mae"][1] == pytest.approx(0.02) and trades["mfe"][1] == pytest.approx(2 / 11)


def test_the_exit_bar_does_not_count_beyond_the_exit_price():
    bars = make_bars([[10.0], [10.0], [10.0]], high=[[10.5], [11.0], [99.0]], low=[[9.9], [9.0], [1.0]])
    account = Account(bars, CASH, per_share=0.0, slip=0.0)
    account.trade(0, 0, 10, 10.0)
    account.close(0)
    account.close(1)
    account.trade(2, 0, -10, 10.2)
    account.close(2)
    trades, _, _ = trips(account)
    assert trades["mfe"][0] == pytest.approx(0.1) and trades["mae"][0] == pytest.approx(0.1)


def test_a_loss_bought_in_three_parts_counts_as_one():
    account = Account(make_bars([[100.0], [100.0], [100.0], [90.0]]), CASH, per_share=0.0, slip=0.0)
    for row in range(3):
        account.trade(row, 0, 90, 100.0)
        account.close(row)
    account.trade(3, 0, -270, 90.0, EventKind.STOP, Reason.HARD_STOP)
    account.close(3)
    trades, _, _ = trips(account)
    assert trade_statistics(trades).worst == pytest.approx(-0.009)
    assert worst_loss(trades) == pytest.approx(0.027)


def test_frames_name_symbols_dates_and_reasons():
    account = Account(make_bars([[10.0, 20.0], [12.0, 18.0], [13.0, 21.0]]), CASH, per_share=0.0, slip=0.0)
    account.trade(0, 0, 10, 10.0)
    account.trade(0, 1, 10, 20.0)
    account.close(0)
    account.trade(1, 1, -10, 18.0, EventKind.STOP, Reason.HARD_STOP)
    account.close(1)
    account.close(2)
    trades, _, _ = trips(account)
    frame = trades_frame(trades, np.array(["2024-01-02", "2024-01-03", "2024-01-04"], "datetime64[D]"), ("AAA", "BBB"))
    stopped, running = frame.filter(~frame["open"]).row(0, named=True), frame.filter(frame["open"]).row(0, named=True)
    assert (stopped["symbol"], stopped["exit_reason"], str(stopped["exit_date"])) == ("BBB", "hard_stop", "2024-01-03")
    assert (running["symbol"], running["exit_date"], running["exit_reason"]) == ("AAA", None, None)
    assert by_symbol(frame)["symbol"].to_list() == ["AAA", "BBB"]
    assert by_exit_reason(frame).row(0, named=True)["pnl"] == pytest.approx(-20.0)


def test_no_events_give_no_trades_and_an_empty_frame():
    account = Account(make_bars([[10.0], [11.0]]), CASH)
    account.close(0)
    account.close(1)
    trades, _, _ = trips(account)
    assert len(trades) == 0 and math.isnan(trade_statistics(trades).win_rate) and math.isnan(worst_loss(trades))
    frame = trades_frame(trades, np.array(["2024-01-02", "2024-01-03"], "datetime64[D]"), ("AAA",))
    assert frame.height == 0 and by_symbol(frame).height == 0 and by_exit_reason(frame).height == 0


def test_without_a_nav_the_share_of_nav_is_unknown():
    account = Account(make_bars([[10.0], [11.0]]), 0.0, per_share=0.0, slip=0.0)
    account.trade(0, 0, 10, 10.0)
    account.close(0)
    account.close(1)
    trades, _, _ = trips(account)
    assert math.isnan(trades["nav_fraction"][0]) and math.isnan(worst_loss(trades)) and trades["pnl"][0] == pytest.approx(10.0)
