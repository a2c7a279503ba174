"""Random plans for the limits: figures of names and money are short binary fractions, so that their sums are exact in any order."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from mech_exo.kernels.account import new_book
from mech_exo.kernels.records import Bars, OrderKind, RiskState
from mech_exo.risk.rules import BREACH, PLAN, Falls, LimitParams, Past, RareParams, Rule, Sight, approve, read_gaps
from tests.oracles import naive_risk
from tests.oracles.naive_risk import Name

RARE = RareParams(window=40, volume_window=10)
NO_LIMITS = LimitParams(trade_risk=1e6, position=1e6, sector=math.nan, gross=1e6, leverage=1e6, net=1e6, drawdown=1.0, gap_window=40, rare=RARE)
"""Nothing binds; the rare limits are there, each off: their rules are run."""
UNKNOWN = (math.nan, math.inf, -math.inf, 0.0, -5.0)
SESSIONS = 41
NO_FALL = Falls(0.0, 0.0, 0.0)
MARKET = np.random.default_rng(0).integers(-20, 21, SESSIONS) / 1024.0
MARKET.flags.writeable = False


@dataclass(frozen=True)
class Verdict:
    """What approve() said."""

    targets: list[float]
    bindings: list[int]
    breaches: list[tuple]


@functools.cache
def shape_of(seed):
    """Opens, closes (the last is 1) and volumes of a past: it follows the market more or less, misses sessions now and then."""
    chance = np.random.default_rng(seed)
    steps = chance.choice([0.0, 0.5, 1.0, 1.5]) * MARKET + chance.integers(-30, 31, SESSIONS) / 1024.0
    close = np.cumprod(1.0 + steps)
    close = np.round(close / close[-1] * 4096.0) / 4096.0
    open_ = np.round(close * (1.0 + chance.integers(-40, 41, SESSIONS) / 1024.0) * 4096.0) / 4096.0
    volume = chance.integers(1, 400, SESSIONS) * float(chance.choice([1, 8, 64]))
    missing = chance.random(SESSIONS) < chance.choice([0.0, 0.0, 0.2, 0.7])
    missing[-1] = False
    for values in (open_, close, volume):
        values[missing] = math.nan
    return open_, close, volume


def past_of(seed, price):
    """The past behind a price; None for seed 0."""
    if seed == 0:
        return None
    open_, close, volume = shape_of(seed)
    return naive_risk.Past((open_ * price).tolist(), [*(close[:-1] * price).tolist(), price], volume.tolist())


def bars_of(names):
    """The pasts of ``names`` as one panel, their prices in its last row."""
    arrays = {field: np.full((SESSIONS, len(names)), math.nan) for field in ("open", "high", "low", "close", "volume")}
    for i, name in enumerate(names):
        for field in ("open", "close", "volume") if name.past is not None else ():
            arrays[field][:, i] = getattr(name.past, field)
        arrays["close"][-1, i] = name.price  # as shown: perhaps impossible
    ones = np.ones((SESSIONS, len(names)))
    return Bars(**arrays, split_ratio=ones, dividend=0.0 * ones, delisted=np.full(len(names), SESSIONS), delisting_value=np.full(len(names), math.nan))


def judged(names, nav, limits, state="active", falls=NO_FALL, scale=1.0, market=MARKET):
    """Put ``names`` before the compiled rule."""
    n = len(names)
    plan, book, breaches = np.zeros(n, PLAN), new_book(n), np.zeros(8 * n + 64, BREACH)
    plan["wanted"] = [x.wanted for x in names]
    plan["stop"] = [x.stop for x in names]
    plan["kind"] = [int(OrderKind[x.kind.upper()]) for x in names]
    plan["level"] = [x.level for x in names]
    book["shares"] = [x.held for x in names]
    book["mark"] = [x.mark for x in names]
    bars = bars_of(names)
    read_gaps(SESSIONS - 1, plan, bars, np.empty((n, limits.gap_window)), np.full(n, -1), limits.gap_share)
    sector = np.array([x.sector for x in names], np.int16)
    verdict = np.array([x.verdict for x in names if any(y.verdict for y in names)], np.int8)
    known = np.empty(0) if market is None else market.view()
    known.flags.writeable = False
    past = Past(SESSIONS - 1, bars, np.array([x.shortable for x in names], np.bool_), known)
    sight = Sight(bars.close[-1], sector, verdict, None if limits.rare is None else past)
    count = approve(plan, np.arange(n), n, book, sight, nav, int(RiskState[state.upper()]), falls, scale, limits, breaches)
    said = [(Rule(int(b["rule"])).name, int(b["symbol"])) for b in breaches[:count]]
    return Verdict(plan["target"].tolist(), plan["binding"].tolist(), said)


prices = st.integers(64, 500 * 64).map(lambda k: k / 64)
sizes = st.one_of(st.integers(-3000, 3000), st.integers(-40, 40)).map(float)
navs = st.integers(1, 400).map(lambda k: k * 1024.0)


@st.composite
def one_name(draw, unknown=True):
    price = draw(prices)
    wanted = draw(sizes)
    side = 1 if wanted > 0 else -1
    distance = draw(st.sampled_from([math.nan, 0.5, 0.25, 0.125, 0.015625, -0.125]))  # a stop passed already is negative
    shown = draw(st.sampled_from(UNKNOWN)) if unknown and draw(st.integers(0, 9)) == 0 else price
    sector = draw(st.integers(-1 if unknown else 0, 2))
    held = draw(st.one_of(sizes, st.just(0.0), st.just(wanted)))
    level = draw(st.sampled_from([math.nan, 1.0, 0.96875, 1.5, math.inf, -1.0])) * price
    return Name(
        wanted, held, shown, sector, stop=price * (1 - side * distance), mark=price if held else math.nan,
        verdict=draw(st.sampled_from((0, 0, 0, 1, 2))) if unknown else 0, past=past_of(draw(st.integers(0 if unknown else 1, 40)), price),
        kind=draw(st.sampled_from(["market_on_open", "market_on_open", "limit", "stop"])), level=level, shortable=draw(st.booleans()),
    )  # fmt: skip


def plans(unknown=True, most=7):
    """Lists of names."""
    return st.lists(one_name(unknown), min_size=1, max_size=most)


def off_or(*values):
    """A limit that is off as often as not."""
    return st.one_of(st.just(math.inf), st.sampled_from(values))


@st.composite
def rare_limits(draw):
    """The limits that are off by default: one to four of them on."""
    on = draw(st.lists(st.sampled_from(sorted(RARE_VALUES)), min_size=1, max_size=4, unique=True))
    shorts = draw(st.sampled_from([0, 0, 1, 2]))
    return RARE._replace(shorts=shorts, order_offset=draw(st.sampled_from([0.0, 0.02, -0.2])), **{field: draw(st.sampled_from(RARE_VALUES[field])) for field in on})


RARE_VALUES = {
    "volume_share": [0.01, 0.1, 1.0], "exit_days": [0.5, 3.0, 40.0], "turnover": [0.05, 0.5, 2.0], "top_five": [0.05, 0.4, 1.0],
    "price_deviation": [0.01, 0.05, 0.5], "pair_correlation": [0.05, 0.3, 0.7], "average_correlation": [0.01, 0.1, 0.5],
    "volatility": [0.02, 0.1, 0.3], "value_at_risk": [0.001, 0.01, 0.05], "shortfall": [0.002, 0.02, 0.05], "beta": [0.05, 0.3, 1.0],
}  # fmt: skip
"""Every rare limit with values from tight to loose."""


@st.composite
def limits(draw):
    """Limits from tight to loose; the sector limit, the gap stress and each rare one may be off."""
    single = st.sampled_from([0.005, 0.02, 0.1, 0.29, 1.0, 4.0])
    wide = st.sampled_from([0.05, 0.3, 0.7, 1.0, 1.5, 4.0])
    sector = st.one_of(st.just(math.nan), st.sampled_from([0.05, 0.2, 0.57, 1.0, 4.0]))
    core = LimitParams(draw(single), draw(single), draw(sector), draw(wide), draw(wide), draw(wide), 0.1)
    rare = draw(st.one_of(st.just(RARE), rare_limits(), rare_limits()))
    return core._replace(gap_share=draw(st.sampled_from([0.0, 0.9, 0.95, 1.0])), gap_window=40, rare=rare)


states = st.sampled_from(["active", "active", "reducing", "halted"])
scales = st.sampled_from([1.0, 1.0, 0.5, 0.0, math.nan])
