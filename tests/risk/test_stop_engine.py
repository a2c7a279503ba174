"""StopEngine: the user's example, the mirror image for shorts, impossible figures by name."""

from __future__ import annotations

import math
from datetime import date

import pytest

from mech_exo.domain.errors import InputError
from mech_exo.risk import StopEngine
from mech_exo.utils.calendar import sessions
from mech_exo.utils.settings import StopRules


def test_the_defaults_are_those_the_user_wrote_down():
    levels = StopEngine().generate_stops(entry_price=150.0, position_type="long", atr=2.0, entry_date=date(2024, 1, 2))
    assert (levels.hard_stop, levels.trailing_stop, levels.profit_target, levels.volatility_stop) == (127.5, 112.5, 195.0, 144.0)
    assert (levels.stop, levels.binding) == (144.0, "volatility_stop")
    assert len(sessions(date(2024, 1, 2), levels.time_stop)) == 61  # the session of entry and sixty more


def test_a_short_is_the_mirror_image():
    levels = StopEngine().generate_stops(100.0, "short", 2.0, best_price=90.0)
    assert (levels.hard_stop, levels.trailing_stop, levels.profit_target, levels.volatility_stop) == pytest.approx((115.0, 112.5, 70.0, 106.0))
    assert levels.stop == 106.0


def test_without_an_atr_there_is_no_volatility_stop():
    levels = StopEngine().generate_stops(100.0)
    assert levels.volatility_stop is None and levels.stop == 85.0 and levels.binding == "hard_stop"


def test_everything_off_is_nothing():
    levels = StopEngine(StopRules.none()).generate_stops(100.0, atr=3.0)
    assert (levels.stop, levels.profit_target, levels.time_stop, levels.binding) == (None, None, None, "none")
    assert StopEngine(StopRules.none()).check(levels, (1.0, 1e9, 0.01)) is None


@pytest.mark.parametrize(
    ("bar", "reason", "price"),
    [
        ((100.0, 101.0, 99.0), None, None),
        ((100.0, 101.0, 84.0), "hard_stop", 85.0),  # touched
        ((80.0, 101.0, 79.0), "hard_stop", 80.0),  # gapped through: the open
        ((100.0, 131.0, 99.0), "profit_target", 130.0),
        ((135.0, 136.0, 99.0), "profit_target", 135.0),
        ((100.0, 131.0, 84.0), "hard_stop", 85.0),  # both: the worse
        ((math.nan, math.nan, math.nan), None, None),  # no bar
    ],
)
def test_a_bar_against_the_levels(bar, reason, price):
    engine = StopEngine(StopRules(trailing=None))
    hit = engine.check(engine.generate_stops(100.0), bar)
    assert (hit is None) == (reason is None)
    if hit is not None:
        assert (hit.reason, hit.price) == (reason, pytest.approx(price))


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0, "150"])
@pytest.mark.parametrize("name", ["entry_price", "atr", "best_price"])
def test_impossible_figures_are_refused_by_name(name, bad):
    with pytest.raises(InputError, match=f"{name} must be above 0 and finite"):
        StopEngine().generate_stops(**{"entry_price": 100.0} | {name: bad})


def test_a_position_is_long_or_short():
    with pytest.raises(InputError, match="'long' or 'short'; got 'flat'"):
        StopEngine().generate_stops(100.0, "flat")
