"""Two drivers, one ``step`` and one ``decide_row``: however the sessions are played, the bits are the same."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mech_exo.backtest.engine import EventBacktester
from mech_exo.domain.panel import BarPanel
from mech_exo.kernels.records import EventKind, Reason
from tests.backtest.driving import busy_config, default_config, played, sized_config

CONFIGS = {
    "default": default_config,
    "busy": busy_config,
    "by score, filtered": lambda: sized_config(
        method="score_weighted", lot_size=5, min_position_value=2000.0, cost_filter={"information_coefficient": 0.05, "multiple": 0.5}
    ),
    "minimum variance": lambda: sized_config(method="minimum_variance", covariance_window=60),
    "Kelly after risk parity": lambda: sized_config(
        method="kelly", until_measured="risk_parity", kelly_min_trades=30, kelly_fraction=1.0, covariance_window=60
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_compiled_equals_python_row_by_row(name, small_market):
    panel, universe = small_market
    last = len(panel.sessions)
    fast = played(panel, universe, CONFIGS[name](), last)
    slow = played(panel, universe, CONFIGS[name](), last, compiled=False)
    assert fast.bits(last) == slow.bits(last)
    kinds = set(fast.happened["kind"])
    assert {EventKind.ORDER, EventKind.STOP, EventKind.DIVIDEND} <= kinds, "the market must put something to the test"
    if name == "busy":
        assert EventKind.SPLIT in kinds and EventKind.TARGET in kinds and (fast.happened["reason"] == Reason.TIME_STOP).any()
        assert (fast.happened["shares"][fast.happened["kind"] == EventKind.ORDER] < 0).any()


@pytest.mark.parametrize("name", CONFIGS)
def test_a_session_played_tonight_is_the_session_of_the_backtest(name, small_market):
    """Features of one row alone, over the panel as it stood that night, decide what the whole history decided."""
    panel, universe = small_market
    config = CONFIGS[name]()
    for t in (300, 420, 555):
        whole = played(panel, universe, config, t + 1)
        cut = played(panel.upto(t), universe.rows(0, t + 1), config, t + 1)
        assert whole.bits(t) == cut.bits(t)


def test_chunks_and_threads_change_nothing(small_market):
    panel, universe = small_market
    plain = EventBacktester(panel, busy_config(), universe=universe).run()
    told = []
    chunked = EventBacktester(panel, busy_config(), universe=universe).run(progress=lambda done, of: told.append((done, of)))
    with ThreadPoolExecutor(4) as pool:
        threads = list(pool.map(lambda _: EventBacktester(panel, busy_config(), universe=universe).run(), range(8)))
    for other in (chunked, *threads):
        assert other.days.tobytes() == plain.days.tobytes() and other.events.tobytes() == plain.events.tobytes()
        assert other.run_id == plain.run_id
    total = len(panel.sessions)
    assert told == [(min(done, total), total) for done in range(252, total + 252, 252)]


def test_a_late_start_uses_history_but_plays_only_its_period(small_market):
    panel, universe = small_market
    start, end = panel.sessions[400].astype(object), panel.sessions[600].astype(object)
    result = EventBacktester(panel, default_config(), universe=universe).run(start, end)
    by_hand = played(panel, universe, default_config(), 601, first=400)
    assert result.days.tobytes() == by_hand.days[400:601].tobytes()
    assert np.array_equal(result.events["row"] + 400, by_hand.happened["row"]) and len(result.events) > 20
    assert (result.sessions[0].astype(object), result.sessions[-1].astype(object)) == (start, end)


def test_memory_layout_and_event_buffer_do_not_matter(small_market):
    """A Fortran-ordered, writable copy of the market gives the same bits."""
    panel, universe = small_market
    names = ("open", "high", "low", "close", "volume", "split_ratio", "dividend")
    bars = {name: np.asfortranarray(getattr(panel, name)) for name in names}
    again = BarPanel.from_arrays(panel.sessions, panel.symbols, bars | {"delisted": panel.delisted, "delisting_value": panel.delisting_value})
    assert again.data_hash() == panel.data_hash()
    last = len(panel.sessions)
    assert played(again, universe, busy_config(), last).bits(last) == played(panel, universe, busy_config(), last).bits(last)
