"""The drawdown governor and single losses over twelve real years, 2008 included; and what the governor costs and saves."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest

from mech_exo.backtest.engine import EventBacktester
from mech_exo.backtest.governed import governor_effect, ungoverned
from mech_exo.domain.errors import InputError
from mech_exo.domain.panel import Universe
from mech_exo.kernels.records import Outcome, Reason
from mech_exo.performance.drawdowns import trailing_drawdown
from mech_exo.performance.ratios import growth
from mech_exo.performance.trading import account_returns
from mech_exo.risk.rules import drawdown
from mech_exo.utils.settings import RiskLimits
from tests.backtest.driving import default_config

HARD = RiskLimits().portfolio.max_drawdown


@pytest.fixture(scope="module")
def result(real_panel, shared):
    """The default configuration over 582 real stocks, 2004 to 2015."""
    table = dict(pl.read_csv(shared("data/reference/sp500_sectors_2016.csv")).select("Ticker Symbol", "GICS Sector").iter_rows())
    names = sorted(set(table.values()))
    code = np.array([names.index(table[symbol]) if symbol in table else -1 for symbol in real_panel.symbols], np.int16)
    universe = Universe(np.ones(real_panel.shape, np.bool_), np.broadcast_to(code, real_panel.shape), tuple(names))
    return EventBacktester(real_panel, default_config(), universe=universe).run(date(2004, 1, 1), date(2015, 12, 31))


def test_the_drawdown_of_the_trailing_year_stays_within_the_limit_and_one_days_gap(result):
    returns = account_returns(result.days)
    fall = trailing_drawdown(growth(returns))
    assert fall.max() <= HARD - returns.min()
    assert fall.max() <= HARD + 0.015  # what it is on this panel, with room for another rounding of a few orders
    first = int(np.argmax(fall > HARD)) if (fall > HARD).any() else None
    if first is not None:  # the session that passed the limit began within it
        assert fall[first - 1] <= HARD


def test_without_the_governor_the_limit_alone_is_missed_by_far_more(result):
    effect = governor_effect(result, ungoverned(result))
    assert effect.ungoverned.trailing_drawdown > HARD + 0.025 > effect.governed.trailing_drawdown + 0.01
    assert 0.3 < effect.average_share < 0.95 and effect.held_back > 500
    assert effect.governed.trailing_drawdown == pytest.approx(trailing_drawdown(growth(account_returns(result.days))).max())


def test_2008_does_not_end_the_backtest(result):
    scale, years = result.days["scale"], result.sessions.astype("datetime64[Y]").astype(int) + 1970
    assert scale[years == 2008].min() < 0.3
    assert (scale[years == 2009] > scale[years == 2008].min()).any() and scale[years >= 2010].max() == 1.0
    exposed = result.days["long_value"] / result.days["nav"]
    assert exposed[years == 2010].mean() > 0.2


def test_every_close_obeys_the_rule(result):
    """The share never exceeds what the drawdown allows by as much as the step; only decisions raise it; what it sells is named."""
    index, scale, rules = result.days["index"], result.days["scale"], result.config.risk.governor
    fall = np.array([drawdown(index, t) for t in range(len(index))])
    cushion = np.clip((HARD - fall) / (1 - fall) / ((HARD - 0.05) / 0.95), 0.0, 1.0)
    cushion[fall <= 0.05] = 1.0
    assert (scale < cushion + rules.min_change + 1e-12).all()
    rises = np.flatnonzero(np.diff(scale) > 0) + 1
    assert len(rises) and not (rises % result.config.strategy.schedule.every_sessions).any()
    events = result.events[result.events["reason"] == Reason.GOVERNOR]
    waited = {(row + 1, s) for row, s in zip(*(events[name][events["outcome"] == Outcome.CARRIED].tolist() for name in ("row", "symbol")), strict=True)}
    fresh = [(row, s) not in waited for row, s in zip(events["row"].tolist(), events["symbol"].tolist(), strict=True)]
    sold = np.unique(events["row"][fresh]) - 1
    assert len(sold) and (np.diff(np.concatenate([[1.0], scale]))[sold] < 0.0).all()


def test_no_trade_of_the_default_strategy_loses_more_than_two_percent_of_nav(result):
    assert result.large_losses == ()
    assert result.metrics["worst_trade_loss"] <= 0.02


def test_the_drawdown_of_all_time_is_that_of_the_report(result):
    index = result.days["index"]
    assert max(drawdown(index, t, t + 1) for t in range(len(index))) == pytest.approx(result.metrics["max_drawdown"])


def test_a_run_that_was_not_governed_says_so(result):
    with pytest.raises(InputError, match="the run must have been governed"):
        ungoverned(ungoverned(result))
