"""Every way of making values comparable against the naive scorer, and the laws that hold for all of them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mech_exo.domain.errors import ConfigError, MissingDataError
from mech_exo.domain.facts import Facts
from mech_exo.domain.panel import Universe
from mech_exo.kernels.neutral import residuals
from mech_exo.scoring.factors import REGISTRY, lookup
from mech_exo.scoring.inputs import FactorInputs
from mech_exo.scoring.scorer import SIGNS, score_rows
from mech_exo.utils.settings import FactorsConfig, FactorWeight, RegimeRules, ScoringRules, UniverseRules
from tests.oracles import naive_scorer as naive
from tests.scoring.markets import SECTORS, permuted, random_panel, random_universe, same_bits

STEPS, COUNT = 60, 30
RULES = UniverseRules(min_price=1.0, min_dollar_volume=0.0)
PARAMS = {"momentum_12_1": {"lookback": 12, "skip": 2}, "rsi_14": {"window": 4}, "volatility_ratio": {"short": 4, "long": 10}, "pe_ratio": {}}
WEIGHTS = {"momentum_12_1": 12.0, "pe_ratio": 15.0, "rsi_14": 8.0, "volatility_ratio": 6.0}
MODES = {
    "deviations": {"winsor_mad": 1.5},
    "sector": {"within": "sector", "min_sector_names": 3},
    "sector ranks": {"within": "sector", "normalisation": "rank"},
    "neutral to size": {"neutralise": ["size"]},
    "neutral to all": {"neutralise": ["sector", "size", "beta"], "neutralise_weights": "sqrt_size", "min_sector_names": 3},
    "neutral ranks": {"neutralise": ["sector", "beta"], "normalisation": "rank", "min_sector_names": 2},
    "weighted": {"neutralise": ["beta"], "neutralise_weights": "sqrt_size", "normalisation": "none"},
}


@pytest.fixture(autouse=True)
def quick_beta(monkeypatch):
    """Betas over 20 sessions, so that short histories have some."""
    factor = REGISTRY["market_beta"]
    short = replace(factor, params={"window": replace(factor.params["window"], default=20)})
    monkeypatch.setitem(REGISTRY, "market_beta", short)


def market(seed):
    panel = random_panel(seed, STEPS, COUNT, gaps=0.02)
    rng = np.random.default_rng(seed)
    known = {"pe_ratio": rng.normal(15, 5, panel.shape), "market_cap": np.exp(rng.normal(22, 2, panel.shape))}
    for values in known.values():
        values[rng.random(panel.shape) < 0.2] = np.nan
    known["pe_ratio"][: STEPS // 2] = np.nan  # nobody has filed yet
    return panel, replace(random_universe(seed, panel), facts=Facts(known))


def config(mode, regime=None):
    lines = {name: FactorWeight(weight=WEIGHTS[name], direction=REGISTRY[name].direction, params=PARAMS[name]) for name in PARAMS}
    return FactorsConfig(
        fundamental={"pe_ratio": lines.pop("pe_ratio")},
        technical=lines,
        scoring=ScoringRules(min_coverage=0.4, **mode),
        sector_adjustments={SECTORS[0]: 1.5},
        regime=regime,
    )


@pytest.mark.parametrize("mode", MODES)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=6, deadline=None)
def test_equal_to_the_naive_scorer(mode, seed):
    panel, universe = market(seed)
    chosen, rows = config(MODES[mode]), np.array([15, 45, STEPS - 1])
    table = score_rows(panel, universe, rows, chosen, RULES)
    beta = lookup("market_beta").bind({}).compute(panel, universe)
    lines = [(name, PARAMS[name], WEIGHTS[name], SIGNS[REGISTRY[name].direction]) for name in sorted(WEIGHTS)]
    for k, t in enumerate(rows):
        cap = universe.facts.known["market_cap"][t]
        columns = [{"size": np.log(cap), "beta": beta[t]}[name] for name in chosen.scoring.neutralise if name != "sector"]
        weight = np.sqrt(cap) if chosen.scoring.neutralise_weights == "sqrt_size" else np.ones(COUNT)
        known = {"pe_ratio": universe.facts.known["pe_ratio"][t]}
        wanted, reasons = naive.score(
            panel, universe, int(t), lines, RULES, chosen.scoring, {SECTORS[0]: 1.5}, known, columns, weight
        )  # fmt: skip
        scores = table.scores(k)
        assert scores.exclusion == tuple(reasons)
        for j, expected in enumerate(wanted):
            if expected is None:
                assert math.isnan(table.value[k, j])
            else:
                assert table.value[k, j] == pytest.approx(expected[0], rel=1e-8, abs=1e-10)
                assert scores.coverage[j] == pytest.approx(expected[2])
                assert scores.contribution[j].sum() == pytest.approx(table.value[k, j], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("mode", MODES)
@given(seed=st.integers(0, 10_000), order=st.permutations(range(COUNT)), t=st.integers(0, STEPS - 1))
@settings(max_examples=6, deadline=None)
def test_the_laws_hold(mode, seed, order, t):
    """Permuting names permutes results, tonight is the row of the history, and the number of rows asked for changes nothing."""
    panel, universe = market(seed)
    chosen = config(MODES[mode], RegimeRules(trend_window=5, volatility_window=3, volatility_history=10, bear={"technical": 0.5}))
    history = score_rows(panel, universe, np.arange(STEPS), chosen, RULES)
    tonight = score_rows(panel.upto(t), universe.rows(0, t + 1), np.array([t]), chosen, RULES)
    moved = score_rows(*permuted(panel, universe, order), np.array([t]), chosen, RULES)
    assert same_bits(tonight.value[0], history.value[t])
    assert same_bits(history.value[t][order], moved.value[0])
    assert same_bits(tonight.scores(0).contribution, history.scores(t).contribution)
    assert tonight.scores(0).missing == history.scores(t).missing
    assert tonight.scores(0).adjustments == history.scores(t).adjustments == moved.scores(0).adjustments


@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_the_state_of_the_market_changes_the_weights_and_is_told(seed):
    panel, universe = market(seed)
    regime = RegimeRules(
        trend_window=6, volatility_window=4, volatility_history=12,
        bull={"momentum_12_1": 2.0, "technical": 0.5}, bear={"fundamental": 0.0}, high_volatility={"rsi_14": 3.0},
    )  # fmt: skip
    rows = np.arange(STEPS)
    table, plain = (score_rows(panel, universe, rows, config({}, given), RULES) for given in (regime, None))
    returns = FactorInputs(panel, universe).market_return.tolist()
    seen = set()
    for t in rows:
        found = naive.regime(returns, int(t), regime)
        seen |= set(found)
        factor = np.ones(4)  # momentum, pe, rsi, volatility ratio
        factor *= [2.0, 1.0, 0.5, 0.5] if "bull" in found else [1.0, 0.0, 1.0, 1.0] if "bear" in found else 1.0
        factor *= [1.0, 1.0, 3.0 if "high_volatility" in found else 1.0, 1.0]
        assert table.weights[t] == pytest.approx(plain.weights[t] * factor)
        told = {name for _, name, _ in table.scores(t).adjustments}
        assert told == set(found) - {"low_volatility"}
        assert plain.scores(t).adjustments == ()
    assert {"bull", "bear"} <= seen


def test_a_market_without_adjustments_decides_as_if_there_were_no_regime():
    panel, universe = market(3)
    rows = np.arange(STEPS)
    tables = [score_rows(panel, universe, rows, config({}, given), RULES) for given in (RegimeRules(), None)]
    assert same_bits(tables[0].value, tables[1].value)


def test_an_unknown_name_in_the_regime_is_refused():
    panel, universe = market(3)
    with pytest.raises(ConfigError, match=r"regime\.bear must name a factor") as caught:
        score_rows(panel, universe, np.array([9]), config({}, RegimeRules(bear={"momentum_12_2": 0.5})), RULES)
    assert "did you mean momentum_12_1" in str(caught.value)


def test_size_without_market_capitalisations_is_refused():
    panel = random_panel(1)
    with pytest.raises(MissingDataError, match="need market_cap"):
        score_rows(panel, Universe.everyone(panel), np.array([9]), config({"neutralise": ["size"]}), RULES)


def test_a_loss_maker_has_no_opinion_on_its_price():
    panel = random_panel(4, 40, 8, gaps=0.0)
    traded = np.flatnonzero(~np.isnan(panel.close[39]))
    pe = np.full(panel.shape, np.nan)
    pe[:, traded[1:]] = 10.0 + np.arange(len(traded) - 1)  # the first one loses money: its P/E is unknown
    universe = replace(Universe.everyone(panel), facts=Facts({"pe_ratio": pe}))
    scores = score_rows(panel, universe, np.array([39]), config({}), RULES).scores(0)
    f = scores.factors.index("pe_ratio")
    assert math.isnan(scores.normalised[traded[0], f])
    assert scores.normalised[traded[1], f] == np.nanmax(scores.normalised[:, f])  # the cheapest of those that earn
    assert scores.coverage[traded[0]] < scores.coverage[traded[1]]


def test_constant_and_repeated_exposures_are_dropped_and_a_full_explanation_leaves_nothing():
    rng = np.random.default_rng(1)
    values, size = rng.normal(size=40), rng.normal(size=40)
    group, ones = np.zeros(40, np.int64), np.ones(40)
    one = residuals(values, group, 1, 1, size[None], ones)
    assert same_bits(one, residuals(values, group, 1, 1, np.array([np.full(40, 7.3), size, 2.0 * size + 1.0]), ones))
    assert np.isnan(residuals(3.0 * size - 2.0, group, 1, 1, size[None], ones)).all()
    few = residuals(values[:2], group[:2], 1, 1, size[None, :2], ones[:2])
    assert few == pytest.approx(values[:2] - values[:2].mean())  # no degree of freedom for a slope


def test_the_example_of_the_handbook(repository):
    from mech_exo.scoring.normalize import Method, Neighbours, composite_row

    raw = np.array([[[1.0, 2, 3, 4]], [[10.0, 20, 30, np.nan]]])
    rules = ScoringRules(winsor=0.0)
    near = Neighbours(np.zeros((1, 4), np.int64), np.empty((0, 1, 4)), np.empty((1, 0)))
    normalised, contribution = np.empty((2, 4)), np.empty((2, 4))
    coverage, value = np.empty(4), np.empty(4)
    signs, weights = np.array([1.0, -1.0]), np.array([3.0, 1.0])
    composite_row(raw, 0, np.ones(4, bool), signs, weights, Method.of(rules, 0), near, np.ones(4), normalised, contribution, coverage, value)
    page = (repository / "docs" / "scoring.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith(("| first", "| second", "| third", "| fourth"))]
    told = [float(cells[3].replace("−", "-")) for cells in rows]
    shares = [float(cells[4].strip().removesuffix(" %")) / 100 for cells in rows]
    assert value == pytest.approx(told, abs=6e-5)
    assert coverage.tolist() == shares
    assert contribution.sum(axis=0) == pytest.approx(value, abs=1e-15)
