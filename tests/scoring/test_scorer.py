"""The composite against the naive scorer, its sums, and what happens to bad input."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mech_exo.domain.errors import ConfigError, InputError
from mech_exo.domain.facts import Facts
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.scoring.eligibility import Exclusion
from mech_exo.scoring.factors import REGISTRY
from mech_exo.scoring.scorer import SIGNS, score_rows
from mech_exo.utils.settings import FactorsConfig, FactorWeight, Normalisation, ScoringRules, UniverseRules
from tests.oracles import naive_scorer as naive
from tests.scoring.markets import SECTORS, random_panel, random_universe, same_bits

OPEN_TO_ALL = UniverseRules(min_price=0.0, min_dollar_volume=0.0)
SMALL = {
    "momentum_12_1": {"lookback": 12, "skip": 2},
    "rsi_14": {"window": 4},
    "volatility_ratio": {"short": 4, "long": 10},
    "volume_trend": {"short": 3, "long": 8},
}
WEIGHTS = {"momentum_12_1": 12.0, "rsi_14": 8.0, "volatility_ratio": 6.0, "volume_trend": 4.0}


def line(name, weight=None, direction=None):
    chosen = WEIGHTS[name] if weight is None else weight
    return FactorWeight(weight=chosen, direction=direction or REGISTRY[name].direction, params=SMALL[name])


def config(*names, mode="zscore", sectors=None, coverage=0.5, winsor=0.05):
    return FactorsConfig(
        technical={name: line(name) for name in names or SMALL},
        sector_adjustments=sectors or {},
        scoring=ScoringRules(normalisation=mode, min_coverage=coverage, winsor=winsor),
    )


def one_factor(name, direction, mode="none", **params):
    chosen = FactorWeight(weight=7, direction=direction, params=params or SMALL[name])
    return FactorsConfig(technical={name: chosen}, scoring=ScoringRules(normalisation=mode))


def flat_panel(close, volume=1e6):
    close = np.asarray(close, float)
    bars = dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": np.full(close.shape, volume)}
    return BarPanel.from_arrays(np.datetime64("2020-01-01") + np.arange(len(close)), [f"S{j}" for j in range(close.shape[1])], bars)


@pytest.mark.parametrize("mode", list(Normalisation))
@given(seed=st.integers(0, 10_000))
@settings(max_examples=15)
def test_equal_to_the_naive_scorer(mode, seed):
    panel = random_panel(seed, 36, 8)
    universe = random_universe(seed, panel)
    rules = UniverseRules(min_price=12.0, min_dollar_volume=2e6, dollar_volume_window=7, min_listing_sessions=9)
    sectors = {SECTORS[0]: 1.4, SECTORS[1]: 0.6}
    chosen = config(mode=mode, sectors=sectors)
    lines = [(name, SMALL[name], WEIGHTS[name], SIGNS[REGISTRY[name].direction]) for name in SMALL]
    rows = np.array([9, 20, 35])
    table = score_rows(panel, universe, rows, chosen, rules)
    for k, t in enumerate(rows):
        wanted, reasons = naive.score(panel, universe, int(t), lines, rules, chosen.scoring, sectors)
        scores = table.scores(k)
        assert scores.exclusion == tuple(reasons)
        for j, expected in enumerate(wanted):
            if expected is None:
                assert math.isnan(table.value[k, j])
                continue
            assert table.value[k, j] == pytest.approx(expected[0], rel=1e-9, abs=1e-9)
            assert scores.contribution[j] == pytest.approx(expected[1], rel=1e-9, abs=1e-9)
            assert scores.coverage[j] == pytest.approx(expected[2])


@pytest.mark.parametrize("mode", list(Normalisation))
@given(seed=st.integers(0, 10_000))
@settings(max_examples=20)
def test_contributions_sum_to_the_score(mode, seed):
    panel = random_panel(seed, 40, 10)
    table = score_rows(panel, random_universe(seed, panel), np.arange(40), config(mode=mode, sectors={"Energy": 1.7}), OPEN_TO_ALL)
    for k in range(40):
        scores = table.scores(k)
        scored = ~np.isnan(scores.value)
        value = scores.value[scored]
        assert (np.abs(scores.contribution[scored].sum(axis=1) - value) <= 1e-12 * np.maximum(1, np.abs(value))).all()
        assert np.array_equal(scores.value, table.value[k], equal_nan=True)
        assert np.isnan(scores.contribution[~scored]).all()


@pytest.mark.parametrize(("direction", "sign"), [("higher_better", 1.0), ("lower_better", -1.0), ("mean_revert", -1.0)])
@pytest.mark.parametrize("name", SMALL)
def test_one_factor_without_normalisation_is_the_raw_value(name, direction, sign):
    panel = random_panel(5, 40, 8)
    table = score_rows(panel, Universe.everyone(panel), np.arange(40), one_factor(name, direction), OPEN_TO_ALL)
    traded = ~np.isnan(panel.close)
    assert np.array_equal(table.value[traded], sign * table.raw[0][traded], equal_nan=True)
    assert np.isnan(table.value[~traded]).all()


def test_momentum_is_exactly_the_papers_ratio():
    panel = random_panel(2, 300, 5, actions=False, gaps=0.0)
    chosen = one_factor("momentum_12_1", "higher_better", lookback=252, skip=21)
    table = score_rows(panel, Universe.everyone(panel), np.arange(300), chosen, OPEN_TO_ALL)
    close = panel.close
    traded = ~np.isnan(close[252:])
    assert np.array_equal(table.value[252:][traded], (close[231:-21] / close[:-252] - 1)[traded], equal_nan=True)
    assert np.isnan(table.value[:252]).all()


def test_an_oversold_name_scores_above_an_overbought_one():
    falling, rising = np.linspace(100, 50, 30), np.linspace(50, 100, 30)
    wobble = 75 + np.arange(30) % 2
    panel = flat_panel(np.column_stack([falling, rising, wobble]))
    for mode in Normalisation:
        value = score_rows(panel, Universe.everyone(panel), np.array([29]), one_factor("rsi_14", "mean_revert", mode), OPEN_TO_ALL).value[0]
        assert value[0] > value[2] > value[1]


def test_sector_multipliers_scale_the_composite():
    panel = random_panel(3, 40, 6, gaps=0.0)
    sector = np.full(panel.shape, -1, np.int16)
    sector[:, 0] = 0
    universe = Universe(np.ones(panel.shape, bool), sector, ("Energy", "Utilities"))
    plain = score_rows(panel, universe, np.array([39]), config(), OPEN_TO_ALL).value[0]
    scaled = score_rows(panel, universe, np.array([39]), config(sectors={"Energy": 2.0}), OPEN_TO_ALL).value[0]
    assert scaled[0] == 2.0 * plain[0]
    assert np.array_equal(scaled[1:], plain[1:], equal_nan=True)


def test_a_gap_renormalises_the_other_weights_above_the_minimum_coverage():
    panel = random_panel(8, 40, 8, gaps=0.0)
    volume = np.array(panel.volume)
    late = int(np.flatnonzero(~np.isnan(panel.close).any(axis=0))[0])
    volume[:, late] = np.nan
    bars = {name: getattr(panel, name) for name in ("open", "high", "low", "close")} | {"volume": volume}
    panel = BarPanel.from_arrays(panel.sessions, panel.symbols, bars)
    row = np.array([39])
    scores = score_rows(panel, Universe.everyone(panel), row, config(coverage=0.6), OPEN_TO_ALL).scores(0)
    assert scores.coverage[late] == 26 / 30
    weights = np.array([12, 8, 6]) / 26
    assert scores.value[late] == pytest.approx((weights * scores.normalised[late, :3]).sum(), rel=1e-12)
    strict = score_rows(panel, Universe.everyone(panel), row, config(coverage=0.9), OPEN_TO_ALL)
    assert math.isnan(strict.value[0, late])
    assert strict.exclusion[0, late] == Exclusion.TOO_FEW_FACTORS


def test_factors_without_a_source_leave_the_denominator_and_are_named():
    chosen = FactorsConfig(
        fundamental={"pe_ratio": FactorWeight(weight=15, direction="lower_better")},
        sentiment={"news_sentiment": FactorWeight(weight=5, direction="higher_better")},
        technical={"rsi_14": line("rsi_14")},
    )
    panel = random_panel(1, gaps=0.0)
    table = score_rows(panel, Universe.everyone(panel), np.array([39]), chosen, OPEN_TO_ALL)
    assert table.factors == ("rsi_14",)
    assert table.missing == (
        ("news_sentiment", "nothing here tells it"),
        ("pe_ratio", "nothing here tells it"),
    )
    scores = table.scores(0)
    assert scores.missing == table.missing
    assert set(scores.coverage[~np.isnan(scores.value)]) == {1.0}


def with_facts(panel, **known):
    """Everyone a member, with these facts."""
    return replace(Universe.everyone(panel), facts=Facts({name: np.asarray(values, float) for name, values in known.items()}))


def priced(*, breadth=0.25, coverage=0.5):
    """pe_ratio and rsi_14."""
    return FactorsConfig(
        fundamental={"pe_ratio": FactorWeight(weight=15, direction="lower_better")},
        technical={"rsi_14": line("rsi_14")},
        scoring=ScoringRules(min_breadth=breadth, min_coverage=coverage),
    )


def test_a_fact_known_for_too_few_names_leaves_the_denominator_of_its_session():
    panel = random_panel(1, gaps=0.0)
    traded = np.flatnonzero(~np.isnan(panel.close[38:]).any(axis=0))
    assert len(traded) >= 4
    pe = np.full(panel.shape, np.nan)
    pe[38, traded[0]] = 12.0
    pe[39, traded[:2]] = 12.0, 15.0
    least = 2 / len(traded)  # exactly two names are enough
    table = score_rows(panel, with_facts(panel, pe_ratio=pe), np.array([38, 39]), priced(breadth=least), OPEN_TO_ALL)
    before, after = table.scores(0), table.scores(1)
    assert dict(before.missing)["pe_ratio"] == (
        f"known for 1 of {len(traded)} names, fewer than {100 * least:.3g}% (scoring.min_breadth)"
    )
    assert before.coverage[traded[0]] == before.coverage[traded[1]] == 1.0
    assert before.contribution[traded[0], 0] == 0.0
    assert after.missing == ()
    assert after.coverage[traded[0]] == 1.0
    assert np.isnan(after.value[traded[2]])  # 8 of 23 weights are not half


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15)
def test_a_fact_nobody_knows_and_one_the_store_does_not_hold_decide_alike(seed):
    panel = random_panel(seed)
    rows = np.arange(panel.shape[0])
    unknown = score_rows(panel, with_facts(panel, pe_ratio=np.full(panel.shape, np.nan)), rows, priced(), OPEN_TO_ALL)
    absent = score_rows(panel, Universe.everyone(panel), rows, priced(), OPEN_TO_ALL)
    assert same_bits(unknown.value, absent.value)
    assert np.array_equal(unknown.exclusion, absent.exclusion)
    for k in rows:
        assert same_bits(unknown.scores(k).coverage, absent.scores(k).coverage)


def test_no_factor_with_a_source_is_an_error():
    chosen = FactorsConfig(fundamental={"pe_ratio": FactorWeight(weight=15, direction="lower_better")})
    panel = random_panel(1)
    with pytest.raises(ConfigError, match="none of pe_ratio has one"):
        score_rows(panel, Universe.everyone(panel), np.array([39]), chosen, OPEN_TO_ALL)


@pytest.mark.parametrize("weight", [0, 3])
def test_an_unknown_factor_is_refused_with_the_nearest_name(weight):
    chosen = FactorsConfig(technical={"momentum_12_2": FactorWeight(weight=weight, direction="higher_better"), "rsi_14": line("rsi_14")})
    panel = random_panel(1)
    with pytest.raises(ConfigError, match="got 'momentum_12_2'") as caught:
        score_rows(panel, Universe.everyone(panel), np.array([39]), chosen, OPEN_TO_ALL)
    assert "did you mean momentum_12_1" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("rsi_14", {"windw": 14}, "got 'windw'\n  → did you mean window?"),
        ("rsi_14", {"window": 14.5}, "must be a whole number from 2 to 5000; got 14.5"),
        ("rsi_14", {"window": 1}, "from 2 to 5000; got 1"),
        ("momentum_12_1", {"skip": 300}, "skip of momentum_12_1 must be below lookback; got skip=300, lookback=252"),
        ("pe_ratio", {"years": 3}, "has the parameters: none; got 'years'"),
    ],
)
def test_wrong_parameters_are_refused(name, params, said):
    with pytest.raises(ConfigError) as caught:
        REGISTRY[name].bind(params)
    assert said in str(caught.value)


def test_zero_weights_are_refused_by_the_configuration():
    with pytest.raises(ValueError, match="at least one factor needs a weight above 0"):
        FactorsConfig(technical={"rsi_14": line("rsi_14", weight=0)})


@pytest.mark.parametrize("mode", ["zscore", "rank"])
def test_a_constant_cross_section_has_no_opinion(mode):
    rising = np.linspace(50, 100, 30).reshape(-1, 1)
    panel = flat_panel(np.repeat(rising, 4, axis=1))
    table = score_rows(panel, Universe.everyone(panel), np.array([29]), one_factor("momentum_12_1", "higher_better", mode), OPEN_TO_ALL)
    assert np.isnan(table.value).all()
    assert (table.exclusion == Exclusion.TOO_FEW_FACTORS).all()


def test_a_single_symbol_cannot_be_compared_but_has_its_raw_value():
    panel = flat_panel(np.linspace(50, 100, 30).reshape(-1, 1))
    for mode, known in (("zscore", False), ("rank", False), ("none", True)):
        table = score_rows(panel, Universe.everyone(panel), np.array([29]), one_factor("momentum_12_1", "higher_better", mode), OPEN_TO_ALL)
        assert bool(np.isfinite(table.value[0, 0])) is known


def test_a_session_without_bars_scores_nobody():
    panel = random_panel(1, 40, 5, gaps=0.0)
    close = np.array(panel.close)
    close[39] = np.nan
    bars = {name: close if name == "close" else getattr(panel, name) for name in ("open", "high", "low", "close", "volume")}
    panel = BarPanel.from_arrays(panel.sessions, panel.symbols, bars)
    table = score_rows(panel, Universe.everyone(panel), np.array([39]), config(), OPEN_TO_ALL)
    assert np.isnan(table.value).all()
    assert (table.exclusion == Exclusion.NO_BAR).all()
    assert table.scores(0).frame().height == 0


def test_a_symbol_without_bars_and_a_symbol_of_one_row_score_nothing_and_disturb_nobody():
    panel = random_panel(1, 40, 8, gaps=0.0)
    full = [panel.symbols[j] for j in range(8) if not np.isnan(panel.close[:, j]).any()]
    panel = panel.select(full)
    nothing, once = np.full((40, 1), np.nan), np.full((40, 1), np.nan)
    once[39] = 30.0
    bars = {name: np.hstack([getattr(panel, name), nothing, once]) for name in ("open", "high", "low", "close", "volume")}
    wide = BarPanel.from_arrays(panel.sessions, [*full, "T0", "T1"], bars)
    plain = BarPanel.from_arrays(panel.sessions, full, {name: getattr(panel, name) for name in bars})
    table = score_rows(wide, Universe.everyone(wide), np.array([39]), config(), OPEN_TO_ALL)
    assert table.exclusion[0, -2:].tolist() == [Exclusion.NO_BAR, Exclusion.TOO_FEW_FACTORS]
    alone = score_rows(plain, Universe.everyone(plain), np.array([39]), config(), OPEN_TO_ALL)
    assert np.array_equal(table.value[:, :-2], alone.value)


@pytest.mark.parametrize("rows", [[3, 3], [5, 2], [-1], [40]])
def test_rows_must_be_increasing_rows_of_the_panel(rows):
    panel = random_panel(1)
    with pytest.raises(InputError, match="rows must be strictly increasing"):
        score_rows(panel, Universe.everyone(panel), np.array(rows), config(), OPEN_TO_ALL)


def test_the_universe_must_fit_the_panel():
    panel = random_panel(1)
    with pytest.raises(InputError, match="the universe must have the panel's shape"):
        score_rows(panel, Universe.everyone(panel).rows(0, 39), np.array([3]), config(), OPEN_TO_ALL)


def test_no_rows_are_no_scores():
    panel = random_panel(1)
    assert score_rows(panel, Universe.everyone(panel), np.empty(0, np.int64), config(), OPEN_TO_ALL).value.shape == (0, 6)


def test_ranks_percentiles_and_date_of_one_session():
    panel = flat_panel(np.column_stack([np.linspace(50, end, 30) for end in (60, 90, 90, 70)]))
    chosen = one_factor("momentum_12_1", "higher_better")
    scores = score_rows(panel, Universe.everyone(panel), np.array([29]), chosen, OPEN_TO_ALL).scores(0)
    assert scores.rank.tolist() == [4, 1, 2, 3]
    assert scores.percentile.tolist() == [0.25, 1.0, 1.0, 0.5]
    assert scores.as_of == date(2020, 1, 30)
    assert scores.frame()["symbol"].to_list() == ["S1", "S2", "S3", "S0"]
