"""One row of numbers against NumPy and plain Python."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mech_exo.kernels import cross_section as cs
from mech_exo.kernels.selection import median, quantile, select
from tests.oracles import naive_scorer as naive
from tests.scoring.markets import same_bits

NAN = math.nan
numbers = st.one_of(st.just(NAN), st.floats(-1e6, 1e6), st.sampled_from([1.0, 2.0, 3.0, -0.0, 0.0]))
rows = hnp.arrays(np.float64, st.integers(0, 30), elements=numbers)


def zscore(values):
    return cs.clipped_zscore(values, 0.0, NAN)


def known(values):
    return values[~np.isnan(values)]


@given(rows, st.floats(0, 1))
def test_quantile_is_numpys(values, share):
    if len(known(values)):
        assert quantile(known(values), len(known(values)), share) == pytest.approx(np.quantile(known(values), share), rel=1e-14, abs=1e-300)


@given(rows, st.floats(0, 0.49))
def test_a_clipped_zscore_is_that_of_the_clipped_values(values, share):
    out = cs.clipped_zscore(values, share, NAN)
    if len(known(values)):
        low, high = cs.clip_limits(known(values), share, NAN)
        assert same_bits(out, zscore(np.clip(values, low, high)))
        if share > 0:
            assert (low, high) == pytest.approx(tuple(np.quantile(known(values), [share, 1 - share])), rel=1e-12, abs=1e-300)


@given(rows, st.floats(0.5, 5))
def test_clipping_by_deviations_is_hampels(values, times):
    if len(known(values)):
        low, high = cs.clip_limits(known(values), 0.1, times)
        centre, spread = naive.median_and_mad(known(values).tolist())
        wanted = (centre - times * spread, centre + times * spread) if spread else (-math.inf, math.inf)
        assert (low, high) == pytest.approx(wanted, rel=1e-12, abs=1e-300)


@given(rows)
def test_zscore_is_the_textbooks(values):
    out, wanted = zscore(values), naive.zscores(dict(enumerate(values)), 0.0)
    spread = np.ptp(known(values)) if len(known(values)) else 0.0
    if 0 < spread < 1e-6:
        return  # differences at the edge of the arithmetic: no two formulas agree there
    for j in range(len(values)):
        assert out[j] == pytest.approx(wanted.get(j, NAN), rel=1e-6, abs=1e-9, nan_ok=True)


@given(rows)
def test_rank_scale_is_the_average_rank(values):
    out, wanted = cs.rank_scale(values), naive.rank_scale(dict(enumerate(values)))
    for j in range(len(values)):
        assert out[j] == pytest.approx(wanted.get(j, NAN), rel=1e-12, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("function", [zscore, cs.rank_scale])
@pytest.mark.parametrize("values", [[], [5.0], [0.1, 0.1, 0.1], [NAN, NAN], [0.1, NAN, 0.1, math.inf]])
def test_who_tells_nobody_apart_has_no_opinion(function, values):
    assert np.isnan(function(np.array(values))).all()


def test_infinity_is_no_value():
    assert same_bits(zscore(np.array([1.0, math.inf, 3.0])), np.array([-1.0, NAN, 1.0]))
    assert same_bits(cs.rank_scale(np.array([1.0, -math.inf, 3.0])), np.array([-1.0, NAN, 1.0]))


@given(rows, st.randoms(use_true_random=False))
def test_permuting_the_names_permutes_the_bits(values, random):
    order = list(range(len(values)))
    random.shuffle(order)
    for function in (zscore, cs.rank_scale, cs.percentile, lambda v: cs.clipped_zscore(v, 0.1, np.nan), lambda v: cs.clipped_zscore(v, 0.0, 2.0)):
        assert same_bits(function(values)[order], function(values[order]))


@given(rows, st.integers(0, 35))
def test_top_ranked_is_the_full_sorts_head(values, wanted):
    full = sorted((j for j in range(len(values)) if not math.isnan(values[j])), key=lambda j: (-values[j], j))
    assert cs.top_ranked(values, wanted).tolist() == full[:wanted]


def test_top_ranked_takes_ties_at_the_cut_in_index_order():
    assert cs.top_ranked(np.array([1.0, 2.0, 2.0, 3.0, 2.0, NAN]), 3).tolist() == [3, 1, 2]


@given(rows)
def test_ranks_and_percentiles(values):
    out, share = cs.ranks(values), cs.percentile(values)
    full = sorted((j for j in range(len(values)) if not math.isnan(values[j])), key=lambda j: (-values[j], j))
    assert [out[j] for j in full] == list(range(1, len(full) + 1))
    assert sum(out == 0) == len(values) - len(full)
    for j in range(len(values)):
        wanted = sum(values[i] <= values[j] for i in full) / len(full) if j in full else NAN
        assert share[j] == pytest.approx(wanted, nan_ok=True)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=40), st.data())
def test_selection_without_sorting(values, data):
    wanted = data.draw(st.integers(0, len(values) - 1))
    assert select(np.array(values), len(values), wanted) == sorted(values)[wanted]
    assert median(np.array(values), len(values)) == statistics.median(values)
