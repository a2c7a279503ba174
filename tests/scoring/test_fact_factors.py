"""Factors of facts through a real store and the idea scorer, against second implementations: loops over the rows of the tables."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.datasource import DataStorage
from mech_exo.datasource.accounts.metrics import AS_OF_DAY, FLOWS, STATEMENT
from mech_exo.domain.errors import MissingDataError
from mech_exo.domain.facts import Facts
from mech_exo.kernels.decay import decayed_mean_rows
from mech_exo.scoring import FactorFactory, IdeaScorer
from mech_exo.scoring.factors import REGISTRY, every_fact
from mech_exo.scoring.scorer import score_rows
from mech_exo.utils import calendar
from mech_exo.utils.settings import Config, FactorsConfig, FactorWeight, ScoringRules, StrategyConfig, UniverseRules
from tests.datasource.market import bars
from tests.oracles.fundamentals import Fact, inputs_at

SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
DAYS = calendar.sessions(date(2019, 1, 2), date(2020, 12, 31))
RECORDED = datetime(2021, 6, 1, tzinfo=UTC)
UNIT = {**STATEMENT, **AS_OF_DAY}
MADE = {"earnings_quality": lambda told: -told["accruals"], "balance_sheet_strength": lambda told: told["f_score"]}
NEWS = {"half_life": 10, "window": 63}


def config(*, drop: tuple[str, ...] = ("social_sentiment",)) -> Config:
    """Every factor of facts, and one of prices, all with a weight."""
    families: dict[str, dict[str, FactorWeight]] = {}
    for name, factor in REGISTRY.items():
        if (factor.facts or name == "momentum_12_1") and name not in drop:
            families.setdefault(factor.family.value, {})[name] = FactorWeight(weight=5, direction=factor.direction)
    everybody = UniverseRules(min_price=0.0, min_dollar_volume=0.0)
    scoring = ScoringRules(min_coverage=0.05, min_breadth=0.01)
    return Config(
        strategy=StrategyConfig(history_start=DAYS[0].item(), universe=everybody), factors=FactorsConfig(**families, scoring=scoring)
    )


def reports(seed: int = 5) -> pl.DataFrame:
    """Four years of quarters of every company, with holes, losses, late filings and restatements."""
    rng = np.random.default_rng(seed)
    rows = []
    for symbol in SYMBOLS[:3]:  # of the fourth nothing is known
        level = {metric: float(rng.uniform(20, 90)) for metric in STATEMENT}
        for number in range(18):
            end = date(2016 + number // 4, number % 4 * 3 + 3, (31, 30, 30, 31)[number % 4])
            filed = end + timedelta(days=int(rng.integers(25, 70)))
            for metric in STATEMENT:
                if rng.random() < 0.01:
                    continue
                level[metric] *= math.exp(rng.normal(0.02, 0.05))
                value = -level[metric] if metric == "net_income" and symbol == "BBB" else level[metric]
                span = ("12M" if number % 4 == 3 else "3M") if metric in FLOWS else "3M" if metric == "average_shares" else "instant"
                value *= 4.0 if span == "12M" else 1.0
                rows.append((symbol, metric, end, span, value, UNIT[metric], filed))
                if rng.random() < 0.05:
                    rows.append((symbol, metric, end, span, value * 1.1, UNIT[metric], filed + timedelta(days=int(rng.integers(5, 300)))))
            rows.append((symbol, "shares_outstanding", filed, "instant", float(rng.integers(90, 110)), "shares", filed))
            rows.append((symbol, "analyst_rating", filed, "instant", float(rng.uniform(-1, 1)), "score", filed))
    names = ["symbol", "metric", "period_end", "fiscal_period", "value", "unit", "filed"]
    return pl.DataFrame(rows, schema=names, orient="row").unique(["symbol", "metric", "period_end", "fiscal_period", "filed"])


def headlines(seed: int = 6, count: int = 120) -> pl.DataFrame:
    """Headlines at any hour of any day, weekends and holidays included; every fifth is not judged."""
    rng = np.random.default_rng(seed)
    moments = [datetime(2019, 3, 1, tzinfo=UTC) + timedelta(minutes=int(m)) for m in rng.integers(0, 669 * 24 * 60, count)]
    judged = [None if k % 5 == 4 else float(v) for k, v in enumerate(rng.uniform(-1, 1, count))]
    return pl.DataFrame(
        {
            "symbol": rng.choice(SYMBOLS[:2], count),
            "headline": [f"headline {k}" for k in range(count)],
            "source": ["wire"] * count,
            "published": moments,
            "sentiment": judged,
        }
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataStorage]:
    with DataStorage(tmp_path_factory.mktemp("facts") / "store.duckdb") as storage:
        storage.store_ohlc_data(bars(SYMBOLS, DAYS.tolist()), recorded_at=RECORDED)
        storage.store_corporate_actions(
            pl.DataFrame({"symbol": ["AAA"], "date": [date(2020, 3, 2)], "kind": ["split"], "value": [3.0]}), recorded_at=RECORDED
        )
        storage.store_fundamentals(reports(), source="edgar", recorded_at=RECORDED)
        storage.store_news(headlines(), sentiment="none", recorded_at=RECORDED)
        yield storage


def naive_news(news: pl.DataFrame, symbol: str, as_of: date, half_life: int, window: int) -> float:
    """The decayed mean, headline by headline. Nothing said for ``window`` sessions: all before is forgotten."""
    heard: dict[int, list[float]] = {}
    for name, published, sentiment in news.select("symbol", "published", "sentiment").iter_rows():
        first = next((k for k, day in enumerate(DAYS.tolist()) if calendar.session_close(day) >= published), None)
        if name == symbol and sentiment is not None and first is not None:
            heard.setdefault(first, []).append(sentiment)
    today = DAYS.tolist().index(as_of)
    total = weight = 0.0
    newer = today + (today not in heard)
    for session in sorted((k for k in heard if k <= today), reverse=True):
        if newer - session > window:  # so many sessions of silence
            break
        fade = 0.5 ** ((today - session) / half_life)
        total, weight, newer = total + fade * sum(heard[session]), weight + fade * len(heard[session]), session
    return total / weight if weight >= 0.5 else math.nan


DATES = [date(2019, 1, 2), date(2019, 7, 3), date(2020, 2, 28), date(2020, 3, 2), date(2020, 8, 14), date(2020, 12, 31)]


@pytest.mark.parametrize("as_of", DATES, ids=str)
def test_every_raw_value_equals_a_loop_over_the_table(store: DataStorage, as_of: date) -> None:
    scores = IdeaScorer(store, config()).ranking(as_of).scores
    table, panel = reports(), store.view(as_of).panel()
    seen = set()
    for j, symbol in enumerate(SYMBOLS):
        mine = [
            Fact(r["metric"], r["period_end"], r["fiscal_period"], r["value"], r["filed"], calendar.session_close(calendar.next_session(r["filed"])))
            for r in table.filter(symbol=symbol).iter_rows(named=True)
        ]  # fmt: skip
        divided = [(date(2020, 3, 2), 3.0)] if symbol == "AAA" and as_of >= date(2020, 3, 2) else []
        told = inputs_at(mine, calendar.session_close(as_of), as_of, panel.close[-1, j], divided)
        for f, name in enumerate(scores.factors):
            if name == "momentum_12_1":
                continue
            if name == "news_sentiment":
                expected = naive_news(headlines(), symbol, as_of, **NEWS)
            else:
                expected = MADE[name](told) if name in MADE else told[name]
            assert scores.raw[j, f] == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True), (symbol, name)
            if np.isfinite(expected):
                seen.add(name)
    if as_of == DATES[-1]:
        assert seen == set(scores.factors) - {"momentum_12_1"}
        b = SYMBOLS.index("BBB")
        loss = {name: scores.raw[b, scores.factors.index(name)] for name in ("pe_ratio", "earnings_yield")}
        assert np.isnan(loss["pe_ratio"]) and loss["earnings_yield"] < 0.0  # a loss is no opinion for P/E, a bad one for the yield


@given(seed=st.integers(0, 10_000), half_life=st.integers(1, 20), window=st.integers(1, 12), rows=st.sets(st.integers(0, 29), min_size=1))
def test_the_decayed_mean_is_the_sum_over_all_that_was_said(seed: int, half_life: int, window: int, rows: set[int]) -> None:
    rng = np.random.default_rng(seed)
    count = rng.poisson(0.3, (30, 2)).astype(float)
    total = count * rng.uniform(-1, 1, count.shape)
    chosen = np.array(sorted(rows))
    found = decayed_mean_rows(total, count, chosen, float(half_life), window, 0.5)
    for k, t in enumerate(chosen):
        for j in range(2):
            top = base = 0.0
            newer = t + (count[t, j] == 0.0)
            for s in range(t, -1, -1):
                if newer - s > window:  # so many sessions of silence
                    break
                if count[s, j]:
                    fade, newer = 0.5 ** ((t - s) / half_life), s
                    top, base = top + fade * total[s, j], base + fade * count[s, j]
            if abs(base - 0.5) > 1e-9:  # where the count is the limit itself, the last bit decides
                assert found[k, j] == pytest.approx(top / base if base >= 0.5 else math.nan, rel=1e-9, abs=1e-12, nan_ok=True)


def test_a_headline_counts_once_and_not_when_it_was_first_judged_long_after(store: DataStorage, tmp_path: Path) -> None:
    day, later = date(2020, 6, 1), datetime(2020, 7, 15, tzinfo=UTC)
    said = pl.DataFrame(
        {"id": ["x", "y"], "symbol": ["AAA", "AAA"], "headline": ["AAA wins", "AAA loses"], "source": ["w", "w"],
         "published": [datetime(2020, 6, 1, 14, tzinfo=UTC)] * 2, "sentiment": [0.8, None]}
    )  # fmt: skip
    with DataStorage(tmp_path / "s.duckdb") as own:
        own.store_news(said, sentiment="none", recorded_at=datetime(2020, 6, 1, 15, tzinfo=UTC))
        own.store_news(said.with_columns(sentiment=pl.Series([-0.5, -1.0])), sentiment="none", recorded_at=later)
        own.store_ohlc_data(bars(SYMBOLS, DAYS.tolist()))
        view = own.view()
        panel = view.panel()
        told = view.universe(panel, None, ["news_tone", "news_count"]).facts
        tone, count = np.asarray(told.known["news_tone"]), np.asarray(told.known["news_count"])
        row = panel.row_of(day)
        assert (tone[row, 0], count[row, 0]) == (0.8, 1.0)
        assert np.isfinite(count).sum() == np.isfinite(tone).sum() == 1
        assert told.at(np.s_[:row]).data_hash() == Facts().data_hash()  # before the first headline as on a night that knows none
        assert told.at(np.s_[: row + 1]).data_hash() != Facts().data_hash()


def test_what_nothing_tells_is_named_with_the_command_that_brings_it(tmp_path: Path) -> None:
    with DataStorage(tmp_path / "bare.duckdb") as bare:
        bare.store_ohlc_data(bars(SYMBOLS, DAYS.tolist()))
        missing = dict(IdeaScorer(bare, config(drop=())).ranking().missing)
        assert set(missing) == {name for name, factor in REGISTRY.items() if factor.facts}
        assert "exo data import --fundamentals FILE" in missing["pe_ratio"] and "exo data update" in missing["earnings_quality"]
        assert "exo data import --news FILE" in missing["news_sentiment"]
        assert "through Facts" in missing["social_sentiment"]
        one = reports().filter(pl.col("metric") == "net_income")
        bare.store_fundamentals(one, source="edgar")
        facts = bare.view().universe(bare.view().panel(), None, every_fact()).facts
        assert "earnings_growth" in facts.known
        assert facts.absent["pe_ratio"].startswith("the stored company figures do not tell it")


def test_a_program_hands_in_social_sentiment(store: DataStorage) -> None:
    """The example of docs/sentiment.md."""
    settings = config(drop=())
    view = store.view()
    panel = view.panel()
    universe = view.universe(panel, None, every_fact())
    assert "social_sentiment" in universe.facts.absent
    heard = np.full(panel.shape, np.nan)
    heard[-1] = [0.5, -0.5, np.nan, 0.1]
    told = replace(universe, facts=Facts({**universe.facts.known, "social_sentiment": heard}, universe.facts.absent))
    row = np.array([panel.shape[0] - 1])
    scores = score_rows(panel, told, row, settings.factors, settings.strategy.universe).scores(0)
    assert "social_sentiment" in scores.factors and "social_sentiment" not in dict(scores.missing)
    f = scores.factors.index("social_sentiment")
    assert scores.raw[:, f].tolist()[:2] == [0.5, -0.5] and np.isnan(scores.raw[2, f])
    with pytest.raises(MissingDataError, match="social_sentiment is not known of any name: no source of it yet"):
        FactorFactory.create("social_sentiment").compute(panel, universe)


def test_a_company_may_be_scored_on_fewer_than_nine_signals(store: DataStorage, tmp_path: Path) -> None:
    with DataStorage(tmp_path / "few.duckdb") as own:
        own.store_ohlc_data(bars(SYMBOLS, DAYS.tolist()))
        own.store_fundamentals(reports().filter(pl.col("metric") != "gross_profit"), source="edgar")  # one signal is never known
        view = own.view()
        panel = view.panel()
        universe = view.universe(panel, None, every_fact())
        told = view.fundamental_inputs(panel, list(REGISTRY["balance_sheet_strength"].inputs))
        strict, eight = (FactorFactory.create("balance_sheet_strength", known=k).compute(panel, universe) for k in (9, 8))
        assert np.isnan(strict).all()
        whole = told["f_known"] == 8.0
        assert whole.any() and np.array_equal(eight[whole], told["f_points"][whole] * 9.0 / 8.0) and np.isnan(eight[~whole]).all()
