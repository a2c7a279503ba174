from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.kernels.matching import NO_EXIT, STOP_HIT, TARGET_HIT, resting_exit

LONG, SHORT, OFF = 1.0, -1.0, math.nan


@pytest.mark.parametrize(
    ("bar", "stop", "target", "which", "price"),
    [
        ((100, 104, 97), 95, 110, NO_EXIT, math.nan),
        ((94, 99, 90), 95, 110, STOP_HIT, 94),  # gaps through: the open
        ((100, 104, 95), 95, 110, STOP_HIT, 95),  # touched: the level
        ((100, 104, 90), 95, 110, STOP_HIT, 95),
        ((112, 115, 108), 95, 110, TARGET_HIT, 112),  # gaps over: the better open
        ((100, 110, 97), 95, 110, TARGET_HIT, 110),
        ((100, 115, 90), 95, 110, STOP_HIT, 95),  # both: the worse
        ((112, 115, 90), 95, 110, TARGET_HIT, 112),  # at the open it was over the target already
        ((95, 115, 95), 95, 110, STOP_HIT, 95),
        ((100, 115, 90), OFF, 110, TARGET_HIT, 110),
        ((100, 115, 90), 95, OFF, STOP_HIT, 95),
        ((100, 115, 90), OFF, OFF, NO_EXIT, math.nan),
        ((OFF, OFF, OFF), 95, 110, NO_EXIT, math.nan),
        ((OFF, 115, 90), 95, 110, STOP_HIT, 95),
    ],
)
def test_long(bar, stop, target, which, price):
    found = resting_exit(LONG, *(float(x) for x in bar), float(stop), float(target))
    assert found == (which, price) if which else found[0] == NO_EXIT and math.isnan(found[1])


PRICE = st.one_of(st.just(math.nan), st.integers(64, 200 * 64).map(lambda n: n / 64))  # 300 - price is exact


@given(open_=PRICE, a=PRICE, b=PRICE, stop=PRICE, target=PRICE)
def test_short_is_long_in_a_mirror(open_, a, b, stop, target):
    high, low = max(a, b), min(a, b)
    which, price = resting_exit(LONG, open_, high, low, stop, target)
    mirrored, mirrored_price = resting_exit(SHORT, 300 - open_, 300 - low, 300 - high, 300 - stop, 300 - target)
    assert mirrored == which
    assert math.isnan(price) if which == NO_EXIT else mirrored_price == 300 - price


@given(open_=st.floats(1, 200), up=st.floats(0, 50), down=st.floats(0, 0.9), stop=PRICE, target=PRICE, side=st.sampled_from([LONG, SHORT]))
def test_an_exit_price_was_traded(open_, up, down, stop, target, side):
    """No fill outside the bar: at the open, or at a level between low and high."""
    high, low = open_ + up, open_ * (1 - down)
    which, price = resting_exit(side, open_, high, low, stop, target)
    if which != NO_EXIT:
        assert low <= price <= high
        if which == STOP_HIT and price != open_:
            assert price == stop and (price < open_ if side == LONG else price > open_)
