"""docs/fills.md sentence by sentence, on markets small enough to be calculated by hand: the engine and the naive account alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mech_exo.backtest import shares
from tests.oracles.both_engines import asked, backtester_of, compare
from tests.oracles.naive_account import NaiveAccount
from tests.oracles.naive_governor import Governor
from tests.oracles.naive_market import NaiveMarket, Terms
from tests.oracles.naive_orders import Wish
from tests.oracles.random_market import panel_of

FREE = Terms(cash=10_000.0, per_share=0, minimum=0, cap=None, slippage=0, margin_rate=0, borrow_rate=0)
LIMIT, STOP = "limit", "stop"


def flat(price):
    return price, price, price, price


def played(bars, wishes, terms=FREE, volumes=None, splits=None, dividends=None):
    """Events as (day, symbol, kind, outcome, shares, price) and the NAV of every session.

    ``bars`` are days of symbols: a price for a flat bar, (open, high, low, close), or None = not traded. ``wishes`` are the decisions
    by day. The engine and the naive account must agree before anything is compared with what was calculated by hand.
    """
    bars = [[flat(bar) if isinstance(bar, (int, float)) else bar or flat(None) for bar in row] for row in bars]
    prices = [[[bar[i] for bar in row] for row in bars] for i in range(4)]
    size = range(len(bars[0]))
    day_volumes = [[1e6 if volumes is None else volumes[day]] * len(bars[0]) for day in range(len(bars))]
    ratios = [[(splits or {}).get(day, 1.0) for _ in size] for day in range(len(bars))]
    paid = [[(dividends or {}).get(day, 0.0) for _ in size] for day in range(len(bars))]
    market = NaiveMarket(*prices, day_volumes, ratios, paid, [None for _ in size], list(range(len(day_volumes))))
    flows = [0.0] * len(bars)
    naive = NaiveAccount(market, terms).play(lambda day, nav: wishes.get(day), flows)

    def function(view, portfolio):
        return shares(asked(wishes[view.row])) if view.row in wishes else None

    compare(backtester_of(panel_of(market), function, terms, flows).run(), naive, terms.cash)
    events = [(e["row"], e["symbol"], e["kind"], e["outcome"], e["shares"], e["price"]) for e in naive.log]
    return events, [day["nav"] for day in naive.book]


def one(bars, wishes, terms=FREE, **more):
    """:func:`played` with one symbol: events without it."""
    events, nav = played([[bar] for bar in bars], {day: {0: wish} for day, wish in wishes.items()}, terms, **more)
    return [(day, *rest) for day, _, *rest in events], nav


def filled(day, count, price, kind="order"):
    return (day, kind, "filled", count, pytest.approx(price, rel=1e-12))


def unfilled(day, outcome, count, kind="order"):
    return (day, kind, outcome, count, None)


# --- orders --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "level", "count", "bar", "price"),
    [
        (LIMIT, 95, 10, (93, 99, 92, 98), 93),  # gapped through: the better open
        (LIMIT, 95, 10, (95, 99, 95, 98), 95),
        (LIMIT, 95, 10, (100, 101, 95, 98), 95),  # touched: the limit
        (LIMIT, 95, 10, (100, 101, 95.01, 98), None),
        (LIMIT, 105, -10, (107, 108, 101, 102), 107),
        (LIMIT, 105, -10, (100, 105, 99, 104), 105),
        (LIMIT, 105, -10, (100, 104.99, 99, 104), None),
        (LIMIT, 95, 10, (None, 101, 94, 98), 95),  # no open, and yet the bar touched it
        (STOP, 105, 10, (107, 108, 106, 107), 107),  # gapped through: the worse open
        (STOP, 105, 10, (105, 106, 104, 105), 105),
        (STOP, 105, 10, (100, 105, 99, 101), 105),
        (STOP, 105, 10, (100, 104.99, 99, 101), None),
        (STOP, 95, -10, (93, 99, 92, 98), 93),
        (STOP, 95, -10, (100, 101, 95, 98), 95),
        (STOP, 95, -10, (100, 101, 95.01, 98), None),
    ],
)
def test_a_limit_and_a_stop_order_against_a_bar(kind, level, count, bar, price):
    events, _ = one([100, bar], {0: Wish(count, kind, level)})
    assert events == [unfilled(1, "expired", count) if price is None else filled(1, count, price)]


def test_what_the_governor_could_not_sell_leaves_at_the_next_open_there_is():
    """8 % down 41.3 % of full exposure are left: 30 of 50 shares must go. Ordered once, when the share fell, they are not forgotten."""
    events, _ = one([100, 100, 84, None, 84, 84], {0: Wish(50)}, replace(FREE, governor=Governor(0.05, 0.1, 0.1, 0, False)))
    assert events == [filled(1, 50, 100), unfilled(3, "carried", -30), filled(4, -30, 84)]


def test_slippage_moves_every_fill_but_a_touched_limit():
    slips = replace(FREE, slippage=0.01)
    bars = [100, (100, 110, 90, 104)]
    prices = [
        one(bars, {0: wish}, slips)[0][0][-1]
        for wish in (Wish(1), Wish(-1), Wish(1, "close"), Wish(1, LIMIT, 95), Wish(-1, LIMIT, 105), Wish(1, STOP, 105), Wish(-1, STOP, 95))
    ]
    assert prices == pytest.approx([101, 99, 105.04, 95, 105, 106.05, 94.05])


def test_a_limit_filled_at_the_open_slips_up_to_the_limit():
    slips = replace(FREE, slippage=0.01)
    assert one([100, 90], {0: Wish(1, LIMIT, 95)}, slips)[0] == [filled(1, 1, 90.9)]
    assert one([100, 94.9], {0: Wish(1, LIMIT, 95)}, slips)[0] == [filled(1, 1, 95)]
    assert one([100, 105.1], {0: Wish(-1, LIMIT, 105)}, slips)[0] == [filled(1, -1, 105)]


def test_a_market_order_needs_its_price():
    assert one([100, (None, 101, 99, 100)], {0: Wish(5)})[0] == [unfilled(1, "no_bar", 5)]
    assert one([100, (100, 101, 99, None)], {0: Wish(5, "close")})[0] == [unfilled(1, "no_bar", 5)]
    assert one([100, (None, 101, 99, 103)], {0: Wish(5, "close")})[0] == [filled(1, 5, 103)]
    assert one([100, None], {0: Wish(5, LIMIT, 95)})[0] == [unfilled(1, "no_bar", 5)]


def test_a_kept_order_waits_until_the_book_is_decided_anew():
    bars = [100, 100, 100, 100, (100, 100, 90, 95)]
    kept = Wish(5, LIMIT, 92, keep=True)
    waits = [unfilled(day, "carried", 5) for day in (1, 2, 3)]
    assert one(bars, {0: kept})[0] == [*waits, filled(4, 5, 92)]
    assert one(bars, {0: kept, 3: Wish(0)})[0] == waits  # decided anew: nothing is wanted
    assert one(bars, {0: replace(kept, keep=False)})[0] == [unfilled(1, "expired", 5)]


def test_a_split_moves_a_resting_limit():
    events, _ = one([100, 100, 50, (50, 50, 45, 48)], {0: Wish(10, LIMIT, 92, keep=True)}, splits={2: 2.0})
    assert events == [unfilled(1, "carried", 10), unfilled(2, "carried", 20), filled(3, 20, 46)]


def test_sells_come_before_buys_in_each_part_of_the_day():
    wishes = {0: {0: Wish(10), 1: Wish(10), 2: Wish(10), 3: Wish(10)}}
    asks = {0: Wish(15, LIMIT, 95), 1: Wish(5, LIMIT, 104), 2: Wish(15), 3: Wish(5)}
    events, _ = played([[100] * 4, [100] * 4, [(100, 105, 94, 100)] * 4], wishes | {1: asks})
    assert [event[1] for event in events[4:]] == [3, 2, 1, 0]


# --- entries and their exits in one session ------------------------------------------------------------------------------------------


def test_an_entry_at_the_open_is_protected_all_day():
    guarded = replace(FREE, hard=0.1, target=0.05)
    assert one([100, (100, 106, 95, 102)], {0: Wish(5)}, guarded)[0] == [filled(1, 5, 100), filled(1, -5, 105, "target")]
    assert one([100, (100, 106, 90, 102)], {0: Wish(5)}, guarded)[0] == [filled(1, 5, 100), filled(1, -5, 90, "stop")]
    assert len(one([100, (100, 106, 90, 102)], {0: Wish(5)}, replace(guarded, at_entry=False))[0]) == 1


def test_an_entry_during_the_day_meets_its_stop_and_not_its_target():
    guarded = replace(FREE, hard=0.1, target=0.05)
    entry = Wish(10, STOP, 110)
    assert one([100, (100, 120, 95, 112)], {0: entry}, guarded)[0][:2] == [filled(1, 10, 110), filled(1, -10, 99, "stop")]
    waits = one([100, (100, 120, 100, 112), (114, 116, 113, 115)], {0: entry}, guarded)[0]
    assert waits == [filled(1, 10, 110), filled(2, -10, 115.5, "target")]


def test_a_short_entered_during_the_day_meets_its_stop():
    guarded = replace(FREE, hard=0.1)
    events, _ = one([100, (100, 111, 90, 95)], {0: Wish(-10, LIMIT, 100.5)}, guarded)
    assert events == [filled(1, -10, 100.5), filled(1, 10, 110.55, "stop")]


def test_the_peak_of_a_late_entry_is_not_what_came_before_it():
    """Bought at the close of a day that had been far higher: the trailing stop hangs on the close."""
    trailing = replace(FREE, trailing=0.1)
    bars = [100, (130, 135, 95, 100), (99, 101, 96, 98), (98, 98, 88, 89)]
    assert one(bars, {0: Wish(5, "close")}, trailing)[0] == [filled(1, 5, 100), filled(3, -5, 90.9, "stop")]
    assert one(bars, {0: Wish(5, LIMIT, 96)}, trailing)[0][0] == filled(1, 5, 96)
    assert len(one(bars[:3], {0: Wish(5, LIMIT, 96)}, replace(trailing, at_entry=False))[0]) == 1


def test_an_exit_takes_the_place_of_what_is_ordered_of_its_name():
    """Stopped out at 90, the limit that would have sold the same shares at 108 must not sell them short."""
    guarded = replace(FREE, hard=0.1)
    bars = [100, 100, (100, 109, 89, 95), 95]
    events, nav = one(bars, {0: Wish(10), 1: Wish(0, LIMIT, 108)}, guarded)
    assert events == [filled(1, 10, 100), unfilled(2, "ended", -10), filled(2, -10, 90, "stop")]
    assert nav[-1] == 9_900


# --- participation -------------------------------------------------------------------------------------------------------------------

THIN = replace(FREE, participation=0.1)


def test_a_large_order_fills_over_several_sessions_and_pays_the_minimum_each_time():
    events, nav = one([10] * 5, {0: Wish(120)}, replace(THIN, minimum=1.0), volumes=[500, 509, 500, 500, 500])
    assert events == [filled(1, 50, 10), unfilled(1, "carried", 70), filled(2, 50, 10), unfilled(2, "carried", 20), filled(3, 20, 10)]
    assert nav == [10_000, 9_999, 9_998, 9_997, 9_997]


def test_a_new_decision_takes_the_place_of_a_carried_rest():
    events, _ = one([10] * 4, {0: Wish(120), 1: Wish(60)}, THIN, volumes=[500] * 4)
    assert events == [filled(1, 50, 10), unfilled(1, "carried", 70), filled(2, 10, 10)]


def test_an_unknown_volume_takes_nothing_and_charges_nothing():
    events, nav = one([10] * 3, {0: Wish(50)}, replace(THIN, minimum=1.0), volumes=[500, None, 500])
    assert events == [unfilled(1, "carried", 50), filled(2, 50, 10)]
    assert nav == [10_000, 10_000, 9_999]


def test_the_rest_of_a_reached_limit_stays_a_limit_and_then_expires():
    events, _ = one([10, 9, 11, 9], {0: Wish(80, LIMIT, 9.5)}, THIN, volumes=[500] * 4)
    assert events == [filled(1, 50, 9), unfilled(1, "carried", 30), unfilled(2, "expired", 30)]


def test_the_rest_of_a_triggered_stop_is_bought_at_the_next_open():
    events, _ = one([10, 11, 9], {0: Wish(80, STOP, 10.5)}, THIN, volumes=[500] * 3)
    assert events == [filled(1, 50, 11), unfilled(1, "carried", 30), filled(2, 30, 9)]


def test_the_rest_of_a_stop_leaves_at_the_open_and_of_a_target_goes_on_resting():
    guarded = replace(THIN, hard=0.1, target=0.1)
    buy = {0: Wish(80)}
    low, high = (10, 10, 8, 9.5), (10, 11.5, 9.5, 10)
    stopped = one([10, 10, low, 9.9, 9.9], buy, guarded, volumes=[500, 800, 500, 500, 500])[0][1:]
    assert stopped == [filled(2, -50, 9, "stop"), unfilled(2, "carried", -30, "stop"), filled(3, -30, 9.9)]
    taken = one([10, 10, high, 10, high], buy, guarded, volumes=[500, 800, 500, 500, 500])[0][1:]
    assert taken == [filled(2, -50, 11, "target"), unfilled(2, "carried", -30, "target"), filled(4, -30, 11, "target")]


# --- margin --------------------------------------------------------------------------------------------------------------------------

MARGIN = replace(FREE, cash=1_000.0, initial=0.5)
CALLED = replace(MARGIN, cash=2_000.0)


def test_buying_power_cuts_what_enlarges_and_does_not_order_it_anew():
    events, _ = one([100] * 3, {0: Wish(30)}, MARGIN)
    assert events == [filled(1, 20, 100), unfilled(1, "no_margin", 10)]
    assert one([100] * 3, {0: Wish(-30)}, MARGIN)[0] == [filled(1, -20, 100), unfilled(1, "no_margin", -10)]


def test_buying_power_is_measured_at_the_open():
    events, _ = one([100, 100, 120], {0: Wish(20), 1: Wish(40)}, MARGIN)
    assert events[1:] == [filled(2, 3, 120), unfilled(2, "no_margin", 17)]  # equity 1,400 carries 2,800 and has 2,400


def test_a_reduction_is_never_cut_and_a_turn_only_beyond_zero():
    assert one([100, 100, 60], {0: Wish(20), 1: Wish(4)}, MARGIN)[0][1:] == [filled(2, -16, 60)]
    events, _ = one([100] * 3, {0: Wish(10), 1: Wish(-30)}, MARGIN)
    assert events[1:] == [filled(2, -30, 100), unfilled(2, "no_margin", -10)]


def test_sells_make_room_for_the_buys_of_the_same_open():
    events, _ = played([[100, 100]] * 3, {0: {1: Wish(20)}, 1: {0: Wish(20)}}, MARGIN)
    assert [event[1:] for event in events[1:]] == [(1, "order", "filled", -20, 100), (0, "order", "filled", 20, 100)]


def test_a_margin_call_takes_the_same_share_of_every_position():
    """40 shares on 2,000 USD of equity; at 60 NAV is 400 of 600 required: a third must go, rounded up to 14 shares."""
    events, _ = one([100, 100, 60, 60, 60], {0: Wish(40)}, CALLED)
    assert events == [filled(1, 40, 100), filled(3, -14, 60)]


def test_a_margin_call_without_equity_closes_everything():
    assert one([100, 100, 49, 50], {0: Wish(40)}, CALLED)[0][1:] == [filled(3, -40, 50)]


@pytest.mark.parametrize(("wanted", "sold"), [(40, -14), (100, -14), (27, -14), (26, -14), (10, -30), (0, -40), (-5, -40)])
def test_a_decision_may_only_reduce_further_than_the_call(wanted, sold):
    events, _ = one([100, 100, 60, 60], {0: Wish(40), 2: Wish(wanted)}, CALLED)
    assert events[1:] == [filled(3, sold, 60)]


def test_an_order_that_may_not_fill_does_not_stand_in_for_the_call():
    events, _ = one([100, 100, 60, 60], {0: Wish(40), 2: Wish(0, LIMIT, 70)}, CALLED)
    assert events[1:] == [filled(3, -14, 60)]


# --- corporate actions and lots ------------------------------------------------------------------------------------------------------


def test_a_short_pays_the_dividend():
    _, nav = one([20, 20, 20], {0: Wish(-10)}, dividends={2: 0.5})
    assert nav == [10_000, 10_000, 9_995]


def test_fractional_shares_are_multiples_of_a_ten_thousandth():
    fractional = replace(FREE, fractional=True)
    events, nav = one([30, 30, 20, 20], {0: Wish(1.2345), 2: Wish(0)}, fractional, splits={2: 1.5})
    assert events == [filled(1, 1.2345, 30), (2, "split", "filled", pytest.approx(0.6172), 1.5), filled(3, -1.8517, 20)]
    assert nav[-1] == pytest.approx(10_000, abs=1e-9)  # 0.00005 of a share was paid out


def test_a_fractional_order_takes_its_share_of_the_volume_in_lots():
    events, _ = one([10, 10, 10], {0: Wish(1.5)}, replace(THIN, fractional=True), volumes=[5, 12.3456, 5])
    assert events == [filled(1, 1.2345, 10), unfilled(1, "carried", 0.2655), filled(2, 0.2655, 10)]
