"""Each key of the user's risk_limits.yml, read from the file, changes what approve() and StopEngine do."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
import yaml

from mech_exo.domain.verdict import RiskState
from mech_exo.risk import Portfolio, Position, RiskChecker, StopEngine
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
    "position_sizing__max_single_trade_risk": 1.0, "position_sizing__max_position": 4.0, "position_sizing__max_sector_exposure": None,
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
    assert approved(configured(workspace, position_sizing__max_sector_exposure=0.2), unknown) == ({"AAA": 0}, {"unknown_sector"})
    assert approved(configured(workspace, position_sizing__max_sector_exposure=None), unknown) == ({"AAA": 10}, set())


@pytest.mark.parametrize(("limit", "state", "shares"), [(0.10, RiskState.REDUCING, 0), (0.15, RiskState.ACTIVE, 50)])
def test_the_drawdown_limit_decides_the_state(workspace, limit, state, shares):
    limits = configured(workspace, portfolio__max_drawdown=limit)
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
    ],
)  # fmt: skip
def test_each_stop_rests_where_the_file_says(workspace, key, value, field, expected):
    engine = StopEngine(configured(workspace, **{f"stops__{key}": value}).stops)
    levels = engine.generate_stops(100.0, "long", 2.0, best_price=120.0, entry_date=date(2024, 5, 6))
    assert levels[field] == (pytest.approx(expected) if isinstance(expected, float) else expected)


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
