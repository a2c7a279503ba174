"""Each key of the user's risk_limits.yml, read from the file, changes what approve() and StopEngine do."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
import yaml

from mech_exo.domain.panel import BarPanel
from mech_exo.domain.verdict import RiskState
from mech_exo.risk import Portfolio, Position, RiskChecker, StopEngine
from mech_exo.risk.model import Market
from mech_exo.sizing import PositionSizer
from mech_exo.utils.config import load

DAY = datetime(2024, 5, 6, tzinfo=UTC)


def configured(workspace, **values):
    """The workspace's limits with ``section__key`` set in the file."""
    path = workspace / "config" / "risk_limits.yml"
    content = yaml.safe_load(path.read_text("utf-8"))
    for name, value in values.items():
        section, key = name.split("__")
        content[section][key] = value
    path.write_text(yaml.safe_dump(content), "utf-8")
    return load(workspace).risk


def approved(limits, targets, peak=100_000.0, prices=100.0):
    """Shares approved of ``targets`` (symbol → (shares, sector)) on 100,000 USD of cash, each at 100 USD."""
    checker = RiskChecker(Portfolio(100_000), limits, peak_nav=peak)
    verdict = checker.approve(
        {s: n for s, (n, _) in targets.items()}, prices=dict.fromkeys(targets, prices), sectors={s: where for s, (_, where) in targets.items()}
    )
    return {t.symbol: t.shares for t in verdict.approved}, {b.code.value for b in verdict.breaches}


LOOSE = {
    "position_sizing__gap_stress": None, "position_sizing__max_single_trade_risk": 1.0, "position_sizing__max_position": 4.0, "position_sizing__max_sector_exposure": None,
    "portfolio__max_gross_exposure": 4.0, "portfolio__max_net_exposure": 4.0, "portfolio__max_leverage": 4.0,
}  # fmt: skip
TWO = {"AAA": (500, "Tech"), "BBB": (500, "Tech")}
HEDGED = {"AAA": (500, "Tech"), "BBB": (-500, "Energy")}


@pytest.mark.parametrize(
    ("key", "value", "targets", "expected"),
    [
        ("position_sizing__max_single_trade_risk", 0.03, TWO, {"AAA": 200, "BBB": 200}),  # 3,000 / 15 to the hard stop
        ("position_sizing__max_single_trade_risk", 0.06, TWO, {"AAA": 400, "BBB": 400}),
        ("position_sizing__max_position", 0.07, TWO, {"AAA": 70, "BBB": 70}),
        ("position_sizing__max_sector_exposure", 0.2, TWO, {"AAA": 100, "BBB": 100}),
        ("position_sizing__max_sector_exposure", 0.5, TWO, {"AAA": 250, "BBB": 250}),
        ("position_sizing__max_sector_exposure", 0.2, HEDGED, {"AAA": 200, "BBB": -200}),
        ("portfolio__max_gross_exposure", 0.8, TWO, {"AAA": 400, "BBB": 400}),
        ("portfolio__max_gross_exposure", 0.8, HEDGED, {"AAA": 400, "BBB": -400}),
        ("portfolio__max_leverage", 0.6, HEDGED, {"AAA": 300, "BBB": -300}),
        ("portfolio__max_net_exposure", 0.5, TWO, {"AAA": 250, "BBB": 250}),
        ("portfolio__max_net_exposure", 0.3, HEDGED, {"AAA": 500, "BBB": -500}),  # a hedge offsets
    ],
)
def test_each_limit_is_obeyed_as_written(workspace, key, value, targets, expected):
    loose, _ = approved(configured(workspace, **LOOSE), targets)
    assert loose == {symbol: shares for symbol, (shares, _) in targets.items()}
    got, codes = approved(configured(workspace, **LOOSE | {key: value}), targets)
    assert got == expected
    assert (key.split("__")[1] in codes) == (got != loose)


