"""The engine against a naive engine and the reference simulator on the two workloads: to the cent, order by order."""

from __future__ import annotations

import importlib.util
import os

import numpy as np
import pytest

from mech_exo.backtest.engine import EventBacktester
from mech_exo.domain.panel import BarPanel
from mech_exo.kernels.records import EventKind
from tests.oracles import market
from tests.oracles.naive_engine import rotation
from tests.oracles.workloads import CASH, COSTS, STOPS, callable_rotation, configured

KNOWN = {
    ("W1", 100): (647217.05, 2682), ("W1", 500): (974775.02, 2916), ("W1", 3000): (735091.38, 3079),
    ("W2", 100): (663363.12, 2979), ("W2", 500): (1039850.92, 3209), ("W2", 3000): (735460.63, 3382),
}  # fmt: skip
"""Final equity and orders of the reference simulator on its own market."""


LARGE = [3000] if "ORACLE_EXAMPLES" in os.environ else []
"""In a campaign; otherwise the reference simulator below is the one that plays 3,000 names."""


def lists(bars):
    return [bars[name].tolist() for name in ("open", "high", "low", "close")]


def same_run(result, equity, orders):
    """Equity to the cent in every session, and order by order: day, symbol, shares, price."""
    assert np.abs(result.days["nav"] - equity).max() < 0.005
    filled = result.events
    assert len(filled) == len(orders)
    for event, (day, symbol, count, price, is_stop) in zip(filled.tolist(), orders, strict=True):
        got = dict(zip(filled.dtype.names, event, strict=True))
        assert (got["row"], got["symbol"], got["shares"], got["kind"] == EventKind.STOP) == (day, symbol, count, is_stop)
        assert got["price"] == pytest.approx(price, rel=1e-12)


@pytest.mark.parametrize("symbols", [100, 500, *LARGE])
@pytest.mark.parametrize("workload", ["W1", "W2"])
def test_workloads_equal_the_naive_engine(workload, symbols, oracle_markets):
    panel = oracle_markets(symbols)
    naive = rotation(*lists({name: getattr(panel, name) for name in market.FIELDS}), stops=workload == "W2")
    result = EventBacktester(panel, configured(panel, workload)).run()
    same_run(result, naive.equity, naive.orders)
    assert round(result.metrics["final_equity"], 2) == round(naive.final, 2)
    assert (result.metrics["orders"], result.metrics["stop_outs"]) == (len(naive.orders), naive.stop_outs)
    assert naive.stop_outs > 300 if workload == "W2" else naive.stop_outs == 0


@pytest.mark.parametrize("workload", ["W1", "W2"])
def test_a_callable_plays_the_same_workload(workload, oracle_markets):
    panel = oracle_markets(100)
    by_config = EventBacktester(panel, configured(panel, workload)).run()
    by_call = EventBacktester(panel, callable_rotation, costs=COSTS, initial_cash=CASH, stops=STOPS[workload]).run()
    assert by_call.days.tobytes() == by_config.days.tobytes()
    assert by_call.events.tobytes() == by_config.events.tobytes()


@pytest.mark.parametrize("symbols", [100, 500, pytest.param(3000, marks=pytest.mark.slow)])
def test_workloads_equal_the_reference_simulator(symbols, shared):
    reference, peers_market = module(shared("peers/reference.py")), module(shared("peers/market.py"))
    bars = peers_market.make(symbols, 2520)
    panel = BarPanel.from_arrays(peers_market.sessions(2520), peers_market.names(symbols), bars)
    for workload in ("W1", "W2"):
        fills = []
        theirs = reference.run(*lists(bars), stops=workload == "W2", fills=fills)
        result = EventBacktester(panel, configured(panel, workload)).run()
        assert (round(result.metrics["final_equity"], 2), result.metrics["orders"]) == KNOWN[workload, symbols]
        assert (round(theirs["final"], 2), theirs["orders"]) == KNOWN[workload, symbols]
        assert result.metrics["stop_outs"] == theirs["stopouts"]
        assert np.abs(result.days["nav"] - theirs["equity"]).max() < 0.005
        mine = result.events[["row", "symbol", "shares"]].tolist()
        assert mine == [(day, symbol, count) for day, symbol, count, _ in fills]


def module(path):
    """A Python file from outside the project, run under a name of its own."""
    spec = importlib.util.spec_from_file_location(f"reference_{path.stem}", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="module")
def oracle_markets():
    made = {}

    def get(symbols):
        if symbols not in made:
            made[symbols] = market.panel(symbols)
        return made[symbols]

    return get
