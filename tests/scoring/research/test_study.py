"""Laws of factor research, on random markets: what must hold of any factor and any history."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.domain.errors import ConfigError, InputError
from mech_exo.domain.panel import Universe
from mech_exo.kernels.cross_tests import demeaned, group_means, groups
from mech_exo.kernels.newey_west import error_of_mean, long_run_covariance
from mech_exo.scoring import regime
from mech_exo.scoring.inputs import FactorInputs
from mech_exo.scoring.research import Entry, Sample, State, compare, contribution, factor_health, study
from mech_exo.scoring.research.forward import Holding
from mech_exo.scoring.research.health import _judged, _state, rolling_ic
from mech_exo.scoring.research.portfolio import month_ends
from mech_exo.scoring.research.sample import Ordered
from mech_exo.scoring.research.statistics import Fading, half_life
from mech_exo.utils.calendar import sessions
from mech_exo.utils.settings import FactorsConfig, FactorWeight, RegimeRules, UniverseRules
from tests.scoring.markets import permuted, random_panel, random_universe

NO_RULES = UniverseRules(min_price=0.0, min_dollar_volume=0.0)
RSI = {"rsi_14": FactorWeight(weight=8, direction="mean_revert")}
BOTH = FactorsConfig(technical={**RSI, "volume_trend": FactorWeight(weight=5, direction="higher_better")})
seeds = st.integers(0, 10_000)


def market(seed=1, steps=120, count=12, **kind):
    panel = random_panel(seed, steps, count, **kind)
    return panel, random_universe(seed, panel)


@given(seeds)
def test_a_factor_that_is_the_return_itself_has_an_ic_of_one(seed):
    values = Ordered.of(np.random.default_rng(seed).normal(size=(3, 8)))
    everyone = np.ones((3, 8), np.bool_)
    assert np.abs(values.correlation(values, everyone) - 1.0).max() < 1e-12
    turned = Ordered.of(-values.values)
    assert np.abs(values.correlation(turned, everyone) + 1.0).max() < 1e-12


@given(seeds)
def test_rank_ic_equals_scipy_with_ties_and_gaps(seed):
    from scipy.stats import spearmanr

    rng = np.random.default_rng(seed)
    left, right = np.round(rng.normal(size=(2, 1, 15)), 1)
    left[0, rng.random(15) < 0.2] = np.nan
    kept = rng.random((1, 15)) < 0.9
    both = kept[0] & np.isfinite(left[0])
    mine = Ordered.of(left).correlation(Ordered.of(right), kept)[0, 0]
    if both.sum() > 1 and np.ptp(left[0, both]) > 0 and np.ptp(right[0, both]) > 0:
        assert mine == pytest.approx(spearmanr(left[0, both], right[0, both]).statistic, abs=1e-12)
    else:
        assert math.isnan(mine)


@given(seeds)
def test_permuting_names_changes_no_rank_ic_by_a_bit(seed):
    panel, universe = market(seed, 60, 8)
    order = np.random.default_rng(seed).permutation(8)
    one = study("rsi_14", panel, universe, NO_RULES, horizons=(1, 5))
    other = study("rsi_14", *permuted(panel, universe, order), NO_RULES, horizons=(1, 5))
    assert one.ic["rank"].equals(other.ic["rank"])
    for name, theirs in other.frames().items():
        mine = one.frames()[name]
        for column in mine.columns:
            if mine[column].dtype.is_float():
                np.testing.assert_allclose(mine[column].to_numpy(), theirs[column].to_numpy(), rtol=0, atol=1e-9, err_msg=name)


def test_the_ic_turns_its_sign_with_the_direction():
    panel, universe = market()
    ways = {way: FactorsConfig(technical={"rsi_14": FactorWeight(weight=1, direction=way)}) for way in ("higher_better", "lower_better")}
    up, down = (study("rsi_14", panel, universe, NO_RULES, config, horizons=(1, 5)) for config in ways.values())
    np.testing.assert_allclose(up.ic["rank"].to_numpy(), -down.ic["rank"].to_numpy(), atol=1e-12)
    assert (up.sign, down.sign) == (1.0, -1.0)


@given(seeds)
def test_means_of_groups_of_equal_count_average_to_everybodys(seed):
    rng = np.random.default_rng(seed)
    values, returns = Ordered.of(rng.normal(size=(4, 20))), rng.normal(size=(4, 20))
    group = np.empty((4, 20), np.int16)
    groups(values.values, values.order, np.arange(1, 5) / 5, group)
    means = group_means(group, returns, 5)
    assert (np.bincount(group[0])[1:] == 4).all()
    np.testing.assert_allclose(means[:, :5].mean(axis=1), means[:, 5], atol=1e-12)
    np.testing.assert_allclose(means[:, 5], returns.mean(axis=1), atol=1e-12)


def test_what_is_unknown_takes_no_part():
    panel, universe = market()
    sample = Sample.of(panel, universe, NO_RULES, horizons=(5,))
    forward = sample.forward(5)
    assert np.isnan(forward.values[-5:]).all() and np.isnan(forward.values[np.isnan(panel.close)]).all()
    assert not sample.eligible[~universe.member].any()
    one = study("momentum_12_1", *market(3, 300), NO_RULES, horizons=(5,))
    assert one.ic["rank"][:252].is_null().all() and one.ic["rank"][252:].is_not_null().any()


def test_a_delisting_pays_its_value_and_a_gap_keeps_the_last_close():
    panel, universe = market(2, 30, 3, actions=False, gaps=0.0)
    bars = {name: getattr(panel, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for values in bars.values():
        values[:] = np.nan_to_num(values, nan=10.0)
        values[20:, 0] = np.nan  # delisted for 3 USD
        values[20:, 1] = np.nan  # ended, nobody says why
    gone = replace(panel, **bars, delisted=np.array([20, 30, 30]), delisting_value=np.array([3.0, np.nan, np.nan]))
    held = Holding.of(FactorInputs(gone, universe))
    end = held.returns(np.array([18]), 5)[0]
    assert end[0] == pytest.approx(3.0 / bars["close"][18, 0] - 1.0)
    assert end[1] == pytest.approx(bars["close"][19, 1] / bars["close"][18, 1] - 1.0)
    assert np.isnan(held.returns(np.array([21]), 2)[0, :2]).all()
    opened = Holding.of(FactorInputs(gone, universe), Entry.OPEN).returns(np.array([10]), 5)[0]
    np.testing.assert_allclose(opened, bars["open"][16] / bars["open"][11] - 1.0)


def test_errors_of_overlapping_returns_are_newey_wests():
    noise = np.random.default_rng(5).normal(size=500)
    sums = np.convolve(noise, np.ones(21), "valid")
    error, lags = error_of_mean(sums, 20)
    centred = (sums - sums.mean())[:, None]
    assert lags == 20 and error == pytest.approx(math.sqrt(long_run_covariance(centred, 20)[0, 0] / len(sums)))
    assert error > 2.5 * sums.std() / math.sqrt(len(sums))


def test_half_life_is_told_only_of_a_decay():
    lags, errors = np.arange(0.0, 253.0, 21.0), np.full(13, 0.005)
    falling = half_life(lags, 0.06 * 2.0 ** (-lags / 42.0), errors)
    assert falling.fading is Fading.DECAYS and falling.sessions == pytest.approx(42.0, rel=0.03)
    for ic in (0.02 + 0.0002 * lags, np.full(13, 0.05)):
        lasting = half_life(lags, ic, errors)
        assert lasting.fading is Fading.LASTS and math.isnan(lasting.sessions) and lasting.text == "does not decay within 252 sessions"
    assert half_life(lags, np.full(13, -0.02), errors).fading is Fading.NOTHING
    assert half_life(lags[:2], lags[:2], errors[:2]).fading is Fading.UNKNOWN


@pytest.mark.parametrize(
    ("start", "end", "state"), [(0.02, 0.12, State.HEALTHY), (0.16, 0.05, State.WEAKENING), (0.10, -0.05, State.ALARM)]
)
def test_health_tells_strengthening_from_weakening(start, end, state):
    panel, universe = market(4, 1200, 3, gaps=0.0)
    sample = Sample.of(panel, universe, NO_RULES, horizons=(5,))
    ic = np.linspace(start, end, 1200) + np.random.default_rng(3).normal(size=1200) * 0.05
    ic[-5:] = np.nan
    one = _judged(sample, "x", ic, 252, 5)
    assert one.state is state, one
    assert math.isnan(one.half_life) == (end > start or (state is State.ALARM and one.ic < 0.0))
    assert one.as_of == panel.sessions[-1].astype(object) and (one.since is None) == (state is not State.ALARM)
    assert (one.history["low"] < one.history["ic"]).all()
    assert one.trend_t * (end - start) > 0.0


def test_too_little_history_is_unknown_not_healthy():
    panel, universe = market()
    found = factor_health(Sample.of(panel, universe, NO_RULES, horizons=(21,)), BOTH)
    assert {one.state for one in found} == {State.UNKNOWN} and "not enough data" in found[0].reason
    assert _state(0.05, 0.0, math.nan, False)[0] is State.ALARM


def test_contribution_is_the_scores_with_and_without():
    panel, universe = market(7, 200)
    sample = Sample.of(panel, universe, NO_RULES, horizons=(5, 21))
    added = contribution(sample, "rsi_14", BOTH, 5)
    assert added.added == pytest.approx(added.with_it - added.without_it, abs=1e-9) and added.reason == ""
    alone = FactorsConfig(technical=RSI)
    assert "only factor" in contribution(sample, "rsi_14", alone, 5).reason
    assert "no weight" in contribution(sample, "momentum_12_1", alone, 5).reason


def test_cross_sections_apart_from_each_other_tell_what_they_can():
    panel, universe = market(9, 200)
    every, fifth = (study("rsi_14", panel, universe, NO_RULES, horizons=(1, 5, 21), every=every) for every in (1, 5))
    assert (every.renewed, fifth.renewed) == (1, 5)
    steps = fifth.cumulative.filter(fifth.cumulative["quantile"] == 1)["date"].to_numpy()
    assert (np.diff(np.searchsorted(panel.sessions, steps)) == 5).all()  # invested all the time
    assert fifth.turnover["turnover"].is_null().to_list() == [True] * 5 + [False] * 10
    assert fifth.autocorrelation["autocorrelation"].is_null().to_list() == [True, False, False]
    assert study("rsi_14", panel, universe, NO_RULES, horizons=(1, 7), every=5).cumulative.is_empty()


def test_regimes_are_the_scores_own():
    panel, universe = market(10, 400, gaps=0.0)
    rules = RegimeRules(trend_window=20, volatility_window=5, volatility_history=50)
    one = study("rsi_14", panel, universe, NO_RULES, BOTH.model_copy(update={"regime": rules}), horizons=(5,))
    state = regime.states(rules.model_copy(update={"bull": {"rsi_14": 2.0}}), FactorInputs(panel, universe), np.arange(400))
    known = one.ic["rank"].is_not_null().to_numpy()
    counts = dict(zip(one.ic_by_regime["regime"], one.ic_by_regime["count"], strict=True))
    assert counts == {name.replace("_", " "): int((known & (state[:, c] == value)).sum()) for name, (c, value) in regime.STATES.items()}
    assert min(counts.values()) > 0 and one.regime == rules
    assert study("rsi_14", panel, universe, NO_RULES, BOTH, horizons=(5,)).regime == RegimeRules()


def test_another_night_moves_no_earlier_row_of_the_health():
    panel, universe = market(4, 600, 3, gaps=0.0)
    sample = Sample.of(panel, universe, NO_RULES, horizons=(5,))
    ic = np.random.default_rng(3).normal(size=600)
    ic[-5:] = np.nan
    today, yesterday = rolling_ic(sample, ic, 252, 5), rolling_ic(sample, np.append(ic[:594], np.full(6, np.nan)), 252, 5)
    assert today[:-1].equals(yesterday[:-1]) and today["date"][-1] == panel.sessions[-1].astype(object)


def test_a_month_that_is_not_over_has_no_end():
    days = sessions(date(2024, 2, 1), date(2024, 3, 28))  # Good Friday is the 29th
    assert days[month_ends(days)].tolist() == [date(2024, 2, 29), date(2024, 3, 28)]
    assert days[month_ends(days[:-1])].tolist() == [date(2024, 2, 29)]


def test_compare_skips_what_has_no_source_and_says_why():
    panel, known = market(8, 200)
    universe = Universe(known.member, known.sector, known.sector_names)  # no facts
    config = BOTH.model_copy(update={"fundamental": {"pe_ratio": FactorWeight(weight=9, direction="lower_better")}})
    found = compare(Sample.of(panel, universe, NO_RULES, horizons=(1, 5)), config)
    assert found.table["factor"].to_list() == ["rsi_14", "volume_trend"] and [name for name, _ in found.skipped] == ["pe_ratio"]
    matrix = found.correlation.drop("factor").to_numpy()
    np.testing.assert_allclose(matrix, matrix.T)
    assert (np.diag(matrix) == 1.0).all() and np.abs(matrix[0, 1]) <= 1.0


def test_sector_neutral_values_average_to_nothing_in_each_sector():
    values, sector = np.array([[1.0, 3.0, 5.0, 9.0, np.nan]]), np.array([[0, 0, 1, -1, 1]], np.int16)
    np.testing.assert_array_equal(demeaned(values, sector), [[-1.0, 1.0, 0.0, np.nan, np.nan]])
    panel, universe = market()
    assert study("rsi_14", panel, universe, NO_RULES, horizons=(1,), sector_neutral=True).ic_summary["count"][0] > 50


def test_bad_input_says_rule_value_and_remedy():
    panel, universe = market()
    with pytest.raises(ConfigError, match="momentum_12_1"):
        study("momentm_12_1", panel, universe, NO_RULES)
    with pytest.raises(InputError, match="shorter than the history; got 500"):
        study("rsi_14", panel, universe, NO_RULES, horizons=(1, 500))
    with pytest.raises(InputError, match="at least 2 eligible names"):
        study("momentum_12_1", panel, universe, NO_RULES, horizons=(1,))  # 120 sessions: never warm
    single = panel.select(["S001"])
    with pytest.raises(InputError, match="at least 2 names; the panel has 1"):
        study("rsi_14", single, Universe.everyone(single), NO_RULES, horizons=(1,))
    with pytest.raises(InputError, match="horizons"):
        study("rsi_14", panel, universe, NO_RULES, horizons=(0,))
    with pytest.raises(InputError, match="quantiles"):
        study("rsi_14", panel, universe, NO_RULES, horizons=(1,), quantiles=1)
    flat = {name: np.full(panel.shape, 10.0) for name in ("open", "high", "low", "close", "volume")}
    with pytest.raises(InputError, match="must tell names apart"):
        study("volume_trend", replace(panel, **flat, dividend=np.zeros(panel.shape), split_ratio=np.ones(panel.shape)), Universe.everyone(panel), NO_RULES, horizons=(1,))
