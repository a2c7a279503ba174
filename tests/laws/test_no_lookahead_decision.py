"""Nothing from the future: corrupt everything after ``t`` and every order, level, event and figure up to ``t`` keeps its bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mech_exo.backtest.engine import EventBacktester
from mech_exo.domain.panel import BAR_FIELDS
from mech_exo.utils.settings import StopRules
from tests.backtest.driving import busy_config, default_config, played, sample

POISONS = ("nan", "scale", "noise", "delete", "delist", "revive", "actions", "members", "verdicts", "everything")
CONFIGS = {"default": default_config, "busy": busy_config}


@pytest.fixture(scope="module")
def market():
    panel, universe = sample(seed=11, symbols=40, years=3)
    return panel, replace(universe, verdict=np.random.default_rng(3).choice([0, 1, 2], panel.shape, p=[0.8, 0.1, 0.1]))


def poisoned(panel, universe, t, kind, seed):
    """The market with everything after row ``t`` corrupted."""
    rng, after, days = np.random.default_rng(seed), slice(t + 1, None), len(panel.sessions)
    fields = {name: getattr(panel, name).copy() for name in (*BAR_FIELDS, "split_ratio", "dividend", "delisted", "delisting_value")}
    member, sector, verdict = universe.member.copy(), universe.sector.copy(), universe.verdict.copy()
    some = rng.random(len(panel.symbols)) < 0.5
    later = fields["delisted"] > t
    for name in BAR_FIELDS:
        future = fields[name][after]
        if kind in ("nan", "everything"):
            future[:] = np.nan
        elif kind == "scale":
            future *= 1000.0
        elif kind == "noise":
            future[:] = rng.uniform(0.01, 1e4, future.shape)
        elif kind == "delete":
            future[:, some] = np.nan
    if kind in ("delist", "everything"):
        gone = some & later
        fields["delisted"][gone] = rng.integers(t + 1, days + 1, int(gone.sum()))
        fields["delisting_value"][gone] = 0.0
    if kind == "revive":
        fields["delisted"][later] = days + 5
        fields["delisting_value"][later] = np.nan
    if kind in ("actions", "everything"):
        future = fields["split_ratio"][after]
        future[rng.random(future.shape) < 0.05] = rng.choice([0.1, 1.5, 7.0])
        fields["dividend"][after] = 3.0
    if kind in ("members", "everything"):
        member[after] = ~member[after]
        sector[after] = rng.integers(-1, len(universe.sector_names), sector[after].shape)
    if kind in ("verdicts", "everything"):
        verdict[after] = 2 - verdict[after]
    return replace(panel, **fields), replace(universe, member=member, sector=sector, verdict=verdict)


@settings(max_examples=60)
@given(name=st.sampled_from(sorted(CONFIGS)), t=st.integers(260, 740), kind=st.sampled_from(POISONS), seed=st.integers(0, 2**32))
def test_decisions_do_not_move(market, name, t, kind, seed):
    panel, universe = market
    other_panel, other_universe = poisoned(panel, universe, t, kind, seed)
    config = CONFIGS[name]()
    assert played(panel, universe, config, t + 1).bits(t) == played(other_panel, other_universe, config, t + 1).bits(t)


@given(t=st.integers(260, 740), kind=st.sampled_from(POISONS), seed=st.integers(0, 2**32))
def test_a_whole_backtest_keeps_its_past(market, t, kind, seed):
    """Played to the end, not stopped at ``t``: what comes later does not reach back."""
    panel, universe = market
    clean = EventBacktester(panel, busy_config(), universe=universe).run()
    other_panel, other_universe = poisoned(panel, universe, t, kind, seed)
    dirty = EventBacktester(other_panel, busy_config(), universe=other_universe).run()
    assert clean.days[: t + 1].tobytes() == dirty.days[: t + 1].tobytes()
    assert clean.events[clean.events["row"] <= t].tobytes() == dirty.events[dirty.events["row"] <= t].tobytes()


@settings(max_examples=15)
@given(t=st.integers(30, 740), kind=st.sampled_from(POISONS), seed=st.integers(0, 2**32))
def test_callables_see_only_the_past(market, t, kind, seed):
    panel, universe = market

    def run(panel, universe):
        return EventBacktester(panel, nosy, universe=universe, stops=StopRules(), initial_cash=1e5).run()

    clean, dirty = run(panel, universe), run(*poisoned(panel, universe, t, kind, seed))
    assert clean.days[: t + 1].tobytes() == dirty.days[: t + 1].tobytes()
    assert clean.events[clean.events["row"] <= t].tobytes() == dirty.events[dirty.events["row"] <= t].tobytes()
    assert len(clean.events) > 100


def nosy(view, portfolio):
    """Looks at whatever a view offers, up to its very last row, every fifth session."""
    if view.row % 5:
        return None
    panel, members = view.panel, view.universe
    assert len(panel.sessions) == len(members.member) == len(view.close) == view.row + 1
    assert panel.sessions[-1] == np.datetime64(view.as_of) and (panel.delisted <= view.row + 1).all()
    tonight = panel.close[-1] * (1 + panel.dividend[-1]) + panel.volume[-1] % 7 + panel.split_ratio[-1] + panel.high[-1] - panel.low[-1]
    tonight = np.where(members.member[-1] & (members.sector[-1] >= 0) & (panel.delisted > view.row), tonight, np.nan)
    known = np.flatnonzero(~np.isnan(tonight) & ~np.isnan(view.price))
    chosen = known[np.argsort(tonight[known], kind="stable")[:8]]
    return {view.symbols[s]: 0.1 for s in chosen}


def test_the_poison_is_not_harmless(market):
    """Later the same corruption does change what happens: the laws above could fail."""
    panel, universe = market
    clean = EventBacktester(panel, busy_config(), universe=universe).run()
    for kind in set(POISONS) - {"revive"}:  # nobody need be delisted while held
        other_panel, other_universe = poisoned(panel, universe, 400, kind, 1)
        dirty = EventBacktester(other_panel, busy_config(), universe=other_universe).run()
        assert clean.days.tobytes() != dirty.days.tobytes(), kind
