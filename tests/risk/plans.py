"""Random plans for the limits: every figure a short binary fraction, so that sums are exact in any order."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from mech_exo.kernels.account import new_book
from mech_exo.kernels.records import RiskState
from mech_exo.risk.rules import BREACH, PLAN, LimitParams, Rule, Sight, approve
from tests.oracles.naive_risk import Name

NO_LIMITS = LimitParams(trade_risk=1e6, position=1e6, sector=math.nan, gross=1e6, leverage=1e6, net=1e6, drawdown=1.0)
UNKNOWN = (math.nan, math.inf, -math.inf, 0.0, -5.0)


@dataclass(frozen=True)
class Verdict:
    """What approve() said."""

    targets: list[float]
    bindings: list[int]
    breaches: list[tuple]


def judged(names, nav, limits, state="active", fall=0.0):
    """Put ``names`` before the compiled rule."""
    n = len(names)
    plan, book, breaches = np.zeros(n, PLAN), new_book(n), np.zeros(4 * n + 64, BREACH)
    plan["wanted"] = [x.wanted for x in names]
    plan["stop"] = [x.stop for x in names]
    book["shares"] = [x.held for x in names]
    book["mark"] = [x.mark for x in names]
    close = np.array([x.price for x in names], np.float64)
    sector = np.array([x.sector for x in names], np.int16)
    verdict = np.array([x.verdict for x in names if any(y.verdict for y in names)], np.int8)
    sight = Sight(close, sector, verdict, np.empty(0), np.empty(0), np.empty(0))
    count = approve(plan, np.arange(n), n, book, sight, nav, int(RiskState[state.upper()]), fall, limits, breaches)
    return Verdict(plan["target"].tolist(), plan["binding"].tolist(), [(Rule(int(b["rule"])).name, int(b["symbol"])) for b in breaches[:count]])


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
    return Name(wanted, held, shown, sector, stop=price * (1 - side * distance), mark=price if held else math.nan, verdict=draw(st.sampled_from((0, 0, 0, 1, 2))) if unknown else 0)


def plans(unknown=True, most=7):
    """Lists of names."""
    return st.lists(one_name(unknown), min_size=1, max_size=most)


@st.composite
def limits(draw):
    """Limits from tight to loose; the sector limit may be off."""
    single = st.sampled_from([0.005, 0.02, 0.1, 0.29, 1.0, 4.0])
    wide = st.sampled_from([0.05, 0.3, 0.7, 1.0, 1.5, 4.0])
    sector = st.one_of(st.just(math.nan), st.sampled_from([0.05, 0.2, 0.57, 1.0, 4.0]))
    return LimitParams(draw(single), draw(single), draw(sector), draw(wide), draw(wide), draw(wide), 0.1)


states = st.sampled_from(["active", "reducing", "halted"])
