"""PositionSizer: sizes against tables worked out by hand, limits that say so, and every unknown refused by name."""

from __future__ import annotations

import copy
import json
import logging
import math
import pickle

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mech_exo.domain.errors import InputError
from mech_exo.domain.verdict import BreachCode
from mech_exo.sizing import PositionSizer, Size, SizingMethod
from mech_exo.utils.settings import PositionLimits, RiskLimits, SizingRules, StopRules

OPEN = RiskLimits(position_sizing=PositionLimits(max_single_trade_risk=1.0, max_position=4.0, max_sector_exposure=None), stops=StopRules.none())
TWO_PERCENT = RiskLimits(position_sizing=PositionLimits(max_single_trade_risk=0.02, max_position=4.0, max_sector_exposure=None), stops=StopRules.none())


def test_the_users_example_is_capped_at_66_shares_and_says_so(caplog):
    with caplog.at_level(logging.INFO, logger="mech_exo.sizing"):
        shares = PositionSizer(nav=100000).calculate_size("AAPL", 150.0, method=SizingMethod.ATR_BASED, atr=2.0)
    assert shares == 66 and isinstance(shares, int)
    assert shares.uncapped == 500.0
    assert shares.binding is BreachCode.POSITION
    assert shares.headroom == pytest.approx(10_000 - 66 * 150)
    sentence = "atr_based asks for 500 shares of AAPL (75 % of NAV); max_position (10 % of NAV = 10,000 USD) allows 66"
    sentence += "; no overnight gap beyond the stop was considered (gap=…)"
    assert shares.reason == sentence
    assert repr(shares) == f"Size(66: {sentence})"
    assert [record.getMessage() for record in caplog.records] == [f"AAPL: {sentence}"]


def test_a_size_is_an_int_everywhere_else():
    size = PositionSizer(100_000).calculate_size("AAPL", 150.0, atr=2.0)
    assert str(size) == f"{size}" == "66" and f"{size:>5,}" == "   66"
    assert json.dumps({"shares": size}) == '{"shares": 66}'
    assert size * 150.0 == 9900.0 and type(size + 1) is int and np.array([size]).dtype.kind == "i"
    for twin in (copy.deepcopy(size), pickle.loads(pickle.dumps(size))):
        assert twin == size and twin.reason == size.reason and isinstance(twin, Size)
    with pytest.raises(AttributeError, match="does not change"):
        size.reason = "because"


# Worked out by hand at a NAV of 100,000 with 2 % at risk and no other limit in the way.
TABLE = [
    (SizingMethod.ATR_BASED, {"price": 150.0, "atr": 2.0}, 500.0),  # 2,000 / (2 × 2.00)
    (SizingMethod.ATR_BASED, {"price": 40.0, "atr": 1.5}, 2000 / 3),  # 2,000 / (2 × 1.50)
    (SizingMethod.FIXED_PERCENT, {"price": 100.0, "stop_price": 92.0}, 250.0),  # 2,000 / 8
    (SizingMethod.FIXED_PERCENT, {"price": 100.0}, 20.0),  # no stop: the whole price is at risk, 2,000 / 100
    (SizingMethod.VOLATILITY_BASED, {"price": 50.0, "volatility": 0.25}, 160.0),  # 2,000 / (0.25 × 50)
    (SizingMethod.EQUAL_WEIGHT, {"price": 80.0, "names": 30}, 100_000 / 30 / 80),
    (SizingMethod.KELLY, {"price": 10.0, "win_rate": 0.55, "payoff": 1.5}, 625.0),  # a quarter of 0.55 − 0.45 / 1.5 = 0.25
    (SizingMethod.KELLY, {"price": 10.0, "win_rate": 0.4, "payoff": 1.0}, 0.0),  # no edge, no bet
    (SizingMethod.KELLY, {"price": 50.0, "win_rate": 0.6, "payoff": 2.0, "trades": 100}, 2000 * 0.1 * 0.64 / 0.6616),  # shrunk by 0.9674
    (SizingMethod.SCORE_WEIGHTED, {"price": 80.0, "weight": 0.05}, 62.5),  # 5,000 / 80
    (SizingMethod.RISK_PARITY, {"price": 80.0, "weight": 0.05}, 62.5),
    (SizingMethod.MINIMUM_VARIANCE, {"price": 80.0, "weight": 0.0}, 0.0),
]


@pytest.mark.parametrize(("method", "figures", "expected"), TABLE)
@pytest.mark.parametrize("side", ["long", "short"])
def test_every_method_against_the_table(method, figures, expected, side):
    limits = TWO_PERCENT
    if method is not SizingMethod.FIXED_PERCENT:  # without a stop the whole price is at risk, which would bind first
        limits = limits.model_copy(update={"stops": StopRules.none().model_copy(update={"hard": 0.001})})
    if side == "short" and "stop_price" in figures:
        figures = figures | {"stop_price": 2 * figures["price"] - figures["stop_price"]}
    size = PositionSizer(100_000, limits).calculate_size("X", method=method, side=side, **figures)
    sign = 1 if side == "long" else -1
    assert size == sign * math.floor(expected)
    assert size.uncapped == pytest.approx(sign * expected, rel=1e-12)
    assert size.binding is BreachCode.NONE


