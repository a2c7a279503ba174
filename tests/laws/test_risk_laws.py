"""What holds of every plan whatever the limits: approved is never more than wanted, satisfies everything at once, and stays approved."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from mech_exo.domain.orders import OrderReason
from mech_exo.domain.verdict import BreachCode, RiskState
from mech_exo.kernels import records
from mech_exo.risk.rules import Falls, Rule, drawdown, position_shares, risk_state, trade_risk_shares
from mech_exo.sizing import methods
from tests.oracles.naive_risk import Name, at_risk, increases, violations
from tests.risk.plans import MARKET, NO_LIMITS, RARE_VALUES, UNKNOWN, judged, limits, navs, past_of, plans, prices, scales, states

MANY = settings(max_examples=int(os.environ.get("LAW_EXAMPLES", "120")))
"""Twice what the seeded bugs of ``tests/faults/mutants.py`` need to be noticed, each of them."""


def named(wanted, price=100.0, held=0.0, sector=0, stop=math.nan, mark=math.nan):
    return Name(wanted, held, price, sector, stop, mark)


HEDGE_LOST = [named(7.0, 1.0), named(-100.0, 1.0), named(-1.0, 1.0)]  # the short side is cut further than net alone would
UNCOVERED = [named(-50.0, 1.0, held=-50.0), named(50.0, 1.0)]  # in REDUCING the hedge is denied, so the short side must shrink


@MANY
@given(plans(), navs, states, limits(), scales)
@example(HEDGE_LOST, 100.0, "active", NO_LIMITS._replace(position=0.01, net=0.05), 1.0)
@example(UNCOVERED, 100.0, "reducing", NO_LIMITS._replace(net=0.1), 1.0)
def test_every_approved_book_satisfies_every_rule_at_once(plan, nav, state, limit, scale):
    targets = judged(plan, nav, limit, state, scale=scale).targets
    assert violations(plan, targets, nav, state, limit, MARKET, scale) == []


@MANY
@given(plans(), navs, states, limits(), scales)
@example(HEDGE_LOST, 100.0, "active", NO_LIMITS._replace(position=0.01, net=0.05), 1.0)
@example(UNCOVERED, 100.0, "reducing", NO_LIMITS._replace(net=0.1), 1.0)
def test_approving_the_approved_changes_nothing(plan, nav, state, limit, scale):
    once = judged(plan, nav, limit, state, scale=scale).targets
    again = judged([replace(n, wanted=t) for t, n in zip(once, plan, strict=True)], nav, limit, state, scale=scale)
    assert again.targets == once
    assert not any(again.bindings)


@MANY
@given(plans(), navs, states, limits(), st.randoms())
def test_the_order_of_symbols_does_not_matter(plan, nav, state, limit, random):
    order = list(range(len(plan)))
    random.shuffle(order)
    straight, mixed = judged(plan, nav, limit, state), judged([plan[i] for i in order], nav, limit, state)
    assert [straight.targets[i] for i in order] == mixed.targets
    assert [straight.bindings[i] for i in order] == mixed.bindings


CORE = ("trade_risk", "position", "sector", "gross", "leverage", "net")


@st.composite
def tightened(draw, limit):
    """A limit, and the same with one of its figures stricter."""
    what = draw(st.sampled_from([*CORE, "gap_share", "shorts", "exit_participation", *RARE_VALUES]))
    if what == "gap_share":
        return limit._replace(gap_share=draw(st.floats(max(0.9, limit.gap_share), 1.0)))
    if what == "shorts":
        return limit._replace(rare=limit.rare._replace(shorts=draw(st.integers(limit.rare.shorts, 2))))
    holder = limit if what in CORE else limit.rare
    before, factor = getattr(holder, what), draw(st.floats(0.01, 1.0))
    now = before * factor if math.isfinite(before) else draw(st.sampled_from(RARE_VALUES.get(what, [0.3])))
    changed = holder._replace(**{what: now})
    return changed if what in CORE else limit._replace(rare=changed)


@MANY
@given(plans(), navs, states, limits(), scales, st.data())
def test_tightening_any_limit_never_enlarges_any_position(plan, nav, state, limit, scale, data):
    tighter = data.draw(tightened(limit))
    stricter = scale if math.isnan(scale) else scale * data.draw(st.sampled_from([1.0, 0.5, 0.0]))
    loose, tight = judged(plan, nav, limit, state, scale=scale), judged(plan, nav, tighter, state, scale=stricter)
    assert all(abs(b) <= abs(a) for a, b in zip(loose.targets, tight.targets, strict=True))


@given(plans(), navs, limits(), scales)
def test_reducing_and_halted_never_increase_anything(plan, nav, limit, scale):
    for state in ("reducing", "halted"):
        targets = judged(plan, nav, limit, state, scale=scale).targets
        assert not any(increases(target, name.held) for target, name in zip(targets, plan, strict=True))


def reduced(wanted, held):
    """What is left of a wish when only reductions pass."""
    if wanted * held <= 0:
        return 0.0
    return math.copysign(min(abs(wanted), abs(held)), wanted)


@given(plans(unknown=False), navs, st.sampled_from(["price", "nav", "sector", "state", "data"]), st.sampled_from(UNKNOWN))
def test_unknown_denies_an_increase_and_lets_every_reduction_pass(plan, nav, what, value):
    limit = NO_LIMITS._replace(sector=1e6)
    if what == "price":
        plan = [replace(n, price=value) for n in plan]
    if what == "sector":
        plan = [replace(n, sector=-1) for n in plan]
    if what == "data":
        plan = [replace(n, verdict=2) for n in plan]
    verdict = judged(plan, value if what == "nav" else nav, limit, "reducing" if what == "state" else "active")
    assert verdict.targets == [reduced(n.wanted, n.held) for n in plan]
    if any(increases(n.wanted, n.held) for n in plan):
        rule = {"price": "UNKNOWN_PRICE", "nav": "UNKNOWN_NAV", "sector": "UNKNOWN_SECTOR", "data": "DATA_QUALITY", "state": "DRAWDOWN"}[what]
        said = {"STALE_PRICE": "UNKNOWN_PRICE"}  # of who has a mark: an older close
        assert rule in {said.get(name, name) for name, _ in verdict.breaches}


@given(plans(unknown=False), navs)
def test_without_limits_everything_wanted_is_approved(plan, nav):
    verdict = judged(plan, nav, NO_LIMITS)
    assert verdict.targets == [n.wanted for n in plan]
    assert verdict.breaches == []


@given(plans(), navs, limits(), st.sampled_from([math.nan, math.inf, -math.inf]), st.integers(0, 6))
def test_an_unknown_size_is_no_size(plan, nav, limit, size, at):
    at %= len(plan)
    plan[at] = replace(plan[at], wanted=size)
    targets = judged(plan, nav, limit).targets
    assert targets[at] == 0.0
    assert all(math.isfinite(target) for target in targets)


cents = st.integers(1, 100_000).map(lambda k: Decimal(k) / 100)
shares_of_nav = st.integers(1, 400).map(lambda k: Decimal(k) / 100)


def whole_within(limit, nav, price):
    return int((limit * nav / price).to_integral_value(ROUND_FLOOR))


@MANY
@given(shares_of_nav, st.integers(1000, 10**8).map(Decimal), cents)
@example(Decimal("0.29"), Decimal(1000), Decimal(1))
def test_one_share_more_than_the_limit_flips_the_verdict(limit, nav, price):
    allowed = whole_within(limit, nav, price)
    params = NO_LIMITS._replace(position=float(limit))
    if allowed:
        at = judged([named(float(allowed), float(price))], float(nav), params)
        assert at.targets == [allowed] and at.breaches == []
    beyond = judged([named(-float(allowed + 1), float(price))], float(nav), params)
    assert beyond.targets == [-allowed]
    assert beyond.breaches == [("POSITION", 0)] and beyond.bindings == [Rule.POSITION]


@MANY
@given(st.sampled_from(["sector", "gross", "leverage", "net"]), shares_of_nav, st.integers(1000, 10**8).map(Decimal), cents)
def test_one_share_more_flips_the_portfolio_limits_too(field, limit, nav, price):
    allowed = whole_within(limit, nav, price)
    params = NO_LIMITS._replace(**{field: float(limit)})
    half = allowed // 2
    pair = [named(float(half), float(price)), named(float(allowed - half), float(price))]
    assert judged(pair, float(nav), params).targets == [half, allowed - half]
    pair[1] = named(float(allowed - half + 1), float(price))
    beyond = judged(pair, float(nav), params)
    assert sum(beyond.targets) <= allowed
    assert field.upper() in {name for name, _ in beyond.breaches}


@given(st.integers(1, 100).map(lambda k: Decimal(k) / 1000), st.integers(1000, 10**8).map(Decimal), cents, st.integers(1, 99))
def test_one_share_more_flips_the_trade_risk(limit, nav, price, percent):
    stop = price * (100 - percent) / 100
    allowed = whole_within(limit, nav, price - stop)
    params = NO_LIMITS._replace(trade_risk=float(limit))
    assert judged([named(float(allowed), float(price), stop=float(stop))], float(nav), params).targets == [allowed]
    beyond = judged([named(float(allowed + 1), float(price), stop=float(stop))], float(nav), params)
    assert beyond.targets[0] <= allowed and beyond.breaches == [("TRADE_RISK", 0)]


RARE_RULES = {
    "volume_share": "VOLUME", "exit_days": "EXIT_DAYS", "turnover": "TURNOVER", "top_five": "CONCENTRATION",
    "pair_correlation": "PAIR_CORRELATION", "average_correlation": "AVERAGE_CORRELATION", "volatility": "VOLATILITY",
    "value_at_risk": "VALUE_AT_RISK", "shortfall": "EXPECTED_SHORTFALL", "beta": "BETA",
}  # fmt: skip


@settings(max_examples=100)
@given(st.sampled_from(sorted(RARE_RULES)), st.integers(1, 40), st.integers(1, 40), prices, st.sampled_from([1.0, -1.0]), st.data())
def test_one_share_more_flips_every_rare_limit(field, first, second, price, side, data):
    nav, most = 102_400.0, 1 << 16
    limit = NO_LIMITS._replace(rare=NO_LIMITS.rare._replace(**{field: data.draw(st.sampled_from(RARE_VALUES[field]))}))
    if field == "pair_correlation":
        limit = limit._replace(position=0.25)
    beside = Name(side * 16.0, 0.0, 64.0, 0, past=past_of(second, 64.0)) if "correlation" in field else None

    def plan(shares):
        one = Name(side * shares, 0.0, price, 0, past=past_of(first, price))
        return [one] if beside is None else [one, beside]

    def within(shares):
        names = plan(float(shares))
        return violations(names, [n.wanted for n in names], nav, "active", limit, MARKET) == []

    assume(within(1) and not within(most))  # a past that is long enough, a limit that binds
    low, high = 1, most
    while high - low > 1:
        low, high = ((low + high) // 2, high) if within((low + high) // 2) else (low, (low + high) // 2)
    at, beyond = judged(plan(float(low)), nav, limit), judged(plan(float(high)), nav, limit)
    assert at.targets == [n.wanted for n in plan(float(low))] and at.breaches == []
    bound = {RARE_RULES[field], "POSITION"} if field == "pair_correlation" else {RARE_RULES[field]}  # a pair that is no pair
    assert abs(beyond.targets[0]) <= low and bound & {name for name, _ in beyond.breaches}
    assert violations(plan(float(high)), beyond.targets, nav, "active", limit, MARKET) == []


@given(st.integers(1, 40), prices, st.sampled_from([1.0, -1.0]), st.sampled_from([0.9, 0.95, 1.0]), st.sampled_from([0.02, 0.05]))
def test_one_share_more_flips_the_trade_risk_after_a_gap(seed, price, side, share, risk):
    nav, stop = 102_400.0, price * (1 - side * 0.125)
    limit = NO_LIMITS._replace(trade_risk=risk, gap_share=share)
    one = Name(side, 0.0, price, 0, stop=stop, past=past_of(seed, price))
    assume(violations([one], [side], nav, "active", limit, MARKET) == [])
    allowed = math.floor(risk * nav / at_risk(one, limit) + 1e-9)
    assume(allowed >= 1)
    for shares, expected in ((allowed, allowed), (allowed + 1, allowed)):
        verdict = judged([replace(one, wanted=side * shares)], nav, limit)
        assert verdict.targets == [side * expected] and (("TRADE_RISK", 0) in verdict.breaches) == (shares > expected)


@given(st.integers(1, 40), prices, st.sampled_from(["gap", "volume", "returns", "market"]), st.sampled_from([0.0, 30.0, -30.0]))
def test_an_unknown_past_denies_an_increase_and_lets_a_reduction_pass(seed, price, what, held):
    rare = {"volume": {"exit_days": 1e6}, "returns": {"volatility": 1e6}, "market": {"beta": 1e6}}.get(what, {})
    limit = NO_LIMITS._replace(gap_share=0.95 if what == "gap" else 0.0, rare=NO_LIMITS.rare._replace(**rare))
    past = past_of(seed, price) if what == "market" else None
    for wanted in (20.0, 40.0, -20.0, -40.0):
        name = Name(wanted, held, price, 0, stop=0.9 * price, mark=price, past=past)
        verdict = judged([name], 102_400.0, limit, market=None)
        assert verdict.targets == [reduced(wanted, held)]
        assert ("UNKNOWN_RISK", 0) in verdict.breaches or not increases(wanted, held)


anything = st.floats(allow_nan=True, allow_infinity=True)


@MANY
@given(anything, anything, anything, anything, st.integers(0, 50))
@example(1e300, 1.0, 1e-300, 1.0, 1)
def test_sizes_are_finite_whole_or_nothing_for_any_figures(a, b, c, d, count):
    raw = (
        methods.equal_weight(a, b, count, c), methods.fixed_percent(a, b, c), methods.atr_based(a, b, c, d),
        methods.volatility_based(a, b, c, d), methods.kelly(a, methods.kelly_fraction(b, c, d), c),
    )  # fmt: skip
    for size in map(methods.whole, raw):
        assert math.isfinite(size) and size >= 0 and size == math.floor(size)


@given(st.sampled_from([0.01, 0.1, 4.0]), navs, st.floats(1e-300, 1e300))
def test_the_single_name_limits_never_overflow(limit, nav, price):
    for allowed in (position_shares(limit, nav, price), trade_risk_shares(limit, nav, price, math.nan, 1.0)):
        assert allowed >= 0.0
        assert allowed * price <= limit * nav * (1 + 1e-9)


@given(st.lists(st.one_of(st.integers(1, 1000).map(float), st.just(math.nan)), min_size=1, max_size=600), st.floats(0.01, 1.0))
def test_drawdown_is_from_the_peak_of_the_last_252_sessions(index, limit):
    import numpy as np

    t = len(index) - 1
    window = [x for x in index[max(0, t - 251) :] if not math.isnan(x)]
    expected = math.nan if math.isnan(index[t]) else 1 - index[t] / max(window)
    fall = drawdown(np.array(index), t)
    assert fall == expected or (math.isnan(fall) and math.isnan(expected))
    params = NO_LIMITS._replace(drawdown=limit)
    state = "active" if expected <= limit else "reducing"  # NaN is not within any limit
    assert records.RiskState(risk_state(Falls(fall), False, params)).name.lower() == state
    assert records.RiskState(risk_state(Falls(fall), True, params)).name == "HALTED"


@pytest.mark.parametrize(("words", "codes"), [(BreachCode, Rule), (RiskState, records.RiskState), (OrderReason, records.Reason)])
def test_the_kernels_codes_and_the_domains_words_have_the_same_names(words, codes):
    assert {word.name for word in words} == {code.name for code in codes}


@given(prices, navs)
def test_what_is_held_without_a_close_counts_at_its_mark(price, nav):
    gap = named(100.0, math.nan, held=100.0, sector=1, mark=price)
    limit = NO_LIMITS._replace(gross=100.0 * price / nav)
    both = judged([gap, named(100.0, price)], nav, limit).targets
    assert (both[0] + both[1]) * price <= 100.0 * price
    assert judged([gap], nav, limit).targets == [100.0]
