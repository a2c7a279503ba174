"""What becomes known later moves no earlier score, by not one bit: restatements, later filings and later headlines in a real store."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mech_exo.cli.__main__ import main
from mech_exo.datasource import DataStorage
from mech_exo.datasource.accounts.filings import facts_of
from mech_exo.decision.night import Known
from mech_exo.decision.strategy import Strategy
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.scoring import IdeaScorer
from mech_exo.scoring.factors import REGISTRY
from mech_exo.utils import calendar
from mech_exo.utils.settings import Config, FactorsConfig, FactorWeight, ScoringRules, StrategyConfig, UniverseRules
from mech_exo.utils.workspace import create
from tests.datasource.market import bars
from tests.scoring.markets import same_bits

Shared = Callable[[str], Path]
MADE_UP = ("AAA", "BBB", "CCC")
SESSIONS = calendar.sessions(date(2016, 6, 1), date(2020, 6, 30))
THEN = date(2018, 6, 29)
BEFORE, AFTER = datetime(2018, 6, 30, tzinfo=UTC), datetime(2020, 7, 1, tzinfo=UTC)


def every_factor(start: date) -> Config:
    """Every registered factor with a weight; facts count however few names have them."""
    families: dict[str, dict[str, FactorWeight]] = {}
    for name, factor in REGISTRY.items():
        families.setdefault(factor.family.value, {})[name] = FactorWeight(weight=5, direction=factor.direction)
    scoring = ScoringRules(min_coverage=0.05, min_breadth=0.01)
    universe = UniverseRules(min_price=0.0, min_dollar_volume=0.0)
    return Config(strategy=StrategyConfig(history_start=start, universe=universe), factors=FactorsConfig(**families, scoring=scoring))


CONFIG = every_factor(SESSIONS[0].item())


def made_up(metric: str, factor: float, filed: date, end: date = date(2017, 12, 31)) -> pl.DataFrame:
    """A yearly figure of the invented companies."""
    of_a_day = {"shares_outstanding": "shares", "analyst_rating": "score", "total_equity": "USD", "total_assets": "USD"}
    span, scale = "instant" if metric in of_a_day else "12M", 1e-1 if metric == "analyst_rating" else 1e3
    rows = [(name, metric, end, span, factor * (k + 1) * scale, of_a_day.get(metric, "USD"), filed) for k, name in enumerate(MADE_UP)]
    names = ["symbol", "metric", "period_end", "fiscal_period", "value", "unit", "filed"]
    return pl.DataFrame(rows, schema=names, orient="row")


def news(first: date, count: int, sentiment: float) -> pl.DataFrame:
    """A headline a day about everybody."""
    moments = [datetime(first.year, first.month, first.day, 15, tzinfo=UTC) + timedelta(days=k) for k in range(count) for _ in MADE_UP]
    heads = [f"{first} {k}" for k in range(len(moments))]
    values = [sentiment * (1 + k % 3) / 3 for k in range(len(moments))]
    columns = {"symbol": list(MADE_UP) * count, "headline": heads, "source": ["w"] * len(heads), "published": moments, "sentiment": values}
    return pl.DataFrame(columns)


@pytest.fixture(scope="module")
def stores(shared: Shared, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DataStorage, DataStorage]]:
    """A store as it stood at ``THEN``, and the same store two years on: Apple's later filings and restatements, restated inventions,
    headlines, a sentiment judged anew."""
    facts = json.loads(gzip.decompress(shared("data/fundamentals/companyfacts/CIK0000320193.json.gz").read_bytes()))
    apple = facts_of("AAPL", facts)
    first, second = (DataStorage(tmp_path_factory.mktemp(name) / "store.duckdb") for name in ("then", "later"))
    prices = bars(("AAPL", *MADE_UP), SESSIONS.tolist(), seed=4)
    for storage in (first, second):
        storage.store_ohlc_data(prices.filter(pl.col("date") <= THEN), recorded_at=BEFORE)
        storage.store_fundamentals(apple.filter(pl.col("filed") < THEN), source="edgar", recorded_at=BEFORE)
        for metric, factor in (("net_income", 1.0), ("total_equity", 9.0), ("total_assets", 20.0), ("shares_outstanding", 0.5)):
            storage.store_fundamentals(made_up(metric, factor, date(2018, 3, 1)), source="edgar", recorded_at=BEFORE)
        storage.store_news(news(date(2018, 6, 1), 20, 0.5), sentiment="none", recorded_at=BEFORE)
    second.store_ohlc_data(prices.filter(pl.col("date") > THEN), recorded_at=AFTER)
    second.store_fundamentals(apple.filter(pl.col("filed") >= THEN), source="edgar", recorded_at=AFTER)
    for metric, factor in (("net_income", -4.0), ("total_equity", 1.0), ("gross_profit", 7.0), ("revenue", 30.0), ("analyst_rating", 2.0)):
        second.store_fundamentals(made_up(metric, factor, date(2018, 8, 1)), source="edgar", recorded_at=AFTER)  # restated, and told first
    second.store_fundamentals(made_up("total_assets", 55.0, date(2018, 3, 1)), source="edgar", recorded_at=AFTER)  # corrected by the source
    second.store_news(news(date(2018, 7, 2), 60, -1.0), sentiment="none", recorded_at=AFTER)
    second.store_news(news(date(2018, 6, 1), 20, -0.9), sentiment="none", recorded_at=AFTER)  # judged anew
    yield first, second
    first.close()
    second.close()


def test_what_is_stored_later_moves_no_earlier_score(stores: tuple[DataStorage, DataStorage]) -> None:
    then, later = (IdeaScorer(storage, CONFIG).ranking(THEN) for storage in stores)
    assert then.frame.height == 4 and np.isfinite(then.scores.raw).any(axis=0).sum() >= 10
    told, again = then.scores, later.scores
    assert {"pe_ratio", "return_on_equity", "news_sentiment"} <= set(told.factors)
    assert told.symbols == again.symbols and dict(told.missing).keys() == dict(again.missing).keys()
    for name in ("value", "rank", "percentile", "coverage"):
        assert same_bits(getattr(told, name), getattr(again, name)), name
    for f, name in enumerate(told.factors):
        assert same_bits(told.raw[:, f], again.raw[:, again.factors.index(name)]), name
        assert same_bits(told.contribution[:, f], again.contribution[:, again.factors.index(name)]), name
    assert not same_bits(told.value, IdeaScorer(stores[1], CONFIG).ranking(date(2018, 9, 28)).scores.value)


def test_a_backtest_over_the_later_store_decides_as_the_earlier_store_did(stores: tuple[DataStorage, DataStorage]) -> None:
    """A fact that is absent in the earlier store and merely unknown so far in the later one decides alike, and has one hash."""
    strategy = Strategy(CONFIG)
    _, second = stores
    early, late = ((p := storage.view().panel(), storage.view().universe(p, None, strategy.facts)) for storage in stores)
    assert early[1].facts.absent.keys() > late[1].facts.absent.keys()
    last = early[0].shape[0] - 1
    rows = np.arange(300, last + 1, 7)
    (then, table), (now, whole) = (strategy.features(*market, rows) for market in (early, late))
    assert same_bits(then.score, now.score) and np.isfinite(then.score).any()
    for f, name in enumerate(table.factors):
        assert same_bits(table.raw[f], whole.raw[whole.factors.index(name)]), name
    view = second.view(THEN)
    as_of = Known(view.panel(), view.universe(view.panel(), None, strategy.facts))
    assert Known(*early).data_hash() == as_of.data_hash()
    cut = view.universe(late[0].upto(last), None, strategy.facts)
    assert cut.facts.data_hash() == late[1].rows(0, last + 1).facts.data_hash()


@pytest.fixture(scope="module")
def real(shared: Shared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,473 real symbols with the figures of their reports, each known from when it was first seen."""
    home = tmp_path_factory.mktemp("real")
    create(home)
    words = ["data", "import", str(shared("data/prices/us_top1500_raw_2015_2016.parquet"))]
    words += ["--fundamentals", str(shared("data/fundamentals/edgar_reports_pit_2015_2016.parquet"))]
    assert main(["--home", str(home), *words, "--json"]) == 0
    return home