def test_the_methods_name_is_enough_and_the_settings_are_read():
    sizer = PositionSizer(100_000, OPEN, SizingRules(atr_multiple=4.0, win_rate=0.6, payoff=2.0, kelly_fraction=1.0, gross_exposure=0.5))
    assert sizer.calculate_size("X", 100.0, "atr_based", atr=5.0) == 1000  # 5,000 asked; without a stop the whole price is at risk
    assert sizer.calculate_size("X", 100.0, "kelly") == 400  # 0.6 − 0.4 / 2
    assert sizer.calculate_size("X", 100.0, "equal_weight", names=10) == 50
    with pytest.raises(InputError, match="equal_weight, fixed_percent, atr_based, volatility_based, kelly"):
        sizer.calculate_size("X", 100.0, "hunch")


def test_the_trade_risk_limit_binds_where_the_stop_is_far():
    size = PositionSizer(100_000).calculate_size("X", 100.0, SizingMethod.EQUAL_WEIGHT, names=5, stop_price=50.0)
    assert size == 40 and size.binding is BreachCode.TRADE_RISK  # 2,000 / 50
    assert "max_single_trade_risk (2 % of NAV = 2,000 USD) allows 40" in size.reason
    assert size.headroom == pytest.approx(0.0, abs=1e-6)


def test_what_no_limit_cuts_says_how_much_more_it_would_allow():
    size = PositionSizer(100_000).calculate_size("X", 100.0, SizingMethod.EQUAL_WEIGHT, names=20)
    assert size == 50 and size.binding is BreachCode.NONE and size.headroom == 5000.0
    assert size.reason.endswith("no limit binds, 50 shares; 5,000 USD more before max_position binds; no overnight gap beyond the stop was considered (gap=…)")
    near = PositionSizer(100_000).calculate_size("X", 100.0, SizingMethod.EQUAL_WEIGHT, names=100, stop_price=60.0)
    assert near == 10 and "4,000 USD more before max_single_trade_risk binds" in near.reason  # 2,000 / 40 = 50 shares


def test_lots_and_a_smallest_position():
    sizer = PositionSizer(100_000, sizing=SizingRules(lot_size=25, min_position_value=4000.0))
    size = sizer.calculate_size("AAPL", 150.0, atr=2.0)
    assert size == 50 and size.binding is BreachCode.POSITION  # 66 in lots of 25
    assert sizer.calculate_size("X", 100.0, "equal_weight", names=20) == 50
    lots = sizer.calculate_size("X", 90.0, "equal_weight", names=20)
    assert lots == 50 and "50 shares in lots of 25" in lots.reason  # 55.6
    none = sizer.calculate_size("X", 100.0, "equal_weight", names=30)
    assert none == 0 and none.binding is BreachCode.MINIMUM_VALUE
    assert "a position below 4,000 USD is not opened (min_position_value)" in none.reason
    tiny = PositionSizer(100_000, sizing=SizingRules(lot_size=25)).calculate_size("X", 500.0, "equal_weight", names=20)
    assert tiny == 0 and "that is no whole lot" in tiny.reason


def test_an_overnight_gap_counts_with_the_stop():
    """2,000 USD may be lost; from 100 to a stop at 95 it is 5 a share, and 14.5 where the name opens a tenth below the stop."""
    sizer = PositionSizer(100_000)
    plain = sizer.calculate_size("X", 100.0, "equal_weight", names=2, stop_price=95.0)
    assert plain == 100 and plain.binding is BreachCode.POSITION and "no overnight gap" in plain.reason
    wide = PositionSizer(100_000, TWO_PERCENT)
    assert wide.calculate_size("X", 100.0, "equal_weight", names=1, stop_price=95.0) == 400
    gapped = wide.calculate_size("X", 100.0, "equal_weight", names=1, stop_price=95.0, gap=0.1)
    assert gapped == 137 and gapped.binding is BreachCode.TRADE_RISK and "no overnight gap" not in gapped.reason
    short = wide.calculate_size("X", 100.0, "equal_weight", names=1, stop_price=105.0, gap=0.1, side="short")
    assert short == -129  # 105 × 1.1 − 100 = 15.5
    for gap in (-0.1, math.nan, math.inf):
        with pytest.raises(InputError, match="gap must be a fraction"):
            sizer.calculate_size("X", 100.0, atr=2.0, gap=gap)


def test_kelly_without_the_sample_is_refused():
    with pytest.raises(InputError, match=r"at least 50 closed trades behind its win rate; X has 49"):
        PositionSizer(100_000).calculate_size("X", 10.0, "kelly", win_rate=0.6, payoff=2.0, trades=49)


def test_no_limits_means_none():
    size = PositionSizer(100_000, RiskLimits.off()).calculate_size("X", 1.0, atr=0.001)
    assert size == 50_000_000 and size.binding is BreachCode.NONE and size.headroom == math.inf


