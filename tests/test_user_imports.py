"""The user's own imports and examples, to the letter."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest


def test_every_import_of_his_document() -> None:
    from mech_exo.backtest import EventBacktester, WalkForwardEvaluator
    from mech_exo.datasource import DataStorage, FundamentalFetcher, NewsScraper, OHLCDownloader
    from mech_exo.execution import BrokerInterface, ExecutionTracker, OrderRouter
    from mech_exo.reporting import DailySnapshot
    from mech_exo.risk import Portfolio, Position, RiskChecker, StopEngine
    from mech_exo.scoring import FactorFactory, IdeaScorer
    from mech_exo.sizing import PositionSizer, SizingMethod

    named = (DailySnapshot, BrokerInterface, ExecutionTracker, OrderRouter, EventBacktester, WalkForwardEvaluator, DataStorage, FundamentalFetcher,
             NewsScraper, OHLCDownloader, FactorFactory, IdeaScorer, PositionSizer, SizingMethod, Portfolio, Position, RiskChecker, StopEngine)  # fmt: skip
    assert all(isinstance(one, type) for one in named)


def test_sizing_stops_and_risk_as_in_his_example() -> None:
    from mech_exo.risk import Portfolio, Position, RiskChecker, StopEngine
    from mech_exo.sizing import PositionSizer, SizingMethod

    sizer = PositionSizer(nav=100000)
    shares = sizer.calculate_size("AAPL", 150.0, method=SizingMethod.ATR_BASED, atr=2.0)
    assert shares == 66
    assert "500" in repr(shares)
    assert "max_position" in repr(shares)

    stops = StopEngine().generate_stops(entry_price=150.0, position_type="long", atr=2.0)
    assert stops["hard_stop"] == 127.5
    assert stops["trailing_stop"] == 112.5
    assert stops["profit_target"] == 195.0
    assert stops["volatility_stop"] == 144.0

    portfolio = Portfolio(100000)
    portfolio.add_position(Position("AAPL", shares, 150.0, 155.0, datetime.now()))  # noqa: DTZ005 as he wrote it
    assert portfolio.cash == 100000 - 66 * 150
    assert portfolio.nav == 100000 + 66 * 5
    status = RiskChecker(portfolio).get_risk_status_summary()
    assert status["nav"] == portfolio.nav
    assert status["drawdown"] is None


def test_scoring_as_in_his_example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from mech_exo.datasource import DataStorage
    from mech_exo.datasource.demo import sample_market
    from mech_exo.scoring import IdeaScorer
    from mech_exo.utils.workspace import create

    create(tmp_path)
    monkeypatch.setenv("EXO_HOME", str(tmp_path))
    with DataStorage() as storage:
        sample_market(symbols=20, years=3).store(storage)
        storage.publish()
    scorer = IdeaScorer()
    ranking = scorer.rank_universe()
    assert {"rank", "symbol", "composite_score", "percentile", "current_price", "pe_ratio"} <= set(ranking.columns)
    top_10 = scorer.get_top_ideas(n=10)
    assert top_10["symbol"].to_list() == ranking["symbol"].to_list()[:10]
