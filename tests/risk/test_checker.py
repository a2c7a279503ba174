"""RiskChecker: the user's own example, every limit's use and headroom by hand, and unknowns that stay unknown."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mech_exo.domain.errors import InputError
from mech_exo.domain.verdict import BreachCode, RiskState
from mech_exo.risk import Portfolio, Position, RiskChecker, StopEngine
from mech_exo.risk.usage import LABELS, LimitStatus
from mech_exo.sizing import PositionSizer, SizingMethod
from mech_exo.utils.settings import PortfolioLimits, PositionLimits, RiskLimits, StopRules

DAY = datetime(2024, 5, 6, tzinfo=UTC)


def book(*positions, cash=100_000.0):
    """A portfolio of (symbol, shares, entry, price, sector, stop)."""
    portfolio = Portfolio(cash)
    for symbol, shares, entry, price, sector, stop in positions:
        portfolio.add_position(Position(symbol, shares, entry, price, DAY, sector, stop))
    return portfolio


AT_LEVEL = RiskLimits(position_sizing=PositionLimits(gap_stress=None))
"""Without a market nobody knows a name's overnight gaps; these limits take a stop to fill at its level."""


def test_the_users_own_example_to_the_letter():
    sizer = PositionSizer(nav=100000)
    shares = sizer.calculate_size("AAPL", 150.0, method=SizingMethod.ATR_BASED, atr=2.0)
    stop_engine = StopEngine()
    stops = stop_engine.generate_stops(entry_price=150.0, position_type="long", atr=2.0)
    portfolio = Portfolio(100000)
    portfolio.add_position(Position("AAPL", shares, 150.0, 155.0, datetime.now()))  # noqa: DTZ005 - as he wrote it

    checker = RiskChecker(portfolio)
    risk_status = checker.get_risk_status_summary()

    assert (stops["hard_stop"], stops["trailing_stop"], stops["profit_target"], stops["stop"]) == (127.5, 112.5, 195.0, 144.0)
    assert shares == 66
    assert risk_status["nav"] == 100_330.0 and risk_status["cash"] == 90_100.0
    assert risk_status["gross_exposure"] == risk_status["net_exposure"] == 10_230.0
    assert risk_status["leverage"] == pytest.approx(10_230 / 100_330)
    assert risk_status["drawdown"] is None and risk_status["state"] == "reducing"  # nobody knows the peak
    assert [v["code"] for v in risk_status["violations"]] == ["max_position"]  # it has grown to 10.2 % of NAV
    line = risk_status["positions"][0]
    assert (line["symbol"], line["shares"], line["resting_stop"], line["at_risk"]) == ("AAPL", 66, 127.5, 66 * 27.5)
    json.dumps(risk_status, allow_nan=False)


BOOK = (
    ("AAA", 90, 100.0, 100.0, "Tech", 90.0),  # 9,000; 900 at risk
    ("BBB", 60, 150.0, 150.0, "Tech", 140.0),  # 9,000; 600 at risk
    ("CCC", -50, 100.0, 80.0, "Energy", 85.0),  # −4,000; 250 at risk, 1,000 gained
)


def test_every_limit_by_hand():
    checker = RiskChecker(book(*BOOK), AT_LEVEL, peak_nav=105_000.0)
    status = checker.check()
    nav = 101_000.0
    assert checker.portfolio.nav == nav and status.state is RiskState.ACTIVE and not status.violations
    expected = {  # limit, value in USD, who
        BreachCode.TRADE_RISK: (0.02, 900.0, "AAA"),
        BreachCode.POSITION: (0.10, 9000.0, "AAA"),
        BreachCode.SECTOR: (0.20, 18_000.0, "Tech"),
        BreachCode.GROSS: (1.5, 22_000.0, None),
        BreachCode.LEVERAGE: (1.5, 22_000.0, None),
        BreachCode.NET: (1.0, 14_000.0, None),
    }
    for code, (limit, usd, who) in expected.items():
        line = status.usage(code)
        assert (line.limit, line.who) == (limit, who)
        assert line.value == pytest.approx(usd / nav) and line.usage == pytest.approx(usd / nav / limit)
        assert line.headroom == pytest.approx(limit * nav - usd)
        assert line.status is (LimitStatus.WARNING if usd / nav / limit >= 0.8 else LimitStatus.OK)
    fall = status.usage(BreachCode.DRAWDOWN)
    assert fall.value == pytest.approx(4000 / 105_000)
    assert fall.headroom == pytest.approx(nav - 0.9 * 105_000)
    assert [line.code for line in status.limits] == list(LABELS)


