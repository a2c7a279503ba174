"""Who may be bought: each reason by hand, their order, and the switches."""

from __future__ import annotations

import numpy as np
import pytest

from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.scoring import eligibility
from mech_exo.scoring.eligibility import Exclusion, exclusions
from mech_exo.utils.settings import UniverseRules

RULES = UniverseRules(min_price=5.0, min_dollar_volume=1000.0, dollar_volume_window=4)


def panel_of(close, volume):
    close = np.asarray(close, float)
    bars = dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": np.asarray(volume, float)}
    return BarPanel.from_arrays(np.datetime64("2020-01-01") + np.arange(len(close)), [f"S{j}" for j in range(close.shape[1])], bars)


def test_each_reason():
    nan = np.nan
    close = [[10, 10, 4, 10, nan, 10]] * 3 + [[10, nan, 4, 10, 10, 10]]
    volume = [[200, 200, 999, 50, nan, 200]] * 3 + [[200, nan, 999, 50, 200, 200]]
    panel = panel_of(close, volume)
    member = np.ones(panel.shape, bool)
    member[3, 5] = False
    universe = Universe(member, np.full(panel.shape, -1, np.int16))
    got = exclusions(panel, universe, np.array([3]), RULES)[0].tolist()
    wanted = ["NONE", "NO_BAR", "PRICE_TOO_LOW", "ILLIQUID", "LIQUIDITY_UNKNOWN", "NOT_A_MEMBER"]
    assert got == [Exclusion[name] for name in wanted]


def test_the_minimum_itself_is_enough():
    panel = panel_of([[5.0]] * 4, [[200]] * 4)
    assert exclusions(panel, Universe.everyone(panel), np.array([3]), RULES).tolist() == [[Exclusion.NONE]]


def test_half_the_window_must_be_observed():
    panel = panel_of([[10.0]] * 3, [[200]] * 3)
    got = exclusions(panel, Universe.everyone(panel), np.arange(3), RULES)[:, 0].tolist()
    assert got == [Exclusion.LIQUIDITY_UNKNOWN, Exclusion.NONE, Exclusion.NONE]


def test_a_listing_has_its_age_in_bars_and_days_without_one_do_not_count():
    nan = np.nan
    close = [[10.0, nan], [10.0, 10.0], [nan, 10.0], [10.0, 10.0], [10.0, 10.0]]
    panel = panel_of(close, np.where(np.isnan(close), nan, 200.0))
    rules = UniverseRules(min_price=0.0, min_dollar_volume=0.0, min_listing_sessions=3)
    got = exclusions(panel, Universe.everyone(panel), np.arange(5), rules).T.tolist()
    young, fine, none = Exclusion.NEWLY_LISTED, Exclusion.NONE, Exclusion.NO_BAR
    assert got == [[young, young, none, fine, fine], [none, young, young, fine, fine]]


def test_prices_are_levels_as_traded():
    panel = panel_of([[100.0], [100.0], [1.0]], [[1e4], [1e4], [1e6]])
    split = np.ones((3, 1))
    split[2] = 100.0
    fields = {name: getattr(panel, name) for name in ("open", "high", "low", "close", "volume")} | {"split_ratio": split}
    panel = BarPanel.from_arrays(panel.sessions, panel.symbols, fields)
    assert exclusions(panel, Universe.everyone(panel), np.array([1, 2]), RULES)[:, 0].tolist() == [Exclusion.NONE, Exclusion.PRICE_TOO_LOW]


def test_a_minimum_of_zero_computes_nothing(monkeypatch):
    def asked(*_):
        raise AssertionError("the median was computed")

    monkeypatch.setattr(eligibility, "product_median_reaches_rows", asked)
    panel = panel_of([[0.01]], [[np.nan]])
    off = UniverseRules(min_price=0.0, min_dollar_volume=0.0)
    assert exclusions(panel, Universe.everyone(panel), np.array([0]), off).tolist() == [[Exclusion.NONE]]
    with pytest.raises(AssertionError, match="the median was computed"):
        exclusions(panel, Universe.everyone(panel), np.array([0]), RULES)


def test_every_reason_has_words():
    assert [code.text for code in Exclusion if not code.text] == [""]
    assert len({code.text for code in Exclusion}) == len(Exclusion)
