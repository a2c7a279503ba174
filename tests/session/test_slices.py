"""Which orders of a night are cut: by the average daily volume that risk knows too."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest

from mech_exo.assembly import MONTH, _slices
from mech_exo.decision.night import Known
from mech_exo.domain.orders import Order, OrderReason
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.execution.rows import BookId
from mech_exo.utils.broker_settings import Slicing
from mech_exo.utils.calendar import session_open, sessions

BOOK = BookId("DU1234567", "default")
DAYS = sessions(date(2024, 1, 2), date(2024, 3, 1))
NEXT = date(2024, 3, 4)
RULES = Slicing(above_volume_share=0.01, minutes=60, every_minutes=15)


def known(volume: np.ndarray, split: np.ndarray | None = None) -> Known:
    """One name whose bars have ``volume`` ``(T,)``."""
    bars = {name: np.full((len(DAYS), 1), 10.0) for name in ("open", "high", "low", "close")}
    bars["volume"] = volume[:, None].astype(float)
    if split is not None:
        bars["split_ratio"] = split[:, None]
    panel = BarPanel.from_arrays(DAYS, ["AAA"], bars)
    return Known(panel, Universe.everyone(panel), (), None, {})


def parts(of: Known, shares: int, rules: Slicing = RULES) -> list[int]:
    cut = _slices(rules, BOOK, of)
    assert cut is not None
    return [one.shares for one in cut(Order("mx1-a", "AAA", shares, NEXT, OrderReason.REBALANCE))]


def test_an_order_above_the_share_of_the_months_volume_is_cut() -> None:
    market = known(np.full(len(DAYS), 10_000.0))
    assert parts(market, 100) == [100], "at the share it is not above it"
    assert parts(market, -101) == [-21, -20, -20, -20, -20]
    assert _slices(Slicing(), BOOK, market) is None


def test_children_work_one_after_the_other_from_the_open_on() -> None:
    cut = _slices(RULES, BOOK, known(np.full(len(DAYS), 10_000.0)))
    assert cut is not None
    after = [one.after for one in cut(Order("mx1-a", "AAA", 500, NEXT, OrderReason.REBALANCE))]
    assert after[0] is None and [(at - session_open(NEXT)).total_seconds() / 60 for at in after[1:] if at is not None] == [15, 30, 45, 60]


def test_volume_before_the_month_does_not_count_and_splits_do() -> None:
    volume = np.full(len(DAYS), 10_000.0)
    volume[:-MONTH] = 1e9
    assert len(parts(known(volume), 101)) == 5
    split = np.ones(len(DAYS))
    split[-1] = 2.0  # the shares of the days before are two of today's each
    volume[-1] = 20_000.0
    assert parts(known(volume, split), 200) == [200] and len(parts(known(volume, split), 201)) == 5


@pytest.mark.parametrize("missing", [MONTH, MONTH // 2 + 1])
def test_a_volume_that_is_not_known_cuts_nothing(missing: int) -> None:
    volume = np.full(len(DAYS), 10_000.0)
    volume[-missing:] = math.nan
    assert parts(known(volume), 5_000) == [5_000]
