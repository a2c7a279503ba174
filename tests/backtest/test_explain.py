"""`explain` derives the very decision again: contributions sum to the score, sizes to the order, the order to its fill."""

from __future__ import annotations

import json
import math
from datetime import date

import numpy as np
import polars as pl
import pytest

from mech_exo.backtest import BacktestResult, EventBacktester, shares
from mech_exo.cli.output import plain
from mech_exo.domain.errors import InputError, UserError
from mech_exo.utils.settings import RiskLimits, SizingRules
from tests.backtest.driving import busy_config, default_config, sample


@pytest.fixture(scope="module")
def market():
    return sample(seed=5, symbols=40, years=4)


@pytest.fixture(scope="module", params=[busy_config, default_config], ids=["busy", "default"])
def result(request, market):
    panel, universe = market
    return EventBacktester(panel, request.param(), universe=universe).run(panel.sessions[300].astype(object))


@pytest.fixture(scope="module")
def decided(result):
    """A decision night in the middle with many orders, and what came of each name."""
    nights = result.orders.filter(pl.col("kind") == "order").group_by("decided").len().sort("len")
    night = nights["decided"][-2]
    return night, {symbol: result.explain(night, symbol) for symbol in result.symbols}


def test_fractions_of_a_share_are_told_as_they_were_wanted(market):
    panel, universe = market
    config = default_config(initial_cash=5000.0, sizing=SizingRules(fractional_shares=True))
    result = EventBacktester(panel, config, universe=universe).run(panel.sessions[300].astype(object))
    fresh = result.fills.filter((pl.col("kind") == "order") & (pl.col("reason") == "rebalance") & (pl.col("shares") % 1 != 0))
    fill = fresh.row(0, named=True)  # the first book is bought from nothing
    night = result.sessions[np.searchsorted(result.sessions, np.datetime64(fill["date"])) - 1].astype(object)
    target = result.explain(night, fill["symbol"]).found["target"]
    assert target["shares"] == fill["shares"] and target["wanted"] >= target["shares"]
    assert target["filtered"] is None


def orders_after(result, night):
    rows = result.orders.filter((pl.col("decided") == night) & (pl.col("kind") == "order"))
    return {row["symbol"]: row for row in rows.iter_rows(named=True)}


def test_contributions_sum_to_the_score(decided):
    scored = [found for found in decided[1].values() if not math.isnan(found.score)]
    assert len(scored) > 20
    for found in scored:
        assert sum(found.contributions.values()) == pytest.approx(found.score, abs=1e-12)


def test_every_order_and_every_fill_is_in_it_and_no_other(result, decided):
    night, found = decided
    orders = orders_after(result, night)
    assert len(orders) >= 5
    for symbol, why in found.items():
        if symbol not in orders:
            assert why.found["orders"] == [] and not [event for event in why.found["events"] if event["kind"] == "order"]
            continue
        (order,) = why.found["orders"]
        assert (order["shares"], order["state"], order["reason"]) == tuple(orders[symbol][name] for name in ("shares", "outcome", "reason"))
        assert order["session"] == orders[symbol]["date"]
        fill = next(event for event in why.found["fills"] if event["kind"] == "order")
        assert (fill["price"], fill["reference"]) == (orders[symbol]["price"], orders[symbol]["reference"])
        assert f"Fill {fill['session']}: {fill['shares']:+,} at" in why.text()


def test_sizes_lead_from_the_raw_one_to_the_order(result, decided):
    found = decided[1]
    selected = [why for why in found.values() if why.found["selected"]]
    top = result.config.strategy.selection.top + result.config.strategy.selection.bottom
    assert 5 <= len(selected) <= top
    bound = 0
    for why in selected:
        target = why.found["target"]
        if target is None:
            continue
        assert target["filtered"] or target["wanted"] == int(target["scaled"])
        assert abs(target["shares"]) <= abs(target["wanted"])
        bound += target["shares"] != target["wanted"]
        assert bool(target["binding"]) == (target["shares"] != target["wanted"])
        held = why.found["held"]["shares"] if why.found["held"] else 0
        ordered = why.found["orders"][0]["shares"] if why.found["orders"] else 0
        assert held + ordered == target["shares"]
    if result.config.strategy.sizing.method != "volatility_based":
        assert bound, "limits must have cut something in this test"


def test_holdings_levels_and_dates_are_those_of_that_close(result, decided):
    night, found = decided
    held = {row["symbol"]: row for row in result.holdings.filter(pl.col("date") == night).iter_rows(named=True)}
    assert {symbol for symbol, why in found.items() if why.found["held"]} == set(held)
    for symbol, row in held.items():
        line = found[symbol].found["held"]
        assert (line["shares"], line["mark"]) == (row["shares"], row["price"])
        if line["stop"] is not None:
            assert (line["stop"] - line["mark"]) * line["shares"] < 0, "a stop rests on the losing side"


def test_why_a_name_was_not_bought(decided):
    said = {why.verdict.split(symbol, 1)[1].split(":")[0] for symbol, why in decided[1].items() if not why.found["orders"] and not why.found["held"]}
    assert any("is not bought" in line for line in said)
    for why in decided[1].values():
        if why.found["excluded"]:
            assert math.isnan(why.score)