def test_the_sector_limit_needs_a_sector_only_when_it_is_on(workspace):
    unknown = {"AAA": (10, None)}
    on, off = ({"position_sizing__gap_stress": None, "position_sizing__max_sector_exposure": limit} for limit in (0.2, None))
    assert approved(configured(workspace, **on), unknown) == ({"AAA": 0}, {"unknown_sector"})
    assert approved(configured(workspace, **off), unknown) == ({"AAA": 10}, set())


@pytest.mark.parametrize(("limit", "state", "shares"), [(0.10, RiskState.REDUCING, 0), (0.15, RiskState.ACTIVE, 50)])
def test_the_drawdown_limit_decides_the_state(workspace, limit, state, shares):
    limits = configured(workspace, portfolio__max_drawdown=limit, position_sizing__gap_stress=None)
    checker = RiskChecker(Portfolio(100_000), limits, peak_nav=115_000.0)  # 13 % below
    assert checker.state is state
    assert approved(limits, {"AAA": (50, "Tech")}, peak=115_000.0)[0] == {"AAA": shares}


@pytest.mark.parametrize(
    ("key", "value", "field", "expected"),
    [
        ("hard", 0.08, "hard_stop", 92.0), ("hard", None, "hard_stop", None),
        ("trailing", 0.10, "trailing_stop", 108.0), ("trailing", None, "trailing_stop", None),
        ("target", 0.50, "profit_target", 150.0), ("target", None, "profit_target", None),
        ("volatility_atr", 2.5, "volatility_stop", 95.0), ("volatility_atr", None, "volatility_stop", None),
        ("time_sessions", 5, "time_stop", date(2024, 5, 13)), ("time_sessions", None, "time_stop", None),
        ("time_days", 4, "time_stop", date(2024, 5, 10)), ("time_days", 5, "time_stop", date(2024, 5, 13)),
    ],
)  # fmt: skip
def test_each_stop_rests_where_the_file_says(workspace, key, value, field, expected):
    engine = StopEngine(configured(workspace, **{f"stops__{key}": value}).stops)
    levels = engine.generate_stops(100.0, "long", 2.0, best_price=120.0, entry_date=date(2024, 5, 6))
    assert levels[field] == (pytest.approx(expected) if isinstance(expected, float) else expected)


def test_a_dividend_lowers_the_levels_where_the_file_says(workspace):
    for adjusted, hard in ((False, 85.0), (True, 83.3)):
        engine = StopEngine(configured(workspace, stops__adjust_for_dividends=adjusted).stops)
        levels = engine.generate_stops(100.0, "long")
        assert engine.adjust(levels, dividend=2.0).hard_stop == pytest.approx(hard)


def test_the_stops_decide_what_is_at_risk(workspace):
    position = Position("AAA", 100, 100.0, 100.0, DAY, "Tech")
    for hard, usd in ((0.15, 1500.0), (0.05, 500.0)):
        portfolio = Portfolio(100_000)
        portfolio.add_position(position)
        line = RiskChecker(portfolio, configured(workspace, stops__hard=hard)).get_risk_status_summary()["positions"][0]
        assert line["at_risk"] == pytest.approx(usd)


def test_the_sizer_reads_the_same_keys(workspace):
    def size(**values):
        return PositionSizer(100_000, configured(workspace, **values)).calculate_size("X", 100.0, atr=10.0)

    assert size(position_sizing__max_single_trade_risk=0.02, position_sizing__max_position=0.10) == 100
    assert size(position_sizing__max_single_trade_risk=0.01) == 50
    assert size(position_sizing__max_position=0.03) == 30


def panel():
    """Two names that half move together, 253 sessions; AAA gaps down 20 % twice, both close at 100."""
    chance, sessions = np.random.default_rng(5), 253
    shared_move = chance.normal(0.0, 0.01, (sessions, 1))
    close = np.cumprod(1.0 + shared_move + chance.normal(0.0, 0.01, (sessions, 2)), axis=0)
    close *= 100.0 / close[-1]
    open_ = close.copy()
    open_[1:] = close[:-1]
    open_[[100, 240], 0] = 0.8 * close[[99, 239], 0]
    volume = np.full((sessions, 2), 1000.0)
    volume[:-20] = 3000.0  # an average over more sessions is larger
    days = np.arange("2023-01-02", "2024-12-31", dtype="datetime64[D]")[:sessions]
    bars = {"open": open_, "high": np.maximum(open_, close), "low": np.minimum(open_, close), "close": close, "volume": volume}
    return BarPanel.from_arrays(days, ("AAA", "BBB"), bars), shared_move[:, 0]


