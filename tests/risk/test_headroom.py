"""How much more of a target the limits allow: by hand, in words, and as a law: the room is allowed, a dollar more is not."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mech_exo.domain.targets import Room
from mech_exo.domain.verdict import BreachCode
from mech_exo.risk import RiskChecker
from mech_exo.risk.headroom import with_rooms
from mech_exo.risk.usage import LABELS, LimitStatus, Standing, instances
from mech_exo.utils.settings import PortfolioLimits, PositionLimits, RiskLimits, StopRules
from tests.risk.market import portfolio_of

PRICES = {"AAA": 100.0, "BBB": 50.0, "CCC": 20.0, "DDD": 10.0}
SECTORS = {"AAA": "Technology", "BBB": "Technology", "CCC": "Energy", "DDD": "Retail"}
WIDE = RiskLimits(position_sizing=PositionLimits(max_single_trade_risk=1.0, max_position=0.5))


def rooms(shares, limits=WIDE, sectors=SECTORS, wanted=None, **more):
    checker = RiskChecker(portfolio_of(PRICES, shares, sectors), limits, peak_nav=100_000.0, **more)
    return {t.symbol: t.room for t in checker.approve(wanted or {}, prices=PRICES, sectors=sectors).approved}


def test_the_next_limit_and_its_dollars_by_hand():
    found = rooms({"AAA": 100, "BBB": 117, "CCC": 300})
    assert found["AAA"] == Room("max_sector_exposure", "Technology", pytest.approx(20_000.0 - 10_000.0 - 5_850.0))
    assert str(found["BBB"]) == "$4,150 more before Technology binds"
    assert found["CCC"] == Room("max_sector_exposure", "Energy", pytest.approx(14_000.0))


@pytest.mark.parametrize(
    ("limits", "shares", "symbol", "room"),
    [
        (PositionLimits(max_position=0.12, max_single_trade_risk=1.0), {"AAA": 100}, "AAA", ("max_position", 2000.0)),
        (PositionLimits(max_position=0.5, max_single_trade_risk=0.02), {"AAA": 100}, "AAA", ("max_single_trade_risk", 2000.0 / 0.15 - 10_000.0)),
        (PositionLimits(max_position=0.5, max_single_trade_risk=0.02), {"AAA": -100}, "AAA", ("max_single_trade_risk", 2000.0 / 0.15 - 10_000.0)),
    ],
)  # fmt: skip
def test_limits_of_one_name(limits, shares, symbol, room):
    found = rooms(shares, RiskLimits(position_sizing=limits))[symbol]
    assert (found.code, found.usd) == (room[0], pytest.approx(room[1]))


@pytest.mark.parametrize(("long", "short"), [(100_000.0 * 0.3 - 8_000.0, None), (None, 100_000.0 * 0.3 + 8_000.0)])
def test_net_exposure_leaves_more_to_the_smaller_side(long, short):
    book = PortfolioLimits(max_net_exposure=0.3)
    limits = RiskLimits(position_sizing=PositionLimits(max_single_trade_risk=1.0, max_position=4.0, max_sector_exposure=None), portfolio=book)
    found = rooms({"AAA": 100, "CCC": -100}, limits)  # net 8,000
    symbol, usd = ("AAA", long) if long is not None else ("CCC", short)
    assert (found[symbol].code, found[symbol].usd) == ("max_net_exposure", pytest.approx(usd))


def test_what_binds_leaves_no_room_and_says_so():
    cut = rooms({}, RiskLimits(), wanted={"AAA": 500})
    assert str(cut["AAA"]) == "the position limit binds" and cut["AAA"].usd == 0.0
    assert str(rooms({"AAA": 10}, halted=True)["AAA"]) == "the HALT binds"
    assert str(rooms({"DDD": 10}, sectors={})["DDD"]) == "the unknown sector binds"
    assert rooms({}, WIDE, sectors=SECTORS, wanted={"AAA": 0})["AAA"] is None


def test_without_a_nav_nothing_is_known():
    checker = RiskChecker(portfolio_of(PRICES, {"AAA": 10}, SECTORS, nav=-5.0), WIDE)
    verdict = checker.approve({"AAA": 5})
    assert verdict.approved[0].room is None and with_rooms(verdict, PRICES, SECTORS, math.nan, WIDE) == verdict


@given(
    st.dictionaries(st.sampled_from(sorted(PRICES)), st.integers(-400, 400).filter(bool), min_size=1),
    st.floats(0.05, 0.4), st.floats(0.05, 0.5), st.floats(0.005, 0.05), st.floats(0.2, 1.5), st.floats(0.1, 1.0),
)  # fmt: skip
def test_the_room_is_allowed_and_a_dollar_more_is_not(shares, position, sector, risk, gross, net):
    limits = RiskLimits(
        position_sizing=PositionLimits(max_single_trade_risk=risk, max_position=position, max_sector_exposure=sector),
        portfolio=PortfolioLimits(max_gross_exposure=gross, max_net_exposure=net, max_leverage=gross + 0.1), stops=StopRules(),
    )  # fmt: skip
    checker = RiskChecker(portfolio_of(PRICES, shares, SECTORS), limits, peak_nav=100_000.0)
    approved = {t.symbol: t for t in checker.approve({}).approved}
    book = {symbol: t.shares for symbol, t in approved.items() if t.shares}
    assume(book)
    for symbol, target in approved.items():
        if target.room is None or target.room.usd <= 1.0 or symbol not in book:
            continue
        for more, broken in ((target.room.usd - 0.5, False), (target.room.usd + 0.5, True)):
            grown = book | {symbol: book[symbol] + math.copysign(more / PRICES[symbol], book[symbol])}
            portfolio = portfolio_of(PRICES, grown, SECTORS)
            object.__setattr__(portfolio.positions[symbol], "stop_level", target.stop_level)
            lines = [line for code in LABELS for line in instances(code, portfolio, limits, Standing(0.0, 0.0, 0.0, 0.0))]
            whose = [line for line in lines if line.code == BreachCode(target.room.code) and line.who in (symbol, SECTORS[symbol], None)]
            assert any(line.status is LimitStatus.BREACH for line in whose) == broken
