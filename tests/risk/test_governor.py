"""The governor's share by hand, what holds of it always, and that each of its keys is read from the file."""

from __future__ import annotations

import math

import numpy as np
import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from mech_exo.decision.orders import deleverage, trim_entries
from mech_exo.domain.errors import ConfigError
from mech_exo.kernels.account import new_book
from mech_exo.kernels.records import OrderKind, Reason
from mech_exo.risk.governor import (
    GovernorParams,
    allowed_share,
    share_before,
    share_decided,
    share_to_sell,
    share_tonight,
)
from mech_exo.risk.rules import drawdown
from mech_exo.utils.config import load
from mech_exo.utils.settings import GovernorRules, PortfolioLimits, RiskLimits
from tests.oracles.naive_governor import Governor, taken

DEFAULT = GovernorParams.of(RiskLimits())
fractions = st.floats(0.0, 1.0)


def configured(workspace, **values):
    path = workspace / "config" / "risk_limits.yml"
    content = yaml.safe_load(path.read_text("utf-8"))
    content["governor"] |= values
    path.write_text(yaml.safe_dump(content), "utf-8")
    return GovernorParams.of(load(workspace).risk)


@pytest.mark.parametrize(
    ("fall", "share"),
    [(0.0, 1.0), (0.05, 1.0), (0.06, 0.8085), (0.07, 0.6129), (0.08, 0.4130), (0.09, 0.2088), (0.10, 0.0), (0.5, 0.0), (1.0, 0.0)],
)
def test_the_table_of_the_page(fall, share):
    """(0.10 − d) ÷ (1 − d), over 0.05 ÷ 0.95."""
    assert allowed_share(fall, DEFAULT) == pytest.approx(share, abs=5e-5)


def test_an_unknown_drawdown_allows_nobody_knows_what_and_changes_nothing():
    assert math.isnan(allowed_share(math.nan, DEFAULT))
    scale = np.array([0.4, 1.0])
    assert share_tonight(1, math.nan, scale, DEFAULT) == 0.4
    scale[1] = 0.4
    assert share_decided(1, math.nan, scale, DEFAULT) == 0.4


@given(fractions, fractions, st.floats(0.001, 0.99), st.floats(0.0, 0.999))
def test_a_deeper_fall_never_allows_more(one, two, hard, part):
    rules = GovernorParams(part * hard, hard, 0.1, 0, False)
    shallow, deep = sorted((one, two))
    assert 0.0 <= allowed_share(deep, rules) <= allowed_share(shallow, rules) <= 1.0


@given(st.lists(st.floats(0.7, 1.1), min_size=1, max_size=12), st.floats(0.01, 0.5), st.integers(0, 6), st.booleans(), st.integers(1, 4))
def test_the_shares_of_a_path_are_those_of_the_naive_governor(indexes, step, wait, recovered, every):
    naive = Governor(0.04, 0.2, step, wait, recovered)
    rules = GovernorParams(0.04, 0.2, step, wait, recovered)
    scale, shares = np.full(len(indexes), np.nan), []
    for t in range(len(indexes)):
        fall = naive.fall(indexes[: t + 1])
        before = shares[-1] if shares else 1.0
        assert share_before(t, scale) == pytest.approx(before)
        assume(abs(before - step - allowed_share(fall, rules)) > 1e-9)  # either may be right there
        scale[t] = share_tonight(t, fall, scale, rules)
        shares.append(naive.tonight(indexes[: t + 1], before))
        assert scale[t] == pytest.approx(shares[t]) and share_to_sell(t, scale) == pytest.approx(taken(before, shares[t]))
        if t % every == 0:
            scale[t], shares[t] = share_decided(t, fall, scale, rules), naive.decided(indexes[: t + 1], shares)
        assert scale[t] == pytest.approx(shares[t])


def test_the_drawdown_of_all_time_remembers_what_the_trailing_one_forgets():
    index = np.concatenate([[2.0], np.full(400, 1.0)])
    assert (drawdown(index, 400, 401), drawdown(index, 400)) == (0.5, 0.0)
    assert drawdown(np.array([0.9]), 0, 1) == drawdown(np.array([0.9]), 0) == pytest.approx(0.1)  # 1 before the first session