def test_each_broken_instance_is_named():
    limits = RiskLimits(
        position_sizing=PositionLimits(max_single_trade_risk=0.005, max_position=0.05, max_sector_exposure=0.03),
        portfolio=PortfolioLimits(max_gross_exposure=0.2, max_leverage=0.21, max_net_exposure=0.1, max_drawdown=0.01),
    )
    status = RiskChecker(book(*BOOK), limits, peak_nav=110_000.0).check()
    broken = {(breach.code.name, breach.symbol) for breach in status.violations}
    assert broken == {
        ("TRADE_RISK", "AAA"), ("TRADE_RISK", "BBB"), ("POSITION", "AAA"), ("POSITION", "BBB"), ("SECTOR", "Tech"), ("SECTOR", "Energy"),
        ("GROSS", None), ("LEVERAGE", None), ("NET", None), ("DRAWDOWN", None),
    }  # fmt: skip
    assert status.state is RiskState.REDUCING
    assert all(line.headroom < 0 for line in status.limits if line.limit is not None)
    assert any("only reductions pass until NAV recovers" in note for note in status.notes)


def test_an_empty_book_has_all_its_headroom():
    status = RiskChecker(Portfolio(100_000), nav_history=[100_000.0]).check()
    rooms = {line.code: line.headroom for line in status.limits}
    assert rooms[BreachCode.POSITION] == 10_000 and rooms[BreachCode.GROSS] == 150_000 and rooms[BreachCode.DRAWDOWN] == pytest.approx(10_000)
    assert {line.status for line in status.limits} == {LimitStatus.OK} and status.state is RiskState.ACTIVE and status.notes == ()


def test_without_a_history_the_drawdown_is_unknown_never_zero():
    checker = RiskChecker(Portfolio(100_000))
    line = checker.check().usage(BreachCode.DRAWDOWN)
    assert (line.value, line.usage, line.headroom, line.status) == (None, None, None, LimitStatus.UNKNOWN)
    assert math.isnan(checker.drawdown) and checker.state is RiskState.REDUCING
    assert any("drawdown is unknown" in note for note in checker.check().notes)
    assert checker.what_if({"X": 10}, prices={"X": 10.0}, sectors={"X": "Tech"}).approved[0].shares == 0


def test_an_unknown_loss_of_the_session_is_unknown_never_zero():
    limits = RiskLimits(portfolio=PortfolioLimits(max_daily_loss=0.03))
    checker = RiskChecker(Portfolio(100_000), limits, peak_nav=100_000.0)
    line = checker.check().usage(BreachCode.DAILY_LOSS)
    assert (line.value, line.status) == (None, LimitStatus.UNKNOWN) and checker.state is RiskState.REDUCING
    assert any("session's loss is unknown" in note for note in checker.check().notes)
    quiet = RiskChecker(Portfolio(100_000), limits, nav_history=[100_000.0]).get_risk_status_summary()
    assert f"{quiet['session_return']:+.2%}" == "+0.00%"


def test_what_nobody_measured_claims_nothing():
    status = RiskChecker(book(("AAA", 50, 100.0, 100.0, None, None)), peak_nav=100_000.0).check()
    assert status.usage(BreachCode.PAIR_CORRELATION).value is None
    (sector,) = (line for line in status.stress if line.scenario.startswith("sector"))
    assert (sector.pnl, sector.detail) == (None, "")


@pytest.mark.parametrize(
    ("peak", "history", "fall"),
    [
        (None, [100_000.0, 125_000.0, 110_000.0], 0.2),
        (None, [125_000.0] + [100_000.0] * 250, 0.2),  # 251 closes and tonight: just inside the 252 sessions
        (None, [125_000.0] + [100_000.0] * 251, 0.0),  # gone from the window
        (125_000.0, [100_000.0] * 300, 0.2),
        (90_000.0, None, 0.0),  # NAV itself is the peak
        (None, [math.nan, 100_000.0], math.nan),
        (None, [], math.nan),
    ],
)
def test_the_drawdown_is_from_the_trailing_peak(peak, history, fall):
    got = RiskChecker(Portfolio(100_000), peak_nav=peak, nav_history=history).drawdown
    assert got == pytest.approx(fall, nan_ok=True)


