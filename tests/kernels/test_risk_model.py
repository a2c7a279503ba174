"""The statistics of a book of returns against NumPy and SciPy, and the laws that limits on them rest on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mech_exo.domain.panel import BarPanel
from mech_exo.kernels import risk_model as model
from mech_exo.kernels.records import Bars

NAN = math.nan
YEAR = math.sqrt(252.0)


def close_to(expected):
    return pytest.approx(expected, rel=1e-10, abs=1e-14)


@st.composite
def books(draw, names=8):
    """A window of returns with a common factor, and a signed book of it; some names repeat each other, some never move."""
    seed, sessions, count = draw(st.integers(0, 2**32 - 1)), draw(st.integers(25, 120)), draw(st.integers(1, names))
    rng = np.random.default_rng(seed)
    returns = 0.01 * rng.standard_normal((sessions, 1)) + 0.02 * rng.standard_normal((sessions, count))
    if count > 2 and draw(st.booleans()):
        returns[:, 1] = returns[:, 0]
    return returns, rng.integers(-40, 40, count) * 250.0


def bars_of(close, split=None, dividend=None):
    close = np.array(close, np.float64)
    given = {name: np.array(x, np.float64) for name, x in (("split_ratio", split), ("dividend", dividend)) if x is not None}
    bars = dict.fromkeys(("open", "high", "low", "close", "volume"), close) | given
    return Bars.of(
        BarPanel.from_arrays(np.datetime64("2020-01-01") + np.arange(len(close)), [f"S{k:02}" for k in range(close.shape[1])], bars)
    )


def test_returns_by_hand():
    """A gap moves the session after it, a split and a dividend are no moves, and only real returns are counted."""
    close = [[100.0, NAN], [110.0, NAN], [NAN, 8.0], [60.0, NAN], [57.0, 9.0]]
    split = [[1.0, 1.0], [1.0, 1.0], [2.0, 1.0], [1.0, 1.0], [1.0, 1.0]]
    dividend = [[0.0, 0.0]] * 4 + [[3.0, 0.0]]
    returns, counts = model.window_returns(4, np.array([0, 1]), bars_of(close, split, dividend), 10)
    assert returns == close_to(np.array([[0.1, 0.0], [0.0, 0.0], [60.0 / 55.0 - 1.0, 0.0], [0.0, 0.125]]))
    assert counts.tolist() == [3, 1]
    short, counts = model.window_returns(4, np.array([1, 0]), bars_of(close, split, dividend), 2)
    assert short == close_to(np.array([[0.0, 0.0], [0.125, 0.0]])) and counts.tolist() == [1, 1]  # what began before it is not in it
    assert model.window_returns(0, np.array([0]), bars_of(close), 10)[0].shape == (0, 1)


@pytest.mark.parametrize(
    ("count", "window", "known"), [(20, 40, True), (19, 20, False), (125, 252, False), (126, 252, True), (30, 61, False)]
)
def test_how_much_history_is_enough(count, window, known):
    assert model.known_history(count, window) is known


@given(books())
def test_moments_equal_numpy(book):
    returns, values = book
    pnl = returns @ values
    covariance = np.cov(returns, rowvar=False).reshape(len(values), len(values))
    assert model.book_pnl(returns, values) == close_to(pnl)
    assert model.covariance(returns) == close_to(covariance)
    assert model.book_volatility(returns, values) == pytest.approx(np.std(pnl, ddof=1) * YEAR, rel=1e-10, abs=1e-6)
    if len(values) > 1:
        mine, theirs = model.correlation(covariance), np.corrcoef(returns, rowvar=False)
        assert mine == close_to(theirs)
        assert model.average_correlation(mine) == close_to(theirs[np.triu_indices(len(values), 1)].mean())
    terms = np.outer(values, values) * covariance
    assert model.volatility_without_offsets(covariance, values) == close_to(math.sqrt(np.maximum(terms, 0.0).sum() * 252.0))


@given(books(), st.sampled_from([0.9, 0.95, 0.975]))
def test_tails_equal_numpy_and_scipy(book, level):
    returns, values = book
    pnl = returns @ values
    loss, shortfall = model.tail_loss(pnl, level)
    if len(pnl) * (1.0 - level) < 1.0 - 1e-9:
        assert math.isnan(loss) and math.isnan(shortfall)
        return
    assert loss == close_to(-np.quantile(pnl, 1.0 - level))
    # the worst (1 - level) of the mass, each session an equal share of it: Rockafellar and Uryasev's minimum, at one of the sessions
    uryasev = min(-q + np.maximum(q - pnl, 0.0).mean() / (1.0 - level) for q in pnl)
    assert shortfall == pytest.approx(uryasev, rel=1e-10, abs=1e-9)
    assert shortfall >= loss - 1e-9
    z, tail = model.normal_multiples(level)
    assert z == close_to(stats.norm.ppf(level)) and tail == close_to(stats.truncnorm.mean(z, np.inf))


def test_a_tail_without_a_session_in_it_is_unknown():
    assert not math.isnan(model.tail_loss(np.arange(20.0), 0.95)[0])
    assert all(math.isnan(x) for x in model.tail_loss(np.arange(19.0), 0.95))
    assert all(math.isnan(x) for x in model.tail_loss(np.append(np.arange(99.0), NAN), 0.95))


@given(books())
def test_betas_equal_scipy(book):
    returns, values = book
    market = returns.mean(axis=1) + np.random.default_rng(1).normal(0.0, 0.005, len(returns))
    market[3] = NAN
    known = np.isfinite(market)
    slopes = model.betas(returns, market)
    assert slopes == close_to(np.array([stats.linregress(market[known], r).slope for r in returns[known].T]))
    assert model.book_beta(slopes, values) == pytest.approx(values @ slopes, rel=1e-10, abs=1e-9)
    products = values * slopes
    expected = max(products[products > 0].sum(), -products[products < 0].sum())
    assert model.beta_without_offsets(slopes, values) == close_to(expected)


def test_unknown_betas():
    returns = np.random.default_rng(2).normal(size=(30, 2))
    assert np.isnan(model.betas(returns, np.zeros(30))).all()
    market = np.full(30, NAN)
    market[:19] = returns[:19, 0]
    assert np.isnan(model.betas(returns, market)).all()
    market[19] = 0.1
    assert np.isfinite(model.betas(returns, market)).all()
    slopes = np.array([1.5, NAN])
    assert model.book_beta(slopes, np.array([10.0, 0.0])) == 15.0 and model.beta_without_offsets(slopes, np.array([-10.0, 0.0])) == 15.0
    assert math.isnan(model.book_beta(slopes, np.array([10.0, 1.0]))) and math.isnan(
        model.beta_without_offsets(slopes, np.array([10.0, 1.0]))
    )


def test_a_name_that_never_moved_has_no_correlation():
    matrix = model.covariance(np.column_stack([np.random.default_rng(3).normal(size=30), np.zeros(30)]))
    known = model.correlation(matrix)
    assert known[0, 0] == 1.0 and np.isnan(known[1]).all() and math.isnan(model.average_correlation(known))
    assert math.isnan(model.average_correlation(known[:1, :1]))
    assert np.isnan(model.covariance(np.zeros((1, 2)))).all()
    assert math.isnan(model.volatility_without_offsets(np.full((2, 2), NAN), np.ones(2)))


@given(books())
def test_marginal_risk_is_the_slope_and_its_parts_sum_to_the_whole(book):
    returns, values = book
    sigma, marginal = model.book_volatility(returns, values), model.marginal_volatility(returns, values)
    if not sigma > 1.0:  # a book of nothing, or one that offsets itself: no direction in it
        return
    assert (values * marginal).sum() == pytest.approx(sigma, rel=1e-10)
    step = 1e-3 * np.abs(values).max()
    for i in range(len(values)):
        bump = np.zeros(len(values))
        bump[i] = step
        slope = (model.book_volatility(returns, values + bump) - model.book_volatility(returns, values - bump)) / (2.0 * step)
        assert marginal[i] == pytest.approx(slope, rel=1e-3, abs=1e-4)
    assert np.isnan(model.marginal_volatility(returns, np.zeros(len(values)))).all()


def figures(returns, values, market):
    """Every figure that a limit measures without offsets."""
    losses = model.book_losses(returns, values)
    return np.array(
        [
            model.volatility_without_offsets(model.covariance(returns), values),
            *model.tail_loss(losses, 0.95),
            model.beta_without_offsets(model.betas(returns, market), values),
        ]
    )


@given(books(), st.data())
def test_without_offsets_no_smaller_book_has_more_risk(book, data):
    returns, values = book
    market = returns.mean(axis=1)
    less = values * np.array(data.draw(st.lists(st.sampled_from([0.0, 0.3, 0.999, 1.0]), min_size=len(values), max_size=len(values))))
    whole, part = figures(returns, values, market), figures(returns, less, market)
    assert (part <= whole * (1 + 1e-12))[np.isfinite(whole)].all()
    true = np.array(
        [
            model.book_volatility(returns, values),
            *model.tail_loss(model.book_pnl(returns, values), 0.95),
            abs(model.book_beta(model.betas(returns, market), values)),
        ]
    )
    assert (true <= whole + 1e-6 + 1e-9 * np.abs(whole))[np.isfinite(whole)].all()


@given(books(), st.randoms())
def test_the_order_of_the_names_changes_no_bit(book, chance):
    returns, values = book
    order = list(range(len(values)))
    chance.shuffle(order)
    market = returns[:, 0].copy()
    mixed, shuffled = np.ascontiguousarray(returns[:, order]), values[order]
    assert np.array_equal(figures(returns, values, market), figures(mixed, shuffled, market), equal_nan=True)
    assert model.book_volatility(returns, values) == model.book_volatility(mixed, shuffled)
    assert np.array_equal(model.marginal_volatility(returns, values)[order], model.marginal_volatility(mixed, shuffled), equal_nan=True)
    one, other = (model.correlation(model.covariance(r)) for r in (returns, mixed))
    assert np.array_equal(one[np.ix_(order, order)], other) and np.array_equal(
        [model.average_correlation(one)], [model.average_correlation(other)], equal_nan=True
    )


def test_scaling_and_status_measure_one_volatility():
    """The volatility that sizing scales with is that of the window's own returns."""
    rng = np.random.default_rng(4)
    bars = bars_of(100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, (80, 3)), axis=0)))
    names, values = np.array([2, 0, 1]), np.array([500.0, -300.0, 200.0])
    returns, _ = model.window_returns(79, names, bars, 60)
    assert model.portfolio_volatility(79, names, values, bars, 60) == pytest.approx(model.book_volatility(returns, values), rel=1e-12)