def test_the_real_panel_scores_a_past_night_as_it_was(real: Path) -> None:
    config = every_factor(date(2015, 3, 20))
    strategy, storage = Strategy(config), DataStorage.snapshot(real)

    def market(as_of: date | None) -> tuple[BarPanel, Universe]:
        view = storage.view(as_of)
        panel = view.panel(start=date(2015, 3, 20))
        return panel, view.universe(panel, None, strategy.facts)

    panel, universe = market(None)
    assert {"earnings_growth", "return_on_equity", "accruals"} <= set(universe.facts.known)
    nights = [date(2015, 12, 31), date(2016, 5, 16)]
    _, whole = strategy.features(panel, universe, np.array([panel.row_of(night) for night in nights]))
    for k, night in enumerate(nights):
        _, then = strategy.features(*(seen := market(night)), np.array([seen[0].shape[0] - 1]))
        columns = [panel.column_of(symbol) for symbol in seen[0].symbols]
        assert same_bits(whole.value[k, columns], then.value[0]) and np.isfinite(then.value).sum() > 500
        for f, name in enumerate(then.factors):
            assert same_bits(whole.raw[whole.factors.index(name), k, columns], then.raw[f, 0]), name
    earned = np.asarray(universe.facts.known["return_on_equity"])
    assert np.isfinite(earned[-1]).sum() > 200