@pytest.mark.parametrize("nav", [0.0, -5000.0])
def test_without_a_nav_everything_is_unknown_and_halted(nav):
    checker = RiskChecker(book(("AAA", 10, 100.0, 100.0, "Tech", None), cash=nav), nav_history=[100_000.0])
    status = checker.check()
    assert status.state is RiskState.HALTED and {line.status for line in status.limits} == {LimitStatus.UNKNOWN}
    assert all(line.value is None and line.headroom is None for line in status.limits)
    targets = {t.symbol: t for t in checker.approve({"AAA": 20, "BBB": 5}, prices={"BBB": 1.0}, sectors={"BBB": "Tech"}).approved}
    assert (targets["AAA"].shares, targets["BBB"].shares) == (10, 0)
    assert checker.approve({"AAA": 4}).approved[0].shares == 4
    json.dumps(checker.get_risk_status_summary(), allow_nan=False)


def test_an_unknown_sector_is_unknown_not_a_crash_and_not_zero():
    checker = RiskChecker(book(("AAA", 50, 100.0, 100.0, None, None)), peak_nav=100_000.0)
    line = checker.check().usage(BreachCode.SECTOR)
    assert (line.value, line.status, line.who) == (None, LimitStatus.UNKNOWN, "AAA")
    more = checker.what_if({"AAA": 10})
    assert more.approved[0].shares == 50 and more.approved[0].binding == "unknown_sector"
    assert checker.what_if({"AAA": -10}).approved[0].shares == 40


def test_a_broken_sector_outranks_an_unknown_one():
    positions = (("AAA", 300, 100.0, 100.0, "Tech", None), ("BBB", 1, 100.0, 100.0, None, None))
    line = RiskChecker(book(*positions), peak_nav=100_000.0).check().usage(BreachCode.SECTOR)
    assert (line.status, line.who) == (LimitStatus.BREACH, "Tech")


def test_no_sector_limit_needs_no_sector():
    limits = RiskLimits(position_sizing=PositionLimits(max_sector_exposure=None, gap_stress=None))
    checker = RiskChecker(book(("AAA", 50, 100.0, 100.0, None, None)), limits, peak_nav=100_000.0)
    line = checker.check().usage(BreachCode.SECTOR)
    assert (line.limit, line.usage, line.status) == (None, None, LimitStatus.OK)
    assert checker.what_if({"AAA": 10}).approved[0].shares == 60


def test_no_limits_means_none():
    checker = RiskChecker(book(("AAA", 5000, 100.0, 100.0, None, None)), RiskLimits.off())
    status = checker.check()
    assert status.state is RiskState.ACTIVE and not status.violations and {line.limit for line in status.limits} == {None}
    assert checker.what_if({"AAA": 5000}).approved[0].shares == 10_000


@pytest.mark.parametrize(
    ("position", "stops", "usd"),
    [
        (("A", 10, 100.0, 120.0, "T", 110.0), StopRules(), 100.0),  # its own level
        (("A", 10, 100.0, 120.0, "T", 125.0), StopRules(), 0.0),  # passed already: nothing further is at risk
        (("A", 10, 100.0, 120.0, "T", None), StopRules(), 300.0),  # trailing 25 % below 120 is nearer than hard at 85
        (("A", 10, 100.0, 90.0, "T", None), StopRules(), 50.0),  # hard at 85
        (("A", 10, 100.0, 90.0, "T", None), StopRules.none(), 900.0),  # no stop: the whole price
        (("A", -10, 100.0, 110.0, "T", None), StopRules(), 50.0),  # short: hard at 115
        (("A", -10, 100.0, 80.0, "T", None), StopRules(), 200.0),  # short: trailing 25 % above 80
        (("A", -10, 100.0, 80.0, "T", None), StopRules.none(), 800.0),
    ],
)
def test_what_a_position_has_at_risk(position, stops, usd):
    status = RiskChecker(book(position), RiskLimits(stops=stops)).get_risk_status_summary()
    assert status["positions"][0]["at_risk"] == pytest.approx(usd)