def test_each_key_is_obeyed_as_written(workspace):
    assert allowed_share(0.04, configured(workspace)) == 1.0
    assert allowed_share(0.06, configured(workspace)) < 1.0
    assert allowed_share(0.04, configured(workspace, soft_drawdown=0.02)) == pytest.approx(0.06 / 0.96 * 0.98 / 0.08)
    scale = np.array([1.0, 0.5, math.nan])
    assert share_tonight(2, 0.08, scale, configured(workspace, soft_drawdown=0.05, min_change=0.05)) == pytest.approx(0.4130, abs=1e-4)
    assert share_tonight(2, 0.08, scale, configured(workspace, min_change=0.2)) == 0.5
    scale[2] = 0.5
    assert share_decided(2, 0.06, scale, configured(workspace, wait_sessions=1)) == pytest.approx(0.8085, abs=1e-4)
    assert share_decided(2, 0.06, scale, configured(workspace, wait_sessions=2)) == 0.5
    assert share_decided(2, 0.06, scale, configured(workspace, wait_sessions=0, re_risk="recovered")) == 0.5
    assert share_decided(2, 0.05, scale, configured(workspace)) == 1.0


def test_switched_off_it_is_off(workspace):
    path = workspace / "config" / "risk_limits.yml"
    content = yaml.safe_load(path.read_text("utf-8")) | {"governor": None}
    path.write_text(yaml.safe_dump(content), "utf-8")
    off = GovernorParams.of(load(workspace).risk)
    assert math.isnan(off.soft) and share_decided(0, 0.09, np.array([1.0]), off) == 1.0


def test_a_soft_limit_beyond_the_hard_one_is_refused(workspace):
    with pytest.raises(ConfigError, match=r"governor\.soft_drawdown must be below portfolio\.max_drawdown; got 0\.1 and 0\.1"):
        configured(workspace, soft_drawdown=0.1)
    with pytest.raises(ValueError, match=r"got 0\.05 and 0\.03"):
        RiskLimits(portfolio=PortfolioLimits(max_drawdown=0.03), governor=GovernorRules(soft_drawdown=0.05))


def test_without_a_soft_limit_it_is_half_of_the_hard_one():
    assert GovernorParams.of(RiskLimits(portfolio=PortfolioLimits(max_drawdown=0.03))).soft == 0.015


def lines(*rows):
    """A book of (shares, order, reason, kind) and its live columns."""
    book = new_book(len(rows))
    for line, (shares, order, reason, kind) in zip(book, rows, strict=True):
        line["shares"], line["order"], line["order_reason"], line["order_kind"] = shares, order, int(reason), int(kind)
    return book, np.arange(len(rows))


def test_every_position_goes_down_by_the_share_rounded_up():
    book, live = lines((10, 0, 0, 0), (-7, 0, 0, 0), (1, 0, 0, 0), (10, -9, Reason.REBALANCE, 0), (10, -2, Reason.REBALANCE, 0),
                       (10, 5, Reason.REBALANCE, 0), (10, -9, Reason.REBALANCE, OrderKind.LIMIT), (4, -4, Reason.TIME_STOP, 0))  # fmt: skip
    deleverage(0.25, int(Reason.GOVERNOR), book, live, len(live), 1.0)
    assert book["order"].tolist() == [-3, 2, -1, -9, -3, -3, -3, -4]
    reasons = [Reason(code).name for code in book["order_reason"]]
    assert reasons == ["GOVERNOR"] * 3 + ["REBALANCE"] + ["GOVERNOR"] * 3 + ["TIME_STOP"]


def test_what_is_still_to_be_bought_shrinks_with_the_share():
    book, live = lines((0, 10, Reason.REBALANCE, 0), (0, -3, Reason.REBALANCE, 0), (0, 1, Reason.REBALANCE, 0), (5, 4, Reason.REBALANCE, 0))
    trim_entries(0.5, book, live, len(live), 1.0)
    assert book["order"].tolist() == [5, -1, 0, 4]
