"""Each limit on a plan small enough to be worked out by hand: the edges that random plans seldom meet."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mech_exo.kernels.records import RiskState
from mech_exo.risk.rules import Falls, Rule, drawdown, risk_state
from tests.oracles.naive_risk import Name, violations
from tests.risk.plans import MARKET, NO_LIMITS, judged, past_of

NAV = 10_000.0


def name(wanted, price=100.0, held=0.0, sector=0, seed=0):
    return Name(wanted, held, price, sector, mark=price if held else math.nan, past=past_of(seed, price))


def rare(**changes):
    return NO_LIMITS._replace(rare=NO_LIMITS.rare._replace(**changes))


def test_the_limit_that_cuts_is_named():
    verdict = judged([name(50.0), name(50.0, sector=1)], NAV, NO_LIMITS._replace(gross=0.5))
    assert (verdict.targets, verdict.bindings) == ([25.0, 25.0], [Rule.GROSS, Rule.GROSS])
    verdict = judged([name(50.0), name(50.0, sector=1)], NAV, NO_LIMITS._replace(sector=0.2))
    assert (verdict.targets, verdict.bindings) == ([20.0, 20.0], [Rule.SECTOR, Rule.SECTOR])


def test_longs_and_shorts_of_a_sector_add_up():
    assert judged([name(50.0), name(-50.0)], NAV, NO_LIMITS._replace(sector=0.5)).targets == [25.0, -25.0]


def test_when_one_side_of_the_net_limit_falls_the_other_is_looked_at_again():
    """10 of 1,010 shares short are left of the position limit and rounding, so the longs that they had allowed must shrink."""
    plan = [name(10.0, 1.0), name(10.0, 1.0), name(5.0, 1.0), name(-1000.0, 1.0), name(-10.0, 1.0)]
    for limit in (NO_LIMITS._replace(rare=None, position=0.1, net=0.05), NO_LIMITS._replace(position=0.1, net=0.05)):
        targets = judged(plan, 100.0, limit).targets
        assert targets == [6.0, 6.0, 3.0, -10.0, 0.0]
        assert violations(plan, targets, 100.0, "active", limit, MARKET, 1.0) == []



def test_the_five_largest_are_five():
    six = [name(20.0) for _ in range(6)]
    assert judged(six, NAV, rare(top_five=0.5)).targets == [10.0] * 6
    assert judged(six, NAV, rare(top_five=1.0)).targets == [20.0] * 6
    assert judged([*six[:4], name(10.0)], NAV, rare(top_five=0.9)).targets == [20.0] * 4 + [10.0]


def test_what_is_sold_uses_the_turnover_first():
    plan = [name(0.0, held=50.0), name(50.0)]
    verdict = judged(plan, NAV, rare(turnover=0.6))
    assert (verdict.targets, verdict.bindings) == ([0.0, 10.0], [0, Rule.TURNOVER])
    assert judged(plan, NAV, rare(turnover=0.4)).targets == [0.0, 0.0], "a reduction passes, also beyond the limit"


def test_a_share_listed_may_be_sold_short_and_no_other():
    listed = Name(-5.0, 0.0, 100.0, 0, shortable=True)
    assert judged([listed, name(-5.0)], NAV, rare(shorts=1)).targets == [-5.0, 0.0]


@pytest.mark.parametrize("field", ["volatility", "value_at_risk", "shortfall"])
def test_a_book_twice_its_limit_is_halved(field):
    plan = [name(40.0, seed=3), name(30.0, seed=5), name(20.0, seed=9)]
    for tight in (0.02, 0.004, 0.001):
        limit = rare(**{field: tight})
        targets = judged(plan, NAV, limit).targets
        assert violations(plan, targets, NAV, "active", limit, MARKET, 1.0) == []
    assert targets != [40.0, 30.0, 20.0]


def test_the_peak_is_looked_for_in_252_sessions_and_the_close_before():
    index = np.ones(600)
    index[340] = 2.0
    assert drawdown(index, 340 + 252) == 0.5
    assert drawdown(index, 340 + 253) == 0.0


def test_a_session_that_lost_too_much_allows_reductions_only():
    limit = NO_LIMITS._replace(daily_loss=0.03)
    states = [risk_state(Falls(0.0, 0.0, fall), False, limit) for fall in (0.02, 0.03, 0.031, math.nan)]
    assert states == [RiskState.ACTIVE, RiskState.ACTIVE, RiskState.REDUCING, RiskState.REDUCING]