def test_without_any_stop_the_whole_price_is_at_risk():
    limits = RiskLimits(stops=StopRules.none())
    size = PositionSizer(100_000, limits).calculate_size("X", 100.0, SizingMethod.EQUAL_WEIGHT, names=5)
    assert size == 20 and size.binding is BreachCode.TRADE_RISK


def test_less_than_one_share_is_no_share_and_says_so():
    size = PositionSizer(1000).calculate_size("BRK", 600_000.0, atr=8000.0)
    assert size == 0 and "no whole share" in size.reason


BAD = [math.nan, math.inf, -math.inf, 0.0, -1.0, None, "100", True]


@pytest.mark.parametrize("nav", BAD)
def test_an_unknown_nav_is_refused(nav):
    with pytest.raises(InputError, match="nav must be"):
        PositionSizer(nav=nav)


@pytest.mark.parametrize("price", BAD)
def test_an_unknown_price_is_refused_by_the_symbols_name(price):
    with pytest.raises(InputError, match=r"price of AAPL must be.*\n.*never made from a guess"):
        PositionSizer(100_000).calculate_size("AAPL", price, atr=2.0)


@pytest.mark.parametrize("value", [x for x in BAD if x is not None])
@pytest.mark.parametrize("name", ["atr", "volatility", "stop_price", "payoff"])
def test_a_figure_that_is_no_figure_is_refused_by_name(name, value):
    with pytest.raises(InputError, match=f"{name} must be"):
        PositionSizer(100_000).calculate_size("X", 100.0, SizingMethod.EQUAL_WEIGHT, names=10, **{name: value})


@pytest.mark.parametrize(
    ("method", "figures", "missing"),
    [
        ("atr_based", {}, "atr_based needs atr;"),
        ("volatility_based", {"atr": 1.0}, "volatility_based needs volatility;"),
        ("kelly", {}, "kelly needs win_rate and payoff;"),
        ("kelly", {"win_rate": 0.6}, "kelly needs payoff;"),
        ("equal_weight", {}, "equal_weight needs names;"),
        ("score_weighted", {}, "score_weighted needs weight;"),
        ("risk_parity", {"volatility": 0.2}, "risk_parity needs weight;"),
        ("minimum_variance", {}, "minimum_variance needs weight;"),
    ],
)
def test_what_a_method_needs_is_named(method, figures, missing):
    with pytest.raises(InputError, match=f"{missing}.*so there is no {method} size") as caught:
        PositionSizer(100_000).calculate_size("X", 100.0, method, **figures)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"side": "up"}, "side must be 'long' or 'short'"),
        ({"stop_price": 100.0}, "stop must lie below its price"),
        ({"stop_price": 99.0, "side": "short"}, "stop must lie above its price"),
        ({"win_rate": 1.1}, "win_rate must be a fraction"),
        ({"win_rate": math.nan}, "win_rate must be a fraction"),
        ({"names": 0}, "names must be a whole number"),
        ({"names": math.nan}, "names must be a whole number"),
        ({"names": True}, "names must be a whole number"),
        ({"trades": 0}, "trades must be a whole number"),
        ({"weight": 1.5}, "weight must be a fraction"),
        ({"weight": math.nan}, "weight must be a fraction"),
        ({"win_rate": 55}, "0.55 is 55 %"),
        ({"win_rate": "0.55"}, "win_rate must be a fraction"),
        ({"gap": 8}, "0.08 is 8 %"),
        ({"gap": "8 %"}, "gap must be a fraction"),
    ],
)
def test_impossible_arguments(figures, said):
    with pytest.raises(InputError, match=said):
        PositionSizer(100_000).calculate_size("X", 100.0, atr=2.0, **figures)


number = st.floats(allow_nan=True, allow_infinity=True)


@given(number, number, number, number, number, st.sampled_from(SizingMethod), st.sampled_from(["long", "short"]))
@example(9.223372036845552e19, 1.0, 1.0, 1.0, 0.0, SizingMethod.EQUAL_WEIGHT, "long")  # more shares than an int64 holds
def test_any_figures_give_a_size_within_the_limits_or_an_input_error(nav, price, atr, volatility, win_rate, method, side):
    try:
        figures = {"atr": atr, "volatility": volatility, "win_rate": win_rate, "payoff": 1.5, "names": 7, "weight": win_rate}
        size = PositionSizer(nav).calculate_size("X", price, method, side=side, **figures)
    except InputError:
        return
    assert abs(size) * price <= 0.10 * nav * (1 + 1e-9)
    assert abs(size) <= abs(size.uncapped) and size * size.uncapped >= 0
    assert 0 <= size.headroom <= 0.10 * nav


@given(st.floats(1e3, 1e7), st.floats(1.0, 1e3), st.floats(0.01, 50.0))
def test_any_figures_that_are_possible_give_a_size(nav, price, atr):
    size = PositionSizer(nav).calculate_size("X", price, atr=atr)
    most = min(0.1 * nav / price, 0.02 * nav / (price - price * 0.85))
    assert size == min(math.floor(nav * 0.02 / (2 * atr)), math.floor(most * (1 + 1e-12)))