def test_a_halt_lets_only_reductions_pass():
    checker = RiskChecker(book(*BOOK), peak_nav=101_000.0, halted=True)
    verdict = checker.approve({"AAA": 95, "BBB": 10, "CCC": 0})
    assert {t.symbol: t.shares for t in verdict.approved} == {"AAA": 90, "BBB": 10, "CCC": 0}
    assert verdict.state is RiskState.HALTED and BreachCode.HALTED in {b.code for b in verdict.breaches}
    assert "a HALT is in force: only reductions pass" in checker.check().notes


def test_what_is_not_named_stays_and_counts():
    checker = RiskChecker(book(*BOOK), AT_LEVEL, peak_nav=101_000.0)
    verdict = checker.what_if({"DDD": 100}, prices={"DDD": 100.0}, sectors={"DDD": "Tech"})
    shares = {t.symbol: t.shares for t in verdict.approved}
    assert set(shares) == {"AAA", "BBB", "CCC", "DDD"} and shares["CCC"] == -50
    assert shares["AAA"] * 100 + shares["BBB"] * 150 + shares["DDD"] * 100 <= 0.2 * 101_000
    assert [(b.code, b.symbol) for b in verdict.breaches] == [(BreachCode.SECTOR, "Tech")]


@pytest.mark.parametrize("price", [None, math.nan, math.inf, 0.0, -3.0])
def test_an_unknown_price_denies(price):
    prices = {} if price is None else {"ZZZ": price}
    verdict = RiskChecker(book(*BOOK), peak_nav=101_000.0).what_if({"ZZZ": 1}, prices=prices, sectors={"ZZZ": "Retail"})
    target = next(t for t in verdict.approved if t.symbol == "ZZZ")
    assert (target.shares, target.binding, target.stop_level) == (0, "unknown_price", None)


@pytest.mark.parametrize("shares", [1.5, math.nan, math.inf, "7", True])
def test_targets_are_whole_shares(shares):
    with pytest.raises(InputError, match="shares must be a whole number; AAA"):
        RiskChecker(book(*BOOK)).approve({"AAA": shares})


@pytest.mark.parametrize("history", [[0.0], [-1.0], [math.inf], [[1.0]]])
def test_impossible_histories(history):
    with pytest.raises(InputError, match="nav_history"):
        RiskChecker(Portfolio(100_000), nav_history=history)


@pytest.mark.parametrize("peak", [0.0, -1.0, math.nan, math.inf])
def test_impossible_peaks(peak):
    with pytest.raises(InputError, match="peak_nav"):
        RiskChecker(Portfolio(100_000), peak_nav=peak)


positions = st.lists(
    st.tuples(st.integers(-400, 400).filter(bool), st.floats(20, 300), st.floats(0.8, 1.25), st.sampled_from(["Tech", "Energy", "Retail"])),
    max_size=6,
)


@settings(max_examples=100)
@given(positions, st.floats(1.0, 1.3))
def test_status_and_verdict_agree(rows, peak):
    """Nothing broken: the book may be kept as it is. A limit broken: keeping it is cut, until nothing is broken."""
    portfolio = book(*((f"S{i}", n, entry, entry * move, sector, None) for i, (n, entry, move, sector) in enumerate(rows)))
    if not portfolio.nav > 0:
        return
    checker = RiskChecker(portfolio, peak_nav=peak * portfolio.nav)
    broken = {b.code for b in checker.check().violations} - {BreachCode.DRAWDOWN}
    kept = checker.approve({})
    unchanged = all(t.shares == portfolio.shares(t.symbol) for t in kept.approved)
    assert unchanged == (not broken)
    consequences = {BreachCode.DRAWDOWN, BreachCode.NET}  # a side that another limit cuts no longer offsets the other
    assert {b.code for b in kept.breaches if b.code in LABELS} - consequences <= broken
    fractions = np.array([t.weight for t in kept.approved])
    assert (np.abs(fractions) <= 0.10 * (1 + 1e-9)).all()
