"""Sums and quantiles that replace sorting: exact, whatever the order."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.kernels.selection import quantile
from mech_exo.kernels.summation import steady_sum

FINITE = st.floats(-1e12, 1e12, allow_subnormal=False)


@given(st.lists(FINITE, max_size=60), st.randoms())
def test_the_order_of_the_terms_changes_no_bit(terms, chance):
    first = steady_sum(np.array(terms))
    chance.shuffle(terms)
    assert steady_sum(np.array(terms)) == first


@given(st.lists(FINITE, min_size=1, max_size=60))
def test_the_sum_is_the_exact_one(terms):
    assert steady_sum(np.array(terms)) == pytest.approx(math.fsum(terms), rel=1e-15, abs=60 * max(map(abs, terms)) * 2.0**-80)


def test_a_sum_that_plain_addition_gets_wrong_in_either_order():
    assert steady_sum(np.array([1e12, 1.0, -1e12, 2.0**-20])) == 1.0 + 2.0**-20


@given(st.lists(FINITE, min_size=1, max_size=60), st.floats(0.0, 1.0))
def test_the_quantile_is_that_of_the_sorted_values_to_the_last_bit(values, share):
    array = np.array(values)
    assert quantile(array.copy(), len(values), share) == quantile(np.sort(array), len(values), share)
