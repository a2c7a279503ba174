"""Slices: whole shares that sum exactly, at equal times, each with an id of its own."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.domain.errors import InputError
from mech_exo.domain.orders import OrderType
from mech_exo.execution.slicing import children, split_evenly
from mech_exo.utils.broker_settings import Slicing
from tests.execution.ledger_rows import BOOK, order

OPENS = datetime(2024, 1, 3, 14, 30, tzinfo=UTC)
RULES = Slicing(above_volume_share=0.01, minutes=60, every_minutes=15)


@given(st.integers(1, 10**6), st.sampled_from((1, -1)), st.integers(5, 390), st.integers(1, 120), st.floats(1.0, 1e6))
def test_children_sum_to_the_order_and_follow_the_clock(shares: int, side: int, minutes: int, every: int, volume: float) -> None:
    rules = Slicing(above_volume_share=0.01, minutes=max(minutes, every), every_minutes=every)
    whole = order("AAA", side * shares)
    parts = children(whole, BOOK, volume, OPENS, rules)
    assert sum(part.shares for part in parts) == whole.shares
    assert (len(parts) == 1) == (not shares > 0.01 * volume or shares == 1 or rules.minutes < rules.every_minutes)
    assert all(part.shares * side > 0 for part in parts)
    assert max(abs(part.shares) for part in parts) - min(abs(part.shares) for part in parts) <= 1
    assert len({part.id for part in parts}) == len(parts) and parts[0].id == whole.id
    assert (parts[0].type, parts[0].after) == (whole.type, None)
    for k, part in enumerate(parts[1:], 1):
        assert (part.type, part.after) == (OrderType.MARKET, OPENS + timedelta(minutes=k * every))
        assert part.after <= OPENS + timedelta(minutes=rules.minutes)
    assert parts == children(whole, BOOK, volume, OPENS, rules), "the same order is always cut the same way"


@pytest.mark.parametrize("volume", [math.nan, 0.0, 1_000.0, math.inf])
def test_a_small_order_or_an_unknown_volume_is_not_cut(volume: float) -> None:
    assert children(order("AAA", 10), BOOK, volume, OPENS, RULES) == (order("AAA", 10),)


def test_by_hand() -> None:
    parts = children(order("AAA", -11), BOOK, 500.0, OPENS, RULES)
    assert [part.shares for part in parts] == [-3, -2, -2, -2, -2]


def test_switched_off_nothing_is_cut() -> None:
    assert len(children(order("AAA", 10_000), BOOK, 1.0, OPENS, Slicing())) == 1


def test_an_instant_has_a_time_zone() -> None:
    with pytest.raises(InputError, match="time zone"):
        children(order("AAA", 11), BOOK, 500.0, OPENS.replace(tzinfo=None), RULES)


@pytest.mark.parametrize("count", [0, 4, -1])
def test_no_part_is_empty(count: int) -> None:
    with pytest.raises(InputError, match="at least one share"):
        split_evenly(3, count)
