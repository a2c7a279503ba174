"""What a status says of a limit on the risk of the book is what the rule judges: a limit just below it cuts, one just above it does not."""

from __future__ import annotations

import math

import pytest

from mech_exo.domain.verdict import BreachCode
from mech_exo.risk import RiskChecker
from mech_exo.risk.usage import LimitStatus
from mech_exo.utils.settings import PortfolioLimits, PositionLimits, RiskLimits, RiskModelLimits
from tests.risk.market import market_of, portfolio_of, prices_of

HELD = {"AAPL": 30, "GE": -60, "JPM": 120, "PG": 90, "XOM": 150}
SECTORS = dict.fromkeys(HELD, "One")
WIDE = {"max_single_trade_risk": 1.0, "max_position": 4.0, "max_sector_exposure": None, "gap_stress": None}
BOOK = {"max_gross_exposure": 4.0, "max_net_exposure": 4.0, "max_leverage": 4.0}


@pytest.fixture(scope="module")
def real(shared):
    return market_of(shared, upto="2009-12-31")


def checker(market, shares=HELD, *, position=None, portfolio=None, **model):
    limits = RiskLimits(
        position_sizing=PositionLimits(**WIDE | (position or {})), portfolio=PortfolioLimits(**BOOK | (portfolio or {})),
        risk_model=RiskModelLimits(**model),
    )  # fmt: skip
    return RiskChecker(portfolio_of(prices_of(market), shares, SECTORS), limits, peak_nav=100_000.0, market=market)


CASES = [
    ("max_volatility", lambda x: {"max_volatility": x}),
    ("max_value_at_risk", lambda x: {"max_value_at_risk": x}),
    ("max_expected_shortfall", lambda x: {"max_expected_shortfall": x}),
    ("max_average_correlation", lambda x: {"max_average_correlation": x}),
    ("max_pair_correlation", lambda x: {"max_pair_correlation": 0.3, "position": {"max_position": x}}),
    ("max_top_five", lambda x: {"portfolio": {"max_top_five": x}}),
    ("max_exit_days", lambda x: {"position": {"max_exit_days": x}}),
]


@pytest.mark.parametrize(("key", "limit"), CASES, ids=[key for key, _ in CASES])
def test_the_status_measures_what_the_rule_judges(real, key, limit):
    code = BreachCode(key)
    value = checker(real, **limit(0.9)).check().usage(code).value
    assert value is not None and value > 0.0
    for factor, kept in ((1.0 + 1e-6, True), (1.0 - 1e-6, False)):
        judge = checker(real, **limit(value * factor))
        verdict = judge.approve({})
        assert all(t.shares == HELD[t.symbol] for t in verdict.approved) == kept
        assert (code in {b.code for b in verdict.breaches}) != kept
        assert (judge.check().usage(code).status is LimitStatus.BREACH) != kept


def test_beta_without_a_hedge_is_what_its_limit_leaves(real):
    """The limit on beta lets what is left of one side relieve the other; a book on one side alone is measured the same by both."""
    longs = {symbol: shares for symbol, shares in HELD.items() if shares > 0}
    value = checker(real, longs, max_beta=4.0).check().usage(BreachCode.BETA).value
    for factor, kept in ((1.0 + 1e-6, True), (1.0 - 1e-6, False)):
        verdict = checker(real, longs, max_beta=value * factor).approve({})
        assert all(t.shares == longs[t.symbol] for t in verdict.approved) == kept


def test_the_room_stops_where_the_risk_model_does(real):
    """Volatility is at 90 % of its limit: no other limit is as near, and half a dollar beyond the room it is broken."""
    now = checker(real, max_volatility=4.0).check().usage(BreachCode.VOLATILITY).value
    limit = now / 0.9
    prices = prices_of(real)
    for target in checker(real, max_volatility=limit).approve({}).approved:
        room = target.room
        assert room.code == "max_volatility" and 0.0 < room.usd < 400_000.0 and "volatility binds" in str(room)
        for more, broken in ((room.usd - 1.0, False), (room.usd + 1.0, True)):
            grown = HELD | {target.symbol: target.shares + math.copysign(more / prices[target.symbol], target.shares)}
            status = checker(real, grown, max_volatility=limit).check().usage(BreachCode.VOLATILITY).status
            assert (status is LimitStatus.BREACH) == broken


def test_unknown_history_denies_and_the_status_says_whom(real):
    more = checker(real, max_volatility=1.0)
    more.portfolio.add_position(portfolio_of({"ZZZ": 10.0}, {"ZZZ": 5}, {"ZZZ": "One"}).positions["ZZZ"])
    line = more.check().usage(BreachCode.VOLATILITY)
    assert (line.value, line.status, line.who) == (None, LimitStatus.UNKNOWN, "ZZZ")
    assert {t.symbol: t.shares for t in more.approve({"ZZZ": 6}).approved}["ZZZ"] == 5
