"""The engine against naive engines written from the same rule book: the two workloads to the cent, and random small markets in full.

``ORACLE_EXAMPLES=20000`` makes the random search longer.
"""

from __future__ import annotations

import importlib.util
import math
import os
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mech_exo.backtest.engine import EventBacktester
from mech_exo.decision.tickets import shares
from mech_exo.domain.panel import BarPanel
from mech_exo.kernels.records import DAY, EventKind, Outcome, Reason
from mech_exo.utils.settings import CostModel, StopRules
from tests.oracles import market
from tests.oracles.naive_engine import NaiveAccount, NaiveMarket, Terms, rotation
from tests.oracles.workloads import CASH, COSTS, STOPS, callable_rotation, configured

EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "400"))
KNOWN = {
    ("W1", 100): (647217.05, 2682), ("W1", 500): (974775.02, 2916), ("W1", 3000): (735091.38, 3079),
    ("W2", 100): (663363.12, 2979), ("W2", 500): (1039850.92, 3209), ("W2", 3000): (735460.63, 3382),
}  # fmt: skip
"""Final equity and orders of the reference simulator on its own market."""


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


@pytest.mark.parametrize("symbols", [100, 500, 3000])
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


# --- random small markets ------------------------------------------------------------------------------------------------------------

SPLITS = (2.0, 3.0, 1.5, 0.1, 1 / 3, 1 / 49, 7 / 5, 4.0)


def draw_market(rng: random.Random, days, symbols, *, rough):
    """Random walks with everything a market does to an account; ``rough`` also loses single prices out of a bar."""
    rows = {name: [[None] * symbols for _ in range(days)] for name in ("open", "high", "low", "close", "volume")}
    splits = [[1.0] * symbols for _ in range(days)]
    dividends = [[0.0] * symbols for _ in range(days)]
    gone = [None] * symbols
    for s in range(symbols):
        price, quiet = rng.uniform(5, 120), 0
        if rng.random() < 0.3:
            gone[s] = (rng.randrange(days), rng.choice([None, None, 0.0, price * 0.5]))
        for t in range(days):
            if rng.random() < 0.04:
                splits[t][s] = rng.choice(SPLITS)
                price /= splits[t][s]
            if rng.random() < 0.06:
                dividends[t][s] = round(price * 0.02, 4)
            if quiet == 0 and rng.random() < 0.03:
                quiet = rng.choice([1, 2, 6])
            opened = price * math.exp(rng.gauss(0, 0.03))
            closed = opened * math.exp(rng.gauss(0, 0.04))
            price = closed
            if gone[s] is not None and t >= gone[s][0]:
                continue
            if quiet:
                quiet -= 1
                continue
            high, low = max(opened, closed) * (1 + abs(rng.gauss(0, 0.02))), min(opened, closed) * (1 - abs(rng.gauss(0, 0.02)))
            bar = {"open": opened, "high": high, "low": low, "close": closed, "volume": float(rng.randrange(100, 100_000))}
            for name, value in bar.items():
                if not (rough and rng.random() < 0.05):
                    rows[name][t][s] = value
    return NaiveMarket(rows["open"], rows["high"], rows["low"], rows["close"], rows["volume"], splits, dividends, gone)


def panel_of(naive: NaiveMarket) -> BarPanel:
    def array(rows):
        return np.array([[math.nan if x is None else x for x in row] for row in rows])

    days, symbols = naive.days, naive.symbols
    bars = {"open": naive.opens, "high": naive.highs, "low": naive.lows, "close": naive.closes, "volume": naive.volumes}
    arrays = {name: array(rows) for name, rows in bars.items()} | {"split_ratio": array(naive.splits), "dividend": array(naive.dividends)}
    arrays["delisted"] = np.array([days if end is None else end[0] for end in naive.gone])
    arrays["delisting_value"] = np.array([math.nan if end is None or end[1] is None else end[1] for end in naive.gone])
    sessions = np.datetime64("2020-01-01") + np.arange(days)
    return BarPanel.from_arrays(sessions, [f"S{s}" for s in range(symbols)], arrays)


def draw_wish(seed, day, symbols, size):
    """What is wanted that day: None, or signed shares of some symbols; a function of its arguments alone."""
    rng = random.Random(f"{seed}/{day}")
    if rng.random() < 0.5:
        return None
    return {s: rng.randint(-size, size) for s in range(symbols) if rng.random() < 0.6}


def draw_terms(rng: random.Random):
    def maybe(*values):
        return rng.choice([None, *values])

    return Terms(
        cash=rng.choice([3_000.0, 100_000.0, 100_000.0]), per_share=rng.choice([0.0, 0.005, 0.05]), minimum=rng.choice([0.0, 1.0, 5.0]),
        cap=maybe(0.01, 0.001), slippage=rng.choice([0.0, 0.0005, 0.01]), impact=rng.choice([0.0, 0.0, 0.7]),
        impact_window=rng.choice([4, 10]), cash_rate=rng.choice([0.0, 0.04, -0.01]), margin_rate=rng.choice([0.0, 0.08]),
        borrow_rate=rng.choice([0.0, 0.03]), patience=rng.choice([1, 2, 5]), hard=maybe(0.03, 0.1), trailing=maybe(0.04, 0.12),
        target=maybe(0.05, 0.2, 1.5), time=maybe(1, 3, 8), at_entry=rng.random() < 0.6,
    )  # fmt: skip


