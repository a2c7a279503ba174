"""The engine against the naive account: random small markets, every event and every session's figures.

``ORACLE_EXAMPLES=20000`` makes the random search longer.
"""

from __future__ import annotations

import os
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from mech_exo.backtest import shares
from mech_exo.kernels.records import EventKind, Outcome, Reason
from tests.oracles.both_engines import asked, backtester_of, compare
from tests.oracles.naive_account import NaiveAccount
from tests.oracles.naive_orders import Wish
from tests.oracles.random_market import draw_flows, draw_market, draw_modest, draw_terms, draw_wishes, govern, panel_of

EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "700"))
DAYS, SYMBOLS = st.integers(5, 40), st.integers(1, 5)


@settings(max_examples=EXAMPLES)
@given(seed=st.integers(0, 2**40), days=DAYS, symbols=SYMBOLS, rough=st.booleans())
def test_random_markets_equal_the_naive_account(seed, days, symbols, rough):
    rng = random.Random(seed)
    market, terms, flows = draw_market(rng, days, symbols, rough=rough), draw_terms(rng), draw_flows(rng, days)
    size = rng.choice([3, 40, 150])

    def wishes(day):
        return draw_wishes(seed, day, market.closes[day], size, fractional=terms.fractional)

    def ours(view, portfolio):
        asks = wishes(view.row)
        return None if asks is None else shares(asked(asks))

    naive = NaiveAccount(market, terms).play(lambda day, nav: wishes(day), flows)
    compare(backtester_of(panel_of(market), ours, terms, flows).run(), naive, terms.cash)


@settings(max_examples=EXAMPLES // 4)
@given(seed=st.integers(0, 2**40), days=DAYS, symbols=SYMBOLS, rough=st.booleans(), often=st.booleans())
def test_governed_accounts_equal_the_naive_account(seed, days, symbols, rough, often):
    """The drawdown governor with everything else: shorts, fractions, carried orders, margin calls, time stops, rare and nightly decisions."""
    rng = random.Random(seed)
    market, terms, flows = draw_market(rng, days, symbols, rough=rough), draw_terms(rng), draw_flows(rng, days)
    govern(rng, terms)

    def wishes(day):
        return None if not often and day % 9 else draw_modest(seed, day, market.closes[day], fractional=terms.fractional)

    def ours(view, portfolio):
        asks = wishes(view.row)
        return None if asks is None else shares(asked(asks))

    naive = NaiveAccount(market, terms).play(lambda day, nav: wishes(day), flows)
    compare(backtester_of(panel_of(market), ours, terms, flows).run(), naive, terms.cash)


@settings(max_examples=max(20, EXAMPLES // 10))
@given(seed=st.integers(0, 2**40), days=DAYS, symbols=SYMBOLS)
def test_weights_are_rounded_down_shares_of_nav(seed, days, symbols):
    """A weight is |weight| × NAV / close shares, rounded down to lots; names without a bar are left out, as the engine demands."""
    rng = random.Random(seed)
    market, terms = draw_market(rng, days, symbols, rough=False), draw_terms(rng)
    flows = [0.0] * days

    def weights(day):
        wishes = draw_wishes(seed, day, market.closes[day], 100) or {}
        return {s: Wish(w.shares / 400, w.kind, w.price, w.keep) for s, w in wishes.items() if market.closes[day][s] is not None}

    def naive_shares(day, nav):
        prices = market.closes[day]
        counts = {s: terms.lots(w.shares * max(0.0, nav) / prices[s]) for s, w in weights(day).items()}
        return {s: Wish(counts[s], w.kind, w.price, w.keep) for s, w in weights(day).items()}

    naive = NaiveAccount(market, terms).play(naive_shares, flows)
    compare(backtester_of(panel_of(market), lambda view, portfolio: asked(weights(view.row)), terms, flows).run(), naive, terms.cash)


def test_the_random_markets_hold_everything():
    """The search above is worth its name only if each kind of event, outcome and reason comes up in it."""
    seen, pairs = set(), set()
    for seed in range(100):
        rng = random.Random(seed)
        market, terms = draw_market(rng, 40, 5, rough=True), draw_terms(rng)
        if seed % 2:
            govern(rng, terms)
        wishes = [draw_wishes(seed, day, closes, 40, fractional=terms.fractional) for day, closes in enumerate(market.closes)]
        account = NaiveAccount(market, terms).play(lambda day, nav, wishes=wishes: wishes[day], draw_flows(rng, 40))
        for event in account.log:
            seen |= {event["kind"], event["outcome"], event["reason"]}
            pairs.add((event["kind"], event["outcome"]))
    everything = {x.name.lower() for x in (*EventKind, *Outcome, *Reason)}
    assert everything - seen == {"none", "volatility_stop", "flatten"}  # the last is an operator's, never a decision's
    assert pairs >= {("order", outcome.name.lower()) for outcome in Outcome} | {("stop", "carried"), ("target", "carried")}
