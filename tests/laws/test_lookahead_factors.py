"""Nothing from the future: over every registered factor and the composite, whatever is registered tomorrow included."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mech_exo.scoring.factors import REGISTRY, Factor
from mech_exo.scoring.inputs import FactorInputs
from mech_exo.scoring.scorer import score_rows
from mech_exo.utils.settings import FactorsConfig, FactorWeight, Normalisation, ScoringRules, UniverseRules
from tests.scoring.markets import SECTORS, permuted, poisoned, random_panel, random_universe, same_bits

COMPUTED = list(REGISTRY.values())
POISONS = ["nan", "scale", "delete", "actions"]
STEPS = 40


def shrunk(factor: Factor) -> dict[str, int]:
    """Parameters a twentieth of the defaults, so that short histories have values."""
    out = {name: max(param.minimum, round(param.default / 20)) for name, param in factor.params.items()}
    for small, large in itertools.pairwise(factor.order):
        out[large] = max(out[large], out[small] + 2)
    return out


def config(mode: Normalisation, winsor: float = 0.1) -> FactorsConfig:
    families: dict[str, dict[str, FactorWeight]] = {}
    for weight, factor in enumerate(COMPUTED, start=2):
        line = FactorWeight(weight=weight, direction=factor.direction, params=shrunk(factor))
        families.setdefault(factor.family.value, {})[factor.name] = line
    rules = ScoringRules(normalisation=mode, winsor=winsor, min_coverage=0.4)
    return FactorsConfig(**families, sector_adjustments={SECTORS[0]: 1.5, SECTORS[2]: 0.5}, scoring=rules)


RULES = UniverseRules(min_price=5.0, min_dollar_volume=1e6, dollar_volume_window=8, min_listing_sessions=5)


def everything(panel, universe, rows, mode):
    """All that a decision may read of a scoring, for comparison bit by bit."""
    table = score_rows(panel, universe, np.asarray(rows), config(mode), RULES)
    details = [table.scores(k) for k in range(len(rows))]
    names = ("value", "rank", "percentile", "raw", "normalised", "contribution", "coverage")
    return [table.value, table.exclusion, table.raw, table.multiplier, *(getattr(scores, name) for scores in details for name in names)]


def test_the_registry_is_not_empty():
    assert {"momentum_12_1", "rsi_14", "volatility_ratio", "volume_trend"} <= {factor.name for factor in COMPUTED}


@pytest.mark.parametrize("factor", COMPUTED, ids=lambda factor: factor.name)
class TestEveryFactor:
    @given(seed=st.integers(0, 10_000), t=st.integers(0, STEPS - 1))
    def test_row_t_of_the_prefix_is_row_t_of_the_whole(self, factor, seed, t):
        panel, bound = random_panel(seed, STEPS), factor.bind(shrunk(factor))
        universe = random_universe(seed, panel)
        assert same_bits(bound.compute(panel, universe)[: t + 1], bound.compute(panel.upto(t), universe.rows(0, t + 1)))

    @given(seed=st.integers(0, 10_000), t=st.integers(0, STEPS - 2), kind=st.sampled_from(POISONS))
    def test_poison_after_t_leaves_everything_up_to_t(self, factor, seed, t, kind):
        panel, bound = random_panel(seed, STEPS), factor.bind(shrunk(factor))
        universe = random_universe(seed, panel)
        assert same_bits(bound.compute(panel, universe)[: t + 1], bound.compute(*poisoned(panel, universe, t, kind, seed))[: t + 1])

    @given(seed=st.integers(0, 10_000), rows=st.sets(st.integers(0, STEPS - 1), min_size=1))
    def test_chosen_rows_are_the_rows_of_the_whole(self, factor, seed, rows):
        panel, bound = random_panel(seed, STEPS), factor.bind(shrunk(factor))
        chosen, universe = np.array(sorted(rows)), random_universe(seed, panel)
        assert same_bits(bound.values(FactorInputs(panel, universe), chosen), bound.compute(panel, universe)[chosen])

    @given(seed=st.integers(0, 10_000), order=st.permutations(range(6)))
    def test_permuting_symbols_permutes_values(self, factor, seed, order):
        panel, bound = random_panel(seed, STEPS), factor.bind(shrunk(factor))
        universe = random_universe(seed, panel)
        assert same_bits(bound.compute(panel, universe)[:, order], bound.compute(*permuted(panel, universe, order)))

    def test_default_parameters_hold_the_law_and_the_warmup(self, factor):
        bound = factor.bind({})
        steps = bound.warmup + 30
        panel = random_panel(11, steps, 4, gaps=0.0)
        universe = random_universe(11, panel)
        whole = bound.compute(panel, universe)
        for t in (max(bound.warmup - 1, 0), bound.warmup, bound.warmup + 7, steps - 2):
            assert same_bits(whole[: t + 1], bound.compute(panel.upto(t), universe.rows(0, t + 1)))
        assert np.isfinite(whole).any()
        if factor.facts:
            return
        gapless = [j for j in range(4) if not np.isnan(panel.close[:, j]).any()]
        assert gapless
        first = [int(np.flatnonzero(~np.isnan(whole[:, j]))[0]) for j in gapless]
        assert min(first) == bound.warmup


@pytest.mark.parametrize("mode", list(Normalisation))
class TestTheComposite:
    @given(seed=st.integers(0, 10_000), t=st.integers(0, STEPS - 2), kind=st.sampled_from(POISONS))
    @settings(max_examples=25)
    def test_poison_after_t_leaves_everything_up_to_t(self, mode, seed, t, kind):
        panel = random_panel(seed, STEPS, 12)
        universe = random_universe(seed, panel)
        rows = sorted({t, t // 2})
        clean = everything(panel, universe, rows, mode)
        assert all(map(same_bits, clean, everything(*poisoned(panel, universe, t, kind, seed), rows, mode)))
        assert all(map(same_bits, clean, everything(panel.upto(t), universe.rows(0, t + 1), rows, mode)))

    @given(seed=st.integers(0, 10_000), order=st.permutations(range(12)))
    @settings(max_examples=25)
    def test_permuting_symbols_permutes_scores(self, mode, seed, order):
        panel = random_panel(seed, STEPS, 12)
        universe = random_universe(seed, panel)
        rows = np.arange(0, STEPS, 7)
        moved = score_rows(*permuted(panel, universe, order), rows, config(mode), RULES)
        table = score_rows(panel, universe, rows, config(mode), RULES)
        assert same_bits(table.value[:, order], moved.value)
        assert same_bits(table.exclusion[:, order], moved.exclusion)
        for k in range(len(rows)):
            assert same_bits(table.scores(k).contribution[order], moved.scores(k).contribution)

    @given(seed=st.integers(0, 10_000))
    @settings(max_examples=25)
    def test_the_one_session_of_tonight_is_the_row_of_the_history(self, mode, seed):
        panel = random_panel(seed, STEPS, 12)
        universe = random_universe(seed, panel)
        history = score_rows(panel, universe, np.arange(STEPS), config(mode), RULES)
        for t in (5, 20, STEPS - 1):
            tonight = score_rows(panel.upto(t), universe.rows(0, t + 1), np.array([t]), config(mode), RULES)
            assert same_bits(tonight.value[0], history.value[t])
            assert same_bits(tonight.exclusion[0], history.exclusion[t])

    @given(seed=st.integers(0, 10_000), outside=st.sets(st.integers(0, 11), min_size=1, max_size=11))
    @settings(max_examples=25)
    def test_a_name_that_is_not_a_member_touches_nobody(self, mode, seed, outside):
        """A member that is not eligible tonight (too cheap, newly listed) does: its return is part of the market's, which betas read."""
        panel = random_panel(seed, STEPS, 12)
        universe = random_universe(seed, panel)
        universe = replace(universe, member=universe.member & ~np.isin(np.arange(12), sorted(outside)))
        inside = [j for j in range(12) if j not in outside]
        some = panel.select([panel.symbols[j] for j in inside])
        rows = np.array([STEPS // 2, STEPS - 1])
        table = score_rows(panel, universe, rows, config(mode), RULES)
        assert same_bits(table.value[:, inside], score_rows(some, universe.at(np.s_[:, inside]), rows, config(mode), RULES).value)


def test_the_law_catches_a_factor_that_peeks():
    panel = random_panel(1, STEPS, gaps=0.0)

    def peeking(p):
        return np.vstack([p.close[1:], p.close[-1:]])

    assert not same_bits(peeking(panel)[:11], peeking(panel.upto(10)))


def test_the_poisons_do_change_what_comes_after():
    panel = random_panel(1, STEPS, gaps=0.0)
    universe = random_universe(1, panel)
    for kind in POISONS:
        corrupt, told = poisoned(panel, universe, 10, kind)
        assert not same_bits(FactorInputs(corrupt).total_return, FactorInputs(panel).total_return), kind
        for name, cells in universe.facts.known.items():
            assert not same_bits(told.facts.known[name][11:], cells[11:]), name