def test_a_night_without_a_decision_says_so(result, decided):
    night = result.sessions[result.equity["date"].to_list().index(decided[0]) + 1].astype(object)
    held = result.holdings.filter(pl.col("date") == night)["symbol"][0]
    why = result.explain(night, held)
    assert not why.found["scheduled"] and why.found["target"] is None and "The book is decided last on" in why.text()


def test_every_form_of_it(decided):
    why = next(why for why in decided[1].values() if why.found["selected"])
    assert why.verdict in why.text() and why.verdict in str(why) and "<table>" in why._repr_html_() and "nan" not in why.text().lower()
    assert json.loads(json.dumps(plain(why.as_dict()), allow_nan=False))["symbol"] == why.symbol


def test_a_loaded_run_explains_the_same(result, decided, market, tmp_path):
    night, found = decided
    loaded = BacktestResult.load(result.save(tmp_path / "run"), *market)
    symbol = next(symbol for symbol, why in found.items() if why.found["orders"])
    assert loaded.explain(str(night), symbol).as_dict() == found[symbol].as_dict()


def test_what_was_recorded_otherwise_is_refused(result, decided):
    from dataclasses import replace

    days = result.days.copy()
    days["cash"][3] += 1e-9
    with pytest.raises(UserError, match=r"(?s)must give what was recorded.*run the backtest again"):
        replace(result, days=days).explain(decided[0], result.symbols[0])


def test_a_wrong_date_or_symbol(result):
    first, last = result.sessions[[0, -1]].astype(object)
    with pytest.raises(InputError, match=rf"must be a session of the run, {first} to {last}"):
        result.explain(date(1999, 1, 4), result.symbols[0])
    with pytest.raises(InputError, match=r"(?s)must be a session of the run.*nearest one before it is"):
        result.explain("2023-07-04", result.symbols[0])
    with pytest.raises(InputError, match="a date like"):
        result.explain("yesterday", result.symbols[0])
    with pytest.raises(InputError, match=r"(?s)one of the panel's 40; got 'SYN0O1'.*did you mean SYN0"):
        result.explain(first, "SYN0O1")


class TestCallables:
    def night(self, run, row):
        return run.sessions[row].astype(object)

    def test_what_it_asked_and_what_the_limits_left(self, market):
        panel, universe = market
        names = [name for name, price in zip(panel.symbols, panel.close[600], strict=True) if price > 0][:2]

        def strategy(view, portfolio):
            return {names[0]: 0.5, names[1]: -0.05} if view.row == 600 else None

        limits = RiskLimits().model_copy(update={"position_sizing": RiskLimits().position_sizing.model_copy(update={"max_sector_exposure": None})})
        run = EventBacktester(panel, strategy, universe=universe, limits=limits).run()
        why = run.explain(self.night(run, 600), names[0])
        assert why.found["asked"] == {"value": 0.5, "unit": "weight", "order": "market_on_open", "order_price": None} and why.found["target"]["binding"] == "max_position"
        assert why.found["orders"][0]["shares"] == why.found["target"]["shares"] < why.found["target"]["wanted"]
        assert "asked for a weight of 0.5" in why.text() and "cut by max position" in why.text()
        other = next(name for name in panel.symbols if name not in names)
        assert "did not name it" in run.explain(self.night(run, 600), other).text()
        assert run.explain(self.night(run, 601), names[0]).found["scheduled"] is False

    def test_shares(self, market):
        panel, universe = market
        run = EventBacktester(panel, lambda view, _: shares({"SYN004": 7}), universe=universe).run(panel.sessions[600].astype(object))
        assert "asked for 7 shares" in run.explain(self.night(run, 0), "SYN004").text()

    def test_one_that_cannot_be_asked_again_shows_the_record(self, market, tmp_path):
        panel, universe = market
        rng = np.random.default_rng(1)
        run = EventBacktester(panel, lambda view, _: {"SYN004": float(rng.uniform(0, 0.3))}, universe=universe).run(panel.sessions[600].astype(object))
        fickle = run.explain(self.night(run, 10), "SYN004")
        assert "does not answer the same way twice" in fickle.text() and fickle.found["orders"][0]["shares"] == orders_after(run, self.night(run, 10))["SYN004"]["shares"]
        loaded = BacktestResult.load(run.save(tmp_path / "run"), panel, universe).explain(self.night(run, 10), "SYN004")
        assert "code is not saved" in loaded.text() and loaded.found["held"] == fickle.found["held"] is not None

    def test_a_loaded_one_is_asked_again_when_handed_in(self, market, tmp_path):
        panel, universe = market

        def strategy(view, portfolio):
            return {"SYN004": 0.2}

        run = EventBacktester(panel, strategy, universe=universe).run(panel.sessions[600].astype(object))
        loaded = BacktestResult.load(run.save(tmp_path / "run"), panel, universe, strategy)
        assert loaded.explain(self.night(run, 5), "SYN004").as_dict() == run.explain(self.night(run, 5), "SYN004").as_dict()
        assert loaded.explain(self.night(run, 5), "SYN004").found["asked"]["value"] == 0.2