def allowed(limits, targets, **known):
    """Shares approved of ``targets`` at 100 USD on 100,000 USD, with the bars of :func:`panel`; and the codes that bound."""
    bars, returns = panel()
    known = {"peak_nav": 100_000.0} | known
    checker = RiskChecker(known.pop("portfolio", Portfolio(100_000)), limits, market=Market(bars, returns), **known)
    verdict = checker.approve(targets, prices=dict.fromkeys(targets, 100.0), sectors=dict.fromkeys(targets, "Tech"))
    return {t.symbol: t.shares for t in verdict.approved}, {b.code.value for b in verdict.breaches}


BOTH = {"AAA": 400, "BBB": 400}
SHORT = {"AAA": 400, "BBB": -400}
RISK = LOOSE | {"position_sizing__max_single_trade_risk": 0.02}


def test_the_gap_stress_measures_the_stop_by_the_names_own_gaps(workspace):
    def size(**values):
        return allowed(configured(workspace, **RISK | values), {"AAA": 400})[0]["AAA"]

    assert size(position_sizing__gap_stress=None) == 133  # 2,000 / 15 to the hard stop
    assert size(position_sizing__gap_stress=1.0) == 62  # the stop at 85 fills at 68: 2,000 / 32
    assert size(position_sizing__gap_stress=0.99) == 133, "two gaps of 252 are within 1 %"
    assert size(position_sizing__gap_stress=0.99, position_sizing__gap_window=80) == 62, "one of 80 is not"


@pytest.mark.parametrize(
    ("keys", "targets", "code", "smaller"),
    [
        ({"position_sizing__max_volume_share": 0.1}, BOTH, "max_volume_share", {"AAA": 100, "BBB": 100}),
        ({"position_sizing__max_volume_share": 0.1, "position_sizing__volume_window": 40}, BOTH, "max_volume_share", {"AAA": 200, "BBB": 200}),
        ({"position_sizing__max_exit_days": 2.0}, BOTH, "max_exit_days", {"AAA": 200, "BBB": 200}),
        ({"position_sizing__max_exit_days": 2.0, "position_sizing__exit_participation": 0.05}, BOTH, "max_exit_days", {"AAA": 100, "BBB": 100}),
        ({"portfolio__max_turnover": 0.4}, BOTH, "max_turnover", {"AAA": 200, "BBB": 200}),
        ({"portfolio__max_top_five": 0.6}, {"AAA": 400, "BBB": 250}, "max_top_five", {"AAA": 350, "BBB": 250}),
        ({"portfolio__shorts": "never"}, SHORT, "shorts", {"AAA": 400, "BBB": 0}),
        ({"portfolio__shorts": "listed"}, SHORT, "shorts", {"AAA": 400, "BBB": 0}),
        ({"portfolio__shorts": "listed", "portfolio__shortable": ["AAA"]}, SHORT, "shorts", {"AAA": 400, "BBB": 0}),
        ({"portfolio__shorts": "listed", "portfolio__shortable": ["BBB"]}, SHORT, None, SHORT),
        ({"risk_model__max_pair_correlation": 0.3, "position_sizing__max_position": 0.4}, BOTH, "max_pair_correlation", {"AAA": 200, "BBB": 200}),
        ({"risk_model__max_pair_correlation": 0.9, "position_sizing__max_position": 0.4}, BOTH, None, BOTH),
    ],
)  # fmt: skip
def test_each_new_limit_is_obeyed_as_written(workspace, keys, targets, code, smaller):
    assert allowed(configured(workspace, **LOOSE), targets) == (targets, set())
    got, codes = allowed(configured(workspace, **LOOSE | keys), targets)
    assert got == smaller
    assert codes == ({code} if code else set())


