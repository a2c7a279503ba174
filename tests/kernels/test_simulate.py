"""``step`` on sessions small enough to be calculated by hand. The random search is in tests/oracles."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mech_exo.decision.strategy import cost_params
from mech_exo.domain.panel import BarPanel
from mech_exo.kernels.account import new_account, new_book, new_days
from mech_exo.kernels.records import DAY, EVENT, Bars, EventKind, Outcome, Reason, Terms
from mech_exo.kernels.simulate import EVENTS_PER_SYMBOL, step
from mech_exo.utils.settings import CostModel

FREE = CostModel(commission="zero", slippage_bps=0, margin_rate=0, borrow_rate=0)


class Desk:
    """A market of flat bars at ``close`` (T, N), and an account on it."""

    def __init__(self, close, costs=FREE, cash=10_000.0, max_missing=3, **changes):
        close = np.array(close, float)
        bars = {name: close.copy() for name in ("open", "high", "low", "close")} | {"volume": np.full(close.shape, 1e6)}
        for name, cells in changes.items():
            base = bars.get(name, np.full(close.shape, 1.0 if name == "split_ratio" else 0.0))
            if name == "delisted":
                base = np.full(close.shape[1], close.shape[0], np.int64)
            elif name == "delisting_value":
                base = np.full(close.shape[1], math.nan)
            for place, value in cells.items():
                base[place] = value
            bars[name] = base
        self.panel = BarPanel.from_arrays(
            np.datetime64("2020-01-01") + np.arange(len(close)), [f"S{i}" for i in range(close.shape[1])], bars
        )
        self.costs, self.terms, self.t = cost_params(costs), Terms(max_missing, 1.0, math.nan), 0
        self.book, self.account, self.days = new_book(close.shape[1]), new_account(cash), new_days(len(close))
        self.live, self.buffer = np.zeros(close.shape[1], np.int64), np.empty(100, EVENT)

    def order(self, **shares):
        for name, count in shares.items():
            self.book["order"][int(name[1:])] = count
            self.book["order_reason"][int(name[1:])] = Reason.REBALANCE
        return self

    def levels(self, s, stop=math.nan, target=math.nan):
        self.book["stop"][s], self.book["target"][s], self.book["stop_reason"][s] = stop, target, Reason.HARD_STOP
        return self

    def step(self, times=1, flow=0.0):
        for _ in range(times):
            busy = np.flatnonzero((self.book["order"] != 0) | (self.book["shares"] != 0))
            self.live[: len(busy)], self.account["live"] = busy, len(busy)
            before = int(self.account["events"][0])
            bars = Bars.of(self.panel)
            step(self.t, flow, bars, self.book, self.live, self.account, self.days, self.buffer, self.costs, self.terms)
            assert int(self.account["events"][0]) - before <= EVENTS_PER_SYMBOL * len(busy)
            self.t += 1
        return self

    @property
    def events(self):
        return [
            (EventKind(e["kind"]).name, Outcome(e["outcome"]).name, int(e["symbol"]), float(e["shares"]))
            for e in self.buffer[: int(self.account["events"][0])]
        ]

    @property
    def cash(self):
        return float(self.account["cash"][0])

    @property
    def nav(self):
        return float(self.account["nav"][0])


def test_costs_of_one_purchase():
    desk = Desk([[100.0]], CostModel(slippage_bps=50)).order(S0=10).step()
    day = desk.days[0]
    assert (desk.cash, desk.nav) == (10_000 - 10 * 100.5 - 1, 10_000 - 5 - 1)
    assert [day[name] for name in ("slippage", "commission", "traded", "price_pnl")] == pytest.approx([5.0, 1.0, 1005.0, 0.0])
    assert day["index"] == desk.nav / 10_000 and desk.book["entry"][0] == pytest.approx(100.5) and desk.book["age"][0] == 0


def test_sells_before_buys_then_in_symbol_order():
    desk = Desk([[10.0] * 4] * 2).order(S1=5, S2=5).step().order(S0=1, S1=-5, S2=-5, S3=1).step()
    assert [event[2:] for event in desk.events[2:]] == [(1, -5), (2, -5), (0, 1), (3, 1)]


def test_an_order_without_a_bar_says_so_and_is_gone():
    desk = Desk([[math.nan], [10.0]]).order(S0=7).step(2)
    assert desk.events == [("ORDER", "NO_BAR", 0, 7)] and desk.book["shares"][0] == 0 and desk.cash == 10_000


def test_split_pays_the_fraction_in_cash_and_moves_every_level():
    desk = Desk([[30.0], [20.0]], split_ratio={(1, 0): 1.5}).order(S0=5).step().levels(0, stop=27.0, target=60.0).step()
    line = desk.book[0]
    assert (line["shares"], line["entry"], line["stop"], line["target"], line["best"]) == (7, 20, 18, 40, 20)
    assert desk.cash == 10_000 - 150 + 0.5 * 20 and desk.nav == 10_000
    assert desk.events[1] == ("SPLIT", "FILLED", 0, 2)


def test_reverse_split_below_one_share_ends_the_position():
    desk = Desk([[1.0], [10.0]], split_ratio={(1, 0): 0.1}).order(S0=9).step().step()
    assert desk.book["shares"][0] == 0 and desk.cash == 10_000 and math.isnan(desk.book["entry"][0])


def test_rounding_does_not_cost_a_share():
    """49 × 1/49 is 0.9999999999999999 in floating point."""
    desk = Desk([[1.0], [49.0]], split_ratio={(1, 0): 1 / 49}).order(S0=49).step().order(S0=98).step()
    assert desk.book["shares"][0] == 3


def test_a_closing_order_closes_what_the_split_left():
    desk = Desk([[30.0], [20.0]], split_ratio={(1, 0): 1.5}).order(S0=5).step().order(S0=-5).step()
    assert desk.book["shares"][0] == 0 and desk.events[-1] == ("ORDER", "FILLED", 0, -7) and desk.cash == 10_000


def test_an_order_too_small_after_a_split_says_so():
    desk = Desk([[1.0], [10.0]], split_ratio={(1, 0): 0.1}).order(S0=100).step().order(S0=5).step()
    assert desk.events[1:] == [("ORDER", "ENDED", 0, 5), ("SPLIT", "FILLED", 0, -90)]


def test_dividend_goes_to_yesterdays_holders_after_the_split():
    desk = Desk([[20.0], [10.0]], split_ratio={(1, 0): 2.0}, dividend={(1, 0): 0.5}).order(S0=10).step().order(S0=5).step()
    assert desk.days["dividends"][1] == 20 * 0.5  # neither the 5 × 2 bought today nor the shares before the split
    assert desk.cash == 10_000 - 200 + 10 - 100


def test_a_short_pays_dividend_and_borrow():
    costs = CostModel(commission="zero", slippage_bps=0, borrow_rate=0.252)
    desk = Desk([[20.0], [20.0]], costs, dividend={(1, 0): 0.5}).order(S0=-10).step(2)
    assert desk.days["dividends"].tolist() == [0, -5] and desk.days["borrow"] == pytest.approx([0.2, 0.2])
    assert desk.nav == pytest.approx(10_000 - 5 - 0.4) and desk.days["short_value"][1] == -200


@pytest.mark.parametrize(("value", "price"), [(math.nan, 20.0), (3.0, 3.0), (0.0, 0.0)])
def test_delisting_pays_its_value_or_the_last_close(value, price):
    desk = Desk([[20.0], [math.nan]], CostModel(), delisted={0: 1}, delisting_value={0: value}).order(S0=10).step().order(S0=3).step()
    assert desk.events[1:] == [("ORDER", "ENDED", 0, 3), ("DELISTING", "FILLED", 0, -10)]
    assert desk.days["commission"][1] == 0 and desk.days["price_pnl"][1] == pytest.approx(10 * (price - 20))


def test_a_delisted_name_cannot_be_bought():
    desk = Desk([[20.0], [20.0]], delisted={0: 1}).step().order(S0=3).step()
    assert desk.events == [("ORDER", "ENDED", 0, 3)] and desk.cash == 10_000


def test_silence_closes_at_the_last_close():
    desk = Desk([[20.0], [22.0], [math.nan], [math.nan], [math.nan], [50.0]]).order(S0=10).step(6)
    assert desk.events[1:] == [("STALE_CLOSE", "FILLED", 0, -10)]
    assert (
        desk.buffer["row"][1] == 4 and desk.nav == 10_020 and desk.days["nav"].tolist() == [10_000, 10_020, 10_020, 10_020, 10_020, 10_020]
    )


def test_a_bar_in_between_starts_the_silence_anew():
    desk = Desk([[20.0], [math.nan], [math.nan], [21.0], [math.nan], [math.nan], [20.0]]).order(S0=10).step(7)
    assert len(desk.events) == 1 and desk.book["missing"][0] == 0


def test_an_old_holding_leaves_no_mark_behind():
    """Bought again on a day without a close, a position is carried at its opening price, not at what it was worth long ago."""
    desk = Desk([[20.0], [20.0], [math.nan]], open={(2, 0): 50.0}).order(S0=10).step().order(S0=-10).step().order(S0=4).step()
    assert desk.nav == 10_000 and desk.book["mark"][0] == 50 and desk.days["long_value"][2] == 200


def test_stop_slips_and_target_does_not():
    costs = CostModel(commission="zero", slippage_bps=100)
    desk = Desk([[100.0, 100.0]] * 2, costs, low={(1, 0): 80.0}, high={(1, 1): 130.0}).order(S0=1, S1=1).step()
    desk.levels(0, stop=90.0).levels(1, target=120.0).step()
    assert desk.buffer["price"][2:4].tolist() == [pytest.approx(89.1), 120.0]
    assert desk.buffer["reason"][2:4].tolist() == [Reason.HARD_STOP, Reason.PROFIT_TARGET]


def test_levels_attached_to_an_entry_protect_its_first_session():
    desk = Desk([[100.0]], low={(0, 0): 80.0}).order(S0=1)
    desk.book["order_stop"][0], desk.book["order_stop_reason"][0] = 90.0, Reason.TRAILING_STOP
    desk.step()
    assert [event[0] for event in desk.events] == ["ORDER", "STOP"] and desk.cash == 9_990
    assert desk.book["order_stop"][0] != desk.book["order_stop"][0], "used up"


def test_turning_a_position_is_a_new_entry():
    desk = Desk([[100.0], [110.0], [120.0]]).order(S0=5).step(2).order(S0=-8).step()
    line = desk.book[0]
    assert (line["shares"], line["entry"], line["age"], line["best"]) == (-3, 120, 0, 120)


def test_adding_keeps_the_entry():
    desk = Desk([[100.0], [110.0]], high={(0, 0): 115.0}).order(S0=5).step().order(S0=5).step()
    assert (desk.book["entry"][0], desk.book["age"][0], desk.book["best"][0]) == (100, 1, 115)


def test_flow_is_not_a_return():
    desk = Desk([[100.0], [110.0]]).order(S0=50).step().step(flow=5_000.0)
    assert desk.nav == 15_500 and desk.days["index"][1] == pytest.approx(1.05) and desk.days["flow"][1] == 5_000


def test_margin_is_charged_and_cash_earns():
    desk = Desk([[100.0]] * 2, CostModel(commission="zero", slippage_bps=0, cash_rate=0.0252, margin_rate=0.0504), cash=1000.0)
    desk.step().order(S0=20).step()
    assert desk.days["interest"] == pytest.approx([0.1, -(2000 - 1000.1) * 0.0002])


def test_unplayed_sessions_are_unknown():
    days = new_days(3)
    known = {"flow", "state"}
    assert all(np.isnan(days[name]).all() for name in set(DAY.names or ()) - known)
