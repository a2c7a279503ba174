"""Orders that a callable strategy places by name: limits, stops, the close; and the named errors of wrong ones."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest

from mech_exo.backtest import limit, on_close, shares, stop
from mech_exo.backtest.engine import EventBacktester
from mech_exo.domain.panel import BarPanel
from mech_exo.kernels.records import Outcome, Reason
from mech_exo.utils.settings import CostModel, MarginRules, RiskLimits, StopRules
from tests.backtest.test_engine import FREE, hold, refuses

# open, high, low, close, volume
BARS = [(10, 11, 9, 10, 1000), (10, 10.5, 9.5, 10, 1000), (12, 13, 11, 12, 1000), (11, 12, 8, 9, 1000), (9, 9.5, 8.5, 9, 1000)]


def panel(bars=BARS, symbol="AAA"):
    rows = [(symbol, date(2020, 1, 1 + day), *map(float, bar)) for day, bar in enumerate(bars)]
    return BarPanel.from_frame(pl.DataFrame(rows, schema=["symbol", "date", "open", "high", "low", "close", "volume"], orient="row"))


def fills(answers, costs=FREE, bars=BARS, **options):
    """(day, shares, price) of what ``answers`` (by row) led to, and the outcomes of what did not fill."""
    result = EventBacktester(panel(bars), lambda view, portfolio: answers.get(view.row), costs=costs, initial_cash=100_000, **options).run()
    done = [(e["row"], e["shares"], e["price"]) for e in result.events if e["outcome"] == Outcome.FILLED]
    return done, [(e["row"], e["shares"], Outcome(e["outcome"]).name.lower()) for e in result.events if e["outcome"] != Outcome.FILLED]


def test_a_limit_fills_at_its_price_when_touched_and_expires_when_not():
    assert fills({0: shares({"AAA": limit(5, 9.6)})}) == ([(1, 5.0, 9.6)], [])
    assert fills({0: shares({"AAA": limit(5, 9.4)})}) == ([], [(1, 5.0, "expired")])


def test_a_limit_gapped_through_fills_at_the_open_and_never_beyond_the_limit():
    costs = CostModel(commission="zero", slippage_bps=1000, margin_rate=0)
    assert fills({2: shares({"AAA": limit(5, 11.5)})}, costs) == ([(3, 5.0, 11.5)], []), "11 + 10 % would be 12.1"
    assert fills({2: shares({"AAA": limit(5, 20.0)})}, costs) == ([(3, 5.0, pytest.approx(12.1))], [])


def test_a_kept_limit_waits_until_it_fills_or_the_strategy_answers_again():
    done, waited = fills({0: shares({"AAA": limit(5, 8.2, keep=True)})})
    assert (done, waited) == ([(3, 5.0, 8.2)], [(1, 5.0, "carried"), (2, 5.0, "carried")])
    done, waited = fills({0: shares({"AAA": limit(5, 8.2, keep=True)}), 1: {}})
    assert (done, waited) == ([], [(1, 5.0, "carried")])


def test_a_stop_buys_above_and_at_the_open_where_that_gaps_over_it():
    assert fills({0: shares({"AAA": stop(5, 10.4)})}) == ([(1, 5.0, 10.4)], [])
    assert fills({1: shares({"AAA": stop(5, 10.4)})}) == ([(2, 5.0, 12.0)], [])


def test_an_order_for_the_close_fills_there():
    assert fills({1: shares({"AAA": on_close(5)}), 2: shares({"AAA": on_close(0)})}) == ([(2, 5.0, 12.0), (3, -5.0, 9.0)], [])


def test_what_the_volume_does_not_allow_is_bought_on_the_days_after():
    costs = CostModel(commission="zero", slippage_bps=0, margin_rate=0, participation=0.1)
    done, waited = fills({0: shares({"AAA": 250})}, costs)
    assert done == [(1, 100.0, 10.0), (2, 100.0, 12.0), (3, 50.0, 11.0)]
    assert waited == [(1, 150.0, "carried"), (2, 50.0, "carried")]


def test_buying_power_cuts_and_a_margin_call_sells():
    margin = MarginRules(initial=0.5, maintenance_long=0.5, maintenance_short=0.5)
    done, refused = fills({0: shares({"AAA": 30_000})}, margin=margin)
    assert done[0] == (1, 20_000.0, 10.0) and refused == [(1, 10_000.0, "no_margin")]
    result = EventBacktester(panel(), lambda view, portfolio: shares({"AAA": 19_000}) if view.row == 0 else None, costs=FREE, margin=margin).run()
    call = result.events[result.events["reason"] == Reason.MARGIN_CALL]
    nav, value = result.days["nav"][3], result.days["long_value"][3]
    assert nav < 0.5 * value and call["row"].tolist() == [4]
    assert -call["shares"][0] == np.ceil(19_000 * (1 - nav / (0.5 * value)) - 1e-9)


def test_fractions_of_a_share_are_bought_sold_and_split():
    bars = panel()
    result = EventBacktester(bars, lambda view, portfolio: {"AAA": 0.33} if view.row < 3 else {}, costs=FREE, initial_cash=1_000, fractional=True).run()
    held = np.cumsum(result.events["shares"])
    assert held[0] == pytest.approx(33.0) and held[-1] == 0.0
    assert any(abs(count - round(count)) > 1e-3 for count in result.events["shares"])
    assert np.allclose(result.events["shares"] * 10_000, np.round(result.events["shares"] * 10_000))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"AAA": limit(0.1, -1.0)}, ("limit order needs a price above 0", "AAA", "-1")),
        ({"AAA": stop(0.1, float("nan"))}, ("stop order needs a price above 0", "nan")),
        ({"AAA": limit(float("nan"), 10.0)}, ("must be finite", "AAA")),
        ({"AAA": 25.0}, ("fractions of NAV", "25", "0.25 for 25 %")),
        (shares({"AAA": 1.5}), ("whole", "1.5")),
    ],
)
def test_a_wrong_order_is_named(answer, said):
    with refuses(*said):
        EventBacktester(panel(), hold(answer)).run()


def test_limits_and_their_parts_are_given_once():
    with refuses("either limits or the parts"):
        EventBacktester(panel(), hold({}), limits=RiskLimits(), stops=StopRules())
