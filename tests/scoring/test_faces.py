"""IdeaScorer, FactorFactory and the package's exports, on a market in memory."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest

import mech_exo.scoring as scoring
from mech_exo.domain.errors import ConfigError, InputError, MissingDataError
from mech_exo.domain.facts import Facts
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.scoring import FactorFactory, IdeaScorer
from mech_exo.utils.settings import Config, FactorsConfig, FactorWeight, ScoringRules, StrategyConfig, UniverseRules
from tests.scoring.markets import SECTORS, random_panel, random_universe, same_bits

FACTORS = FactorsConfig(
    fundamental={"pe_ratio": FactorWeight(weight=15, direction="lower_better")},
    technical={
        "momentum_12_1": FactorWeight(weight=12, direction="higher_better", params={"lookback": 20, "skip": 3}),
        "rsi_14": FactorWeight(weight=8, direction="mean_revert"),
    },
)
CONFIG = Config(
    strategy=StrategyConfig(history_start=date(2010, 1, 1), universe=UniverseRules(min_price=1.0, min_dollar_volume=0.0)), factors=FACTORS
)


class InMemory:
    """A market that is viewed as a store is: cut at ``as_of``."""

    def __init__(self, panel, universe):
        self._panel, self._universe = panel, universe

    def view(self, as_of=None):
        row = self._panel.shape[0] - 1 if as_of is None else int(np.searchsorted(self._panel.sessions, np.datetime64(as_of), "right")) - 1
        return InMemory(self._panel.rows(0, row + 1), self._universe.rows(0, row + 1))

    def panel(self, *, start=None, symbols=None):
        assert start == CONFIG.strategy.history_start
        return self._panel

    def universe(self, panel, name, facts=()):
        assert name is None
        return self._universe

    def warnings(self):
        return ("made up",)


@pytest.fixture(scope="module")
def market():
    panel = random_panel(12, 60, 20)
    return InMemory(panel, replace(random_universe(12, panel), facts=Facts()))


def test_rank_universe(market):
    frame = IdeaScorer(market, CONFIG).rank_universe()
    assert frame.schema == {
        "rank": pl.Int64, "symbol": pl.String, "composite_score": pl.Float64, "percentile": pl.Float64, "current_price": pl.Float64,
        "pe_ratio": pl.Float64, "sector": pl.String, "coverage": pl.Float64,
        "contribution_momentum_12_1": pl.Float64, "contribution_rsi_14": pl.Float64,
    }  # fmt: skip
    assert frame.height >= 5
    for row in frame.iter_rows(named=True):
        j = int(row["symbol"][1:])
        assert row["current_price"] == market._panel.close[-1, j]
        code = market._universe.sector[-1, j]
        assert row["sector"] == (SECTORS[code] if code >= 0 else None)
        assert row["contribution_momentum_12_1"] + row["contribution_rsi_14"] == pytest.approx(row["composite_score"], abs=1e-12)
        assert row["pe_ratio"] is None
    assert frame["composite_score"].is_sorted(descending=True)


def test_the_price_earnings_ratio_is_shown_where_it_is_known_though_nobody_weighs_it(market):
    panel = market._panel
    pe = np.full(panel.shape, np.nan)
    pe[-1, ::2] = 10.0 + np.arange(10)
    universe = replace(market._universe, facts=Facts({"pe_ratio": pe}))
    unweighted = CONFIG.model_copy(update={"factors": FACTORS.model_copy(update={"fundamental": {}})})
    ranking = IdeaScorer(InMemory(panel, universe), unweighted).ranking()
    shown = {row["symbol"]: row["pe_ratio"] for row in ranking.frame.iter_rows(named=True)}
    assert shown == {name: (10.0 + int(name[1:]) / 2 if int(name[1:]) % 2 == 0 else None) for name in shown}
    assert "unknown" in str(ranking)
    assert str(ranking).splitlines()[0].split() == ["rank", "symbol", "composite_score", "percentile", "current_price", "pe_ratio"]


def test_an_explanation_is_a_table_and_a_waterfall_in_a_notebook(market):
    scorer = IdeaScorer(market, CONFIG)
    said = scorer.explain(scorer.rank_universe()["symbol"][0])
    assert "<table>" in said._repr_html_()
    (waterfall,) = said.figure().data
    assert waterfall.y[-1] == said.composite_score
    assert sum(waterfall.y[:-1]) == pytest.approx(said.composite_score, abs=1e-12)
    assert "<th>pe_ratio</th>" in scorer.ranking()._repr_html_()


def test_as_of_is_the_past_as_it_was(market):
    scorer = IdeaScorer(market, CONFIG)
    then = date(2010, 2, 12)
    assert scorer.ranking(then).as_of == then
    assert scorer.rank_universe(then).equals(IdeaScorer(market.view(then), CONFIG).rank_universe())
    assert not scorer.rank_universe(then).equals(scorer.rank_universe())


def test_every_name_is_ranked_or_counted_with_its_reason(market):
    ranking = IdeaScorer(market, CONFIG).ranking()
    assert ranking.frame.height + sum(ranking.excluded.values()) == 20
    assert ranking.excluded
    assert ranking.missing == (("pe_ratio", "nothing here tells it"),)
    assert ranking.warnings == ("made up",)


def test_get_top_ideas(market):
    scorer = IdeaScorer(market, CONFIG)
    assert scorer.get_top_ideas(n=3).equals(scorer.rank_universe().head(3))
    with pytest.raises(InputError, match="must be at least 1; got 0"):
        scorer.get_top_ideas(n=0)


def test_explain_a_ranked_name(market):
    scorer = IdeaScorer(market, CONFIG)
    best = scorer.rank_universe().row(0, named=True)
    said = scorer.explain(best["symbol"])
    assert (said.rank, said.of) == (1, scorer.rank_universe().height)
    assert said.composite_score == best["composite_score"]
    assert sum(line.contribution for line in said.factors) == pytest.approx(said.composite_score, abs=1e-12)
    assert str(said).startswith(f"{best['symbol']} ranks 1 of {said.of} at 2010-03-04 with a score of ")
    assert "momentum_12_1: raw" in str(said)
    assert str(said).endswith("pe_ratio: nothing here tells it")


def test_explain_a_name_without_a_score(market):
    ranking = IdeaScorer(market, CONFIG).ranking()
    j = next(j for j, reason in enumerate(ranking.scores.exclusion) if reason)
    said = IdeaScorer(market, CONFIG).explain(ranking.scores.symbols[j])
    assert said.rank is None
    assert ranking.scores.exclusion[j] in str(said)


def test_explain_an_unknown_symbol(market):
    with pytest.raises(InputError, match="got 'S0003'") as caught:
        IdeaScorer(market, CONFIG).explain("S0003")
    assert "did you mean" in str(caught.value)


def test_nothing_stored_up_to_the_date_is_an_error(market):
    with pytest.raises(MissingDataError, match="the store has none up to 2009-01-01"):
        IdeaScorer(market, CONFIG).rank_universe(date(2009, 1, 1))


def test_a_session_of_which_nothing_is_stored_is_an_error(market):
    panel = market._panel
    bars = {name: np.vstack([getattr(panel, name), np.full((1, 20), np.nan)]) for name in ("open", "high", "low", "close", "volume")}
    longer = BarPanel.from_arrays(np.append(panel.sessions, np.datetime64("2010-03-05")), panel.symbols, bars)
    with pytest.raises(MissingDataError, match="none of 2010-03-05; the last session with any is 2010-03-04"):
        IdeaScorer(InMemory(longer, Universe.everyone(longer)), CONFIG).rank_universe()


def test_the_factory_makes_factors(market):
    assert {"momentum_12_1", "rsi_14", "volatility_ratio", "volume_trend", "pe_ratio"} <= set(FactorFactory.names())
    panel = market._panel
    made = FactorFactory.create("momentum_12_1", lookback=20, skip=3)
    assert made.name == "momentum_12_1"
    assert made.compute(panel).shape == panel.shape
    assert not same_bits(made.compute(panel), FactorFactory.create("momentum_12_1", lookback=20, skip=4).compute(panel))


def test_the_factory_refuses_what_it_does_not_know(market):
    with pytest.raises(ConfigError, match="did you mean rsi_14"):
        FactorFactory.create("rsi14")
    with pytest.raises(ConfigError, match="got 'lookbak'"):
        FactorFactory.create("momentum_12_1", lookbak=3)
    with pytest.raises(MissingDataError, match="pe_ratio is not known of any name"):
        FactorFactory.create("pe_ratio").compute(market._panel)


def test_the_exports_are_what_the_package_says():
    assert [getattr(scoring, name).__name__ for name in scoring.__all__] == scoring.__all__
    with pytest.raises(AttributeError, match="has no attribute 'Ideas'"):
        scoring.Ideas  # noqa: B018


def test_naming_the_package_imports_nothing_heavy():
    code = "import sys, mech_exo.scoring; print(any(name in sys.modules for name in ('numba', 'polars', 'pandas')))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


def nobody_told_apart(count):
    """``count`` names with one and the same price path."""
    close = np.repeat(50.0 + 5.0 * np.sin(np.arange(60.0))[:, None], count, axis=1)
    bars = dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": np.full(close.shape, 1e6)}
    panel = BarPanel.from_arrays(np.datetime64("2010-01-04") + np.arange(60), [f"S{j}" for j in range(count)], bars)
    return InMemory(panel, Universe.everyone(panel))


@pytest.mark.parametrize("count", [1, 4])
def test_names_that_nothing_tells_apart_are_counted_with_the_reason_and_explained(count):
    scorer = IdeaScorer(nobody_told_apart(count), CONFIG)
    ranking = scorer.ranking()
    assert ranking.frame.height == 0
    assert ranking.frame.schema == scorer.rank_universe().schema
    assert f"0 names scored; without a score: {count} (too few factors have an opinion)" in str(ranking)
    assert "0 names scored" in ranking._repr_html_() and "<table>" not in ranking._repr_html_()
    said = scorer.explain("S0")
    assert said.rank is None and np.isnan(said.composite_score)
    assert [line.cells()[3] for line in said.factors] == ["no opinion", "no opinion"]
    assert np.isfinite([line.raw for line in said.factors]).all()
    assert len(said.figure().data) == 1


def test_a_session_in_which_no_member_traded_scores_nobody(market):
    nobody = Universe(np.zeros(market._panel.shape, np.bool_), market._universe.sector, SECTORS)
    ranking = IdeaScorer(InMemory(market._panel, nobody), CONFIG).ranking()
    assert ranking.frame.height == 0
    assert set(ranking.excluded) == {"no bar this session", "not a member of the universe"}
    assert sum(ranking.excluded.values()) == 20


def test_a_multiplier_of_a_sector_nobody_is_in_is_said(market):
    factors = FACTORS.model_copy(update={"sector_adjustments": {"Enrgy": 0.9, "Energy": 1.1}})
    warnings = IdeaScorer(market, CONFIG.model_copy(update={"factors": factors})).ranking().warnings
    assert warnings == ("made up", f"sector_adjustments without a sector of that name: Enrgy (known: {', '.join(SECTORS)})")


@pytest.mark.parametrize("rules", [{"within": "sector"}, {"neutralise": ("sector",)}], ids=str)
def test_comparing_by_sector_where_none_is_known_says_why_nobody_has_a_score(market, rules):
    unplaced = Universe(market._universe.member, np.full(market._panel.shape, -1, np.int16))
    config = CONFIG.model_copy(update={"factors": FACTORS.model_copy(update={"scoring": ScoringRules(**rules)})})
    ranking = IdeaScorer(InMemory(market._panel, unplaced), config).ranking()
    assert ranking.frame.height == 0
    assert ranking.warnings[-1].startswith("no sector is known, so nobody can be compared by it: exo data import --sectors FILE")


def test_a_symbol_in_small_letters_is_understood_as_a_slip(market):
    with pytest.raises(InputError, match="did you mean S003"):
        IdeaScorer(market, CONFIG).explain("s003")
