"""Information coefficients, quantile means, turnover and rank autocorrelation equal alphalens-reloaded's on the real panel in 2009.

Recorded by ``tests/oracles/record_alphalens.py``. Where the two differ, and why ours is kept:

- alphalens drops a name from *today's* quantiles when a *later* return of any horizon is missing, so its groups know the future, and the
  last 63 sessions vanish from every horizon once 63 is one of them. Ours sorts on the factor alone. Here all ends exist: no difference.
- its ``mean_return_by_quantile(demeaned=True)`` takes the mean over sessions of differences from each session's mean: our ``excess``.
- its standard errors take sessions as independent and overlapping returns as if they did not overlap; ours are Newey-West's, not compared.
- its turnover divides by the quantile's present size, and so do we. Its first periods are empty, so are ours.
- it has no linear IC: that is held against NumPy.
"""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from mech_exo.domain.panel import Universe
from mech_exo.kernels.cross_tests import group_means, group_turnover, groups, rank_persistence
from mech_exo.scoring.research import Sample, long_short
from mech_exo.scoring.research.portfolio import month_ends
from mech_exo.scoring.research.sample import Ordered, configured
from mech_exo.utils.settings import UniverseRules

NO_RULES = UniverseRules(min_price=0.0, min_dollar_volume=0.0)


@pytest.fixture(scope="module")
def theirs(repository):
    return json.loads((repository / "tests/golden/alphalens.json").read_text())


@pytest.fixture(scope="module")
def ours(real_panel, theirs):
    """The sample, the factor and the rows that alphalens was asked about."""
    sample = Sample.of(real_panel, Universe.everyone(real_panel), NO_RULES, horizons=(1, 5, 21))
    factor = sample.factor(*configured("momentum_12_1", None))
    rows = np.searchsorted(real_panel.sessions, np.array(theirs["dates"], "datetime64[D]"))
    assert (real_panel.sessions[rows].astype(str) == theirs["dates"]).all() and len(rows) == 252
    group = np.empty(factor.values.shape, np.int16)
    groups(factor.values, factor.order, np.arange(1, 5) / 5, group)
    return sample, factor, rows, group


def same(mine, theirs):
    np.testing.assert_allclose(mine, np.array(theirs, float), rtol=0.0, atol=1e-10, equal_nan=True)


@pytest.mark.parametrize("horizon", [1, 5, 21])
def test_information_coefficients_and_quantile_means(ours, theirs, horizon):
    sample, factor, rows, group = ours
    forward = sample.forward(horizon)
    rank, linear = factor.correlation(forward, sample.eligible)
    same(rank[rows], theirs["ic"][str(horizon)])
    means = group_means(group, forward.values, 5)[rows]
    same(means[:, :5].T, theirs["quantiles"][str(horizon)])
    same((means[:, :5] - means[:, 5:]).mean(axis=0), theirs["excess"][str(horizon)])
    for row in rows[::21]:
        both = sample.eligible[row] & np.isfinite(factor.values[row])
        assert linear[row] == pytest.approx(np.corrcoef(factor.values[row, both], forward.values[row, both])[0, 1], abs=1e-12)


@pytest.mark.parametrize("lag", [1, 5])
def test_turnover_and_rank_autocorrelation(ours, theirs, lag):
    _, factor, rows, group = ours
    first = rows[0]  # alphalens knew no session before the first one asked about
    same(group_turnover(np.ascontiguousarray(group[first : rows[-1] + 1]), lag, 5).T, theirs["turnover"][str(lag)])
    part = factor.rows(slice(first, rows[-1] + 1))
    same(rank_persistence(part.values, part.order, np.array([lag]))[0], theirs["autocorrelation"][str(lag)])


def test_the_momentum_portfolio_did_what_the_published_factor_did_and_a_look_ahead_is_seen(real_panel):
    """Known result: the momentum crash of spring 2009 (Daniel & Moskowitz 2016), a modest mean; a month's look-ahead shows at once."""
    factor, sign = configured("momentum_12_1", None)
    months = long_short(real_panel, Universe.everyone(real_panel), factor, sign)
    by_month = dict(zip(months["date"].cast(pl.String).str.head(7), months["return"], strict=True))
    assert by_month["2009-04"] < -0.20
    assert abs(12.0 * months["return"].mean()) < 0.10
    assert months["names_long"].min() > 50 and len(months) == 149

    rows = month_ends(real_panel.sessions)

    class Tomorrow:
        """The factor as it will be known a month later, without its skip: the error a wrong shift makes."""

        def values(self, inputs, asked):
            later = rows[np.searchsorted(rows, asked) + 1]
            total = inputs.total_return
            back = np.maximum(later - 252, 0)
            return np.where((later >= 252)[:, None], total[later] / total[back] - 1.0, np.nan)

    wrong = long_short(real_panel, Universe.everyone(real_panel), Tomorrow(), sign)
    assert 12.0 * wrong["return"].mean() > 0.40


def test_alphalens_groups_are_ours_for_equal_values():
    """pandas.qcut refuses doubled edges; here equal values share a group and an empty group says so."""
    values = Ordered.of(np.array([[1.0, 1.0, 1.0, 1.0, 2.0, np.nan]]))
    group = np.empty((1, 6), np.int16)
    groups(values.values, values.order, np.array([0.5]), group)
    assert group.tolist() == [[1, 1, 1, 1, 2, 0]]