def backtester_of(panel, function, terms: Terms, flows):
    costs = CostModel(
        commission="custom", per_share=terms.per_share, min_order=terms.minimum, max_fraction=terms.cap, slippage_bps=terms.slippage * 1e4,
        impact=terms.impact, impact_window=terms.impact_window, cash_rate=terms.cash_rate, margin_rate=terms.margin_rate,
        borrow_rate=terms.borrow_rate,
    )  # fmt: skip
    stops = StopRules(
        hard=terms.hard, trailing=terms.trailing, target=terms.target, time_sessions=terms.time, volatility_atr=None,
        active_on_entry=terms.at_entry,
    )  # fmt: skip
    made = EventBacktester(panel, function, costs=costs, initial_cash=terms.cash, stops=stops, flows=np.array(flows))
    made.config = made.config.model_copy(
        update={"strategy": made.config.strategy.model_copy(update={"max_missing_sessions": terms.patience})}
    )
    return made


def close_to(ours, theirs, scale=1.0):
    if theirs is None:
        return math.isnan(ours)
    return ours == pytest.approx(theirs, rel=1e-9, abs=1e-9 * scale)


def compare(result, naive: NaiveAccount, scale):
    events = result.events
    for place, theirs in enumerate(naive.log):
        assert place < len(events), f"not said: {theirs}"
        ours = dict(zip(events.dtype.names, events[place].tolist(), strict=True))
        words = (EventKind(ours["kind"]).name.lower(), Outcome(ours["outcome"]).name.lower(), Reason(ours["reason"]).name.lower())
        assert (ours["row"], ours["symbol"], *words, ours["shares"]) == (
            theirs["row"], theirs["symbol"], theirs["kind"], theirs["outcome"], theirs["reason"], theirs["shares"],
        ), (place, ours, theirs)  # fmt: skip
        for name in ("price", "reference", "commission", "cash"):
            assert close_to(ours[name], theirs[name], scale), (name, ours, theirs)
    assert len(events) == len(naive.log)
    for row, theirs in enumerate(naive.book):
        for name in (set(DAY.names or ()) - {"state"}):
            assert close_to(result.days[name][row], theirs[name], scale), (row, name, result.days[name][row], theirs[name])


@settings(max_examples=EXAMPLES)
@given(seed=st.integers(0, 2**40), days=st.integers(5, 40), symbols=st.integers(1, 5), rough=st.booleans())
def test_random_markets_equal_the_naive_account(seed, days, symbols, rough):
    rng = random.Random(seed)
    naive_market, terms = draw_market(rng, days, symbols, rough=rough), draw_terms(rng)
    flows = [0.0] + [rng.choice([0.0, 0.0, 0.0, 0.0, 500.0, -300.0]) for _ in range(days - 1)]
    size = rng.choice([3, 40])
    panel = panel_of(naive_market)
    naive = NaiveAccount(naive_market, terms).play(lambda day, nav: draw_wish(seed, day, symbols, size), flows)

    def ours(view, portfolio):
        wish = draw_wish(seed, view.row, symbols, size)
        return None if wish is None else shares({f"S{s}": count for s, count in wish.items()})

    compare(backtester_of(panel, ours, terms, flows).run(), naive, terms.cash)


@settings(max_examples=max(20, EXAMPLES // 8))
@given(seed=st.integers(0, 2**40), days=st.integers(5, 40), symbols=st.integers(1, 5))
def test_weights_are_rounded_down_shares_of_nav(seed, days, symbols):
    """A weight is floor(|weight| × NAV / close) shares; names without a bar are left out, as the engine demands."""
    rng = random.Random(seed)
    naive_market, terms = draw_market(rng, days, symbols, rough=False), draw_terms(rng)
    flows = [0.0] * days

    def weights(day):
        wish = draw_wish(seed, day, symbols, 100) or {}
        return {s: count / 400 for s, count in wish.items() if naive_market.closes[day][s] is not None}

    def naive_shares(day, nav):
        prices = naive_market.closes[day]
        return {s: int(math.copysign(math.floor(abs(w) * nav / prices[s]), w)) for s, w in weights(day).items()}

    def ours(view, portfolio):
        return {f"S{s}": weight for s, weight in weights(view.row).items()}

    naive = NaiveAccount(naive_market, terms).play(naive_shares, flows)
    compare(backtester_of(panel_of(naive_market), ours, terms, flows).run(), naive, terms.cash)


def test_the_random_markets_hold_everything():
    """The search above is worth its name only if each kind of event, outcome and reason comes up in it."""
    seen = set()
    for seed in range(60):
        rng = random.Random(seed)
        naive_market, terms = draw_market(rng, 40, 5, rough=True), draw_terms(rng)
        account = NaiveAccount(naive_market, terms).play(lambda day, nav, seed=seed: draw_wish(seed, day, 5, 40), [0.0] * 40)
        for event in account.log:
            seen |= {event["kind"], event["outcome"], event["reason"]}
    everything = {x.name.lower() for x in (*EventKind, *Outcome, *Reason)}
    assert everything - seen == {"none", "volatility_stop"}
