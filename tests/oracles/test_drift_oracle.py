"""Drift against two references: the replay is the backtester's own run, and whatever a ledger says, the parts add up to the difference."""

from __future__ import annotations

import dataclasses
import functools
import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mech_exo.assembly import Workspace
from mech_exo.backtest.engine import EventBacktester
from mech_exo.decision.night import Known
from mech_exo.domain.orders import OrderReason
from mech_exo.domain.verdict import RiskState
from mech_exo.execution.ledger import Ledger
from mech_exo.reporting.drift import drift
from mech_exo.reporting.drift import report as module
from mech_exo.reporting.drift.facts import Account, BookedNight, Told, Traded, booked
from mech_exo.utils.settings import Config
from tests.session.stage import days, decide_every, play, stored

NIGHTS = days("2021-06-21", 12)
MISSED = NIGHTS[4]


class House(Workspace):
    """The workspace, reading the store once for all examples."""

    @functools.cached_property
    def _now(self) -> Known:
        return self.known()

    def known_with(self, config: Config, as_of: date | None = None, recorded_by: object = None) -> Known:
        assert as_of is None and recorded_by is None and config is not None
        return self._now


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Ledger]]:
    """Twelve nights, one of which was not run."""
    home = stored(tmp_path_factory.mktemp("oracle") / "w")
    decide_every(home, 4)
    play(home, [night for night in NIGHTS if night != MISSED])
    workspace = Workspace.open(home)
    house = House(workspace.home, workspace.config)
    with house.ledger(read_only=True) as ledger:
        yield house, ledger
    shutil.rmtree(home)


def test_the_replay_is_the_backtest(played: tuple[House, Ledger]) -> None:
    house, ledger = played
    known = house.known()
    result = EventBacktester(known.panel, house.strategy, universe=known.universe).run(NIGHTS[0], NIGHTS[-1])
    found = drift(house, ledger, house.book_id())
    assert [day.session for day in found.days] == result.sessions.astype(object).tolist()
    nav = np.concatenate([[100_000.0], result.days["nav"]])
    assert [day.replay_pnl for day in found.days] == np.diff(nav).tolist(), "to the last bit"
    assert found.parts.missed != 0.0 and abs(found.parts.residual) < 0.005


figures = st.floats(0.5, 400.0)
shares = st.integers(-400, 400).filter(bool).map(float)
trades = st.none() | st.builds(
    Traded, shares=shares, price=figures, reference=figures | st.just(math.nan), commission=st.floats(0.0, 50.0),
    kind=st.sampled_from(["stop", "target"]), reason=st.sampled_from([OrderReason.HARD_STOP, OrderReason.FLATTEN]),
)  # fmt: skip
disturbances = st.fixed_dictionaries(
    {},
    optional={
        "traded": trades, "exit": trades, "flattened": trades, "given": trades, "ordered": shares, "withdrawn": shares,
        "ending": st.sampled_from(["", "carried", "expired", "no_bar"]), "split": st.sampled_from([1.0, 0.5, 2.0]),
        "dividend": st.floats(0.0, 2.0), "ended": st.none() | figures,
    },
)  # fmt: skip


@st.composite
def stories(draw: st.DrawFn, account: Account) -> Account:
    """The account with anything the ledger might have told instead, whether or not it makes sense."""
    nights: list[BookedNight] = []
    for night in account.nights:
        told = dict(night.told)
        for symbol in draw(st.lists(st.sampled_from(sorted(told) or ["SYN001"]), max_size=3, unique=True)):
            told[symbol] = replace(told.get(symbol, Told()), **draw(disturbances))
        state = draw(st.sampled_from([RiskState.ACTIVE, RiskState.HALTED]))
        day = dataclasses.replace(night.day, nav=night.day.nav + draw(st.floats(-500.0, 500.0)), state=state)
        received = {draw(st.sampled_from([None, *told])): draw(st.floats(-1e3, 1e3))} if draw(st.booleans()) else {}
        decided = night.decided if nights == [] or draw(st.integers(0, 4)) else None
        nights.append(replace(night, told=told, day=day, received=received, decided=decided))
    return replace(account, nights=tuple(nights))


@settings(max_examples=max(12, settings.default.max_examples // 40), deadline=None)  # a whole account each
@given(data=st.data())
def test_whatever_happened_the_parts_add_up(data: st.DataObject, played: tuple[House, Ledger]) -> None:
    house, ledger = played
    story = data.draw(stories(booked(ledger, house.book_id())))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "booked", lambda *_: story)
        found = drift(house, ledger, house.book_id())
    for day, night in zip(found.days, story.nights, strict=True):
        assert day.session == night.session and all(math.isfinite(value) for value in dataclasses.asdict(day.parts).values())
        assert day.parts.total == pytest.approx(day.live_pnl - day.replay_pnl, abs=1e-7)
    assert found.parts.total == pytest.approx(found.drift, abs=1e-6)
    assert found.live_pnl == pytest.approx(story.nights[-1].day.nav - story.opening, abs=1e-6)