@pytest.mark.parametrize(
    ("key", "tight", "tighter"),
    [
        ("max_average_correlation", 0.1, 0.05), ("max_volatility", 0.1, 0.05), ("max_value_at_risk", 0.01, 0.005),
        ("max_expected_shortfall", 0.015, 0.01), ("max_beta", 0.4, 0.2),
    ],
)  # fmt: skip
def test_each_limit_of_the_risk_model_cuts_the_more_the_tighter_it_is(workspace, key, tight, tighter):
    sizes = []
    for value in (None, tight, tighter):
        got, codes = allowed(configured(workspace, **LOOSE | {f"risk_model__{key}": value}), BOTH)
        sizes.append(sum(got.values()))
        assert codes == ({key} if value else set())
    assert sizes[0] == 800 and 0 < sizes[2] < sizes[1] < 800
    short, codes = allowed(configured(workspace, **LOOSE | {f"risk_model__{key}": tight, "risk_model__window": 252}), {"NEW": 10})
    assert (short, codes) == ({"NEW": 0}, {"unknown_risk"}), "a name without a past"


@pytest.mark.parametrize(("key", "values"), [("confidence", (0.9, 0.99)), ("window", (252, 60))])
def test_the_window_and_the_confidence_of_the_risk_model_are_read(workspace, key, values):
    limits = LOOSE | {"risk_model__max_value_at_risk": 0.004}
    first, second = (allowed(configured(workspace, **limits | {f"risk_model__{key}": value}), BOTH)[0] for value in values)
    assert first != second and sum(first.values()) > 0 and sum(second.values()) > 0


@pytest.mark.parametrize(
    ("key", "passed", "kept"), [("max_daily_loss", 0.04, 0.06), ("max_all_time_drawdown", 0.15, 0.25)]
)
def test_the_limits_on_falls_decide_the_state(workspace, key, passed, kept):
    history = [120_000.0] + 300 * [100_000.0]  # the peak is older than twelve months
    for value, shares in ((passed, 0), (kept, 10), (None, 10)):
        limits = configured(workspace, **LOOSE | {f"portfolio__{key}": value})
        portfolio = Portfolio(95_000)
        got, codes = allowed(limits, {"AAA": 10}, portfolio=portfolio, peak_nav=None, nav_history=history)
        assert got == {"AAA": shares} and (key in codes) == (shares == 0)


@pytest.mark.parametrize(("kind", "level", "shares"), [("limit", 96.0, 10.0), ("limit", 94.0, 0.0), ("market_on_open", math.nan, 10.0)])
def test_the_price_collar_judges_an_orders_own_level(workspace, kind, level, shares):
    from mech_exo.risk.rules import LimitParams
    from tests.oracles.naive_risk import Name
    from tests.risk.plans import judged

    name = Name(10.0, 0.0, 100.0, 0, kind=kind, level=level)
    limits = LimitParams.of(configured(workspace, **LOOSE | {"portfolio__max_price_deviation": 0.05}), order_offset=0.02)
    assert judged([name], 100_000.0, limits).targets == [shares]
    far = LimitParams.of(configured(workspace, **LOOSE | {"portfolio__max_price_deviation": 0.01}), order_offset=0.02)
    own = Name(10.0, 0.0, 100.0, 0, kind="limit")  # at the strategy's own offset of 2 %
    assert judged([own], 100_000.0, limits).targets == [10.0] and judged([own], 100_000.0, far).targets == [0.0]


def test_every_key_of_the_file_is_flipped_here(workspace):
    """A limit that no test of this file names is one that nobody may read."""
    content = yaml.safe_load((workspace / "config" / "risk_limits.yml").read_text("utf-8"))
    text = Path(__file__).read_text("utf-8")
    for section in ("position_sizing", "portfolio", "risk_model", "stops"):
        missing = [key for key in content[section] if key not in text and key not in ELSEWHERE]
        assert not missing, section


ELSEWHERE = {"active_on_entry": "tests/laws/test_stop_laws.py"}
"""Keys flipped by other tests."""
