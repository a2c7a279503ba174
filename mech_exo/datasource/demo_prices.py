"""The prices of the sample market: who is listed when, and how invented shares trade. Pure arithmetic on a seed.

A name's daily log return is a market factor, one of eleven sector factors and its own noise, all Student-t with volatility
that clusters; on top come a slow drift of its own (about a year's half-life: a little momentum), a short-lived deviation
(half-life eight sessions: a little mean reversion), jumps, and the surprise of its quarterly report. Only element-wise
arithmetic and sequential sums are used, so the result does not depend on the number of threads.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

YEAR = 252
SECTORS = 11
QUARTER = 63
DISTRESS = 250
DEAL = 60
SPLIT_STYLES = ((70.0, 1.5), (110.0, 2.0), (180.0, 3.0), (420.0, 7.0), (np.inf, 1.0))
REVERSE_BELOW, REVERSE_RATIO = 2.0, 0.1


@dataclass(frozen=True, eq=False)
class Cast:
    """Who plays: one entry per symbol ``(N,)``. ``first`` and ``last`` are half-open rows of the listing."""

    sector: Ints
    first: Ints
    last: Ints
    bankrupt: Bools
    acquired: Bools
    shares: Floats
    start_price: Floats


@dataclass(frozen=True, eq=False)
class Prices:
    """Arrays ``(T, N)`` of :class:`mech_exo.domain.BarPanel`, plus each name's market capitalisation in USD."""

    bars: dict[str, NDArray[Any]]
    cap: Floats


def stream(seed: int, name: str) -> np.random.Generator:
    """A generator of its own for every purpose, so that one more draw in one place leaves all others as they are."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def draw_cast(seed: int, rows: int, count: int) -> Cast:
    """Sectors, listings and sizes of ``count`` companies over ``rows`` sessions."""
    rng = stream(seed, "cast")
    order = rng.permutation(count)
    leaving, arriving = round(0.08 * count), round(0.12 * count)
    first, last = np.zeros(count, np.int64), np.full(count, rows, np.int64)
    arrivals = order[leaving : leaving + arriving]
    first[arrivals] = rng.integers(int(0.05 * rows), max(int(0.8 * rows), int(0.05 * rows) + 1), arriving)
    enough = min(2 * DISTRESS, rows // 2)
    last[order[:leaving]] = rng.integers(enough, max(int(0.97 * rows), enough + 1), leaving)
    bankrupt, acquired = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    bankrupt[order[: round(0.4 * leaving)]] = True
    acquired[order[round(0.4 * leaving) : leaving]] = True
    cap = np.exp(rng.normal(np.log(8e9), 1.2, count))
    price = np.maximum(np.exp(rng.normal(np.log(45.0), 0.6, count)), 8.0)
    return Cast(rng.permutation(np.arange(count) % SECTORS), first, last, bankrupt, acquired, cap / price, price)


def draw_prices(seed: int, cast: Cast, surprise: Floats) -> Prices:
    """Trade the ``cast``; ``surprise`` ``(T, N)`` is the standardised news of the report first traded on, 0 on other rows."""
    day, night, swing = _returns(seed, cast, surprise)
    listed = _listed(cast, day.shape[0])
    yield_paid = _dividend_yield(seed, cast, listed)
    day, night = _endings(seed, cast, day, night)
    move = np.where(listed, day + np.log1p(-yield_paid), 0.0)
    move[cast.first, np.arange(listed.shape[1])] = 0.0
    value = cast.start_price * np.exp(np.cumsum(move, axis=0))
    split = _splits(seed, cast, value)
    close = value / np.cumprod(split, axis=0)
    opening = close * np.exp(night - day)
    bars = _bars(seed, opening, close, swing)
    bars["volume"] = _volume(seed, cast, value, close, day / swing)
    listed = listed & ~_halts(seed, listed, split, yield_paid)
    for name in ("open", "high", "low", "close", "volume"):
        bars[name] = np.where(listed, bars[name], np.nan)
    before = np.vstack([bars["close"][:1], bars["close"][:-1]])
    dividend = np.where(listed & (yield_paid > 0.0), np.round(np.nan_to_num(before) * yield_paid / split, 4), 0.0)
    bars |= {"split_ratio": split, "dividend": dividend, **_delistings(seed, cast, bars["close"])}
    return Prices(bars, np.where(listed, value * cast.shares, np.nan))


def student(rng: np.random.Generator, degrees: float, shape: tuple[int, ...]) -> Floats:
    """Student-t draws of unit variance."""
    return np.asarray(rng.standard_t(degrees, shape) * np.sqrt((degrees - 2.0) / degrees))


def autoregressive(rng: np.random.Generator, keep: float, scale: float, shape: tuple[int, int]) -> Floats:
    """Stationary AR(1) columns ``(T, N)`` with standard deviation ``scale``, each value keeping ``keep`` of the last."""
    out: Floats = rng.standard_normal(shape) * (scale * np.sqrt(1.0 - keep * keep))
    out[0] = rng.standard_normal(shape[1]) * scale
    for row in range(1, shape[0]):
        out[row] += keep * out[row - 1]
    return out


def _returns(seed: int, cast: Cast, surprise: Floats) -> tuple[Floats, Floats, Floats]:
    """Close-to-close log returns, the part before the open, and each name's daily volatility, all ``(T, N)``."""
    rng = stream(seed, "returns")
    shape = surprise.shape
    beta = np.clip(rng.normal(1.0, 0.3, shape[1]), 0.3, 1.9)
    sector_beta = rng.uniform(0.5, 1.2, shape[1])
    volatility = np.clip(np.exp(rng.normal(np.log(0.23), 0.3, shape[1])), 0.12, 0.55) / np.sqrt(YEAR)
    calm = autoregressive(rng, 0.985, 0.35, (shape[0], 1))
    swing = volatility * np.exp(0.6 * calm + autoregressive(rng, 0.97, 0.25, shape) - 0.1)
    market = 0.055 / YEAR + 0.15 / np.sqrt(YEAR) * np.exp(calm - 0.12) * student(rng, 5.0, (shape[0], 1))
    sector = 0.085 / np.sqrt(YEAR) * np.exp(0.6 * calm - 0.05) * student(rng, 5.0, (shape[0], SECTORS))
    drift = autoregressive(rng, 0.5 ** (1.0 / 250.0), 0.09 / YEAR, shape)
    deviation = autoregressive(rng, 0.5 ** (1.0 / 8.0), 0.014, shape)
    session = beta * market + sector_beta * sector[:, cast.sector] + swing * student(rng, 4.0, shape) - 0.5 * volatility**2
    session += drift + np.diff(deviation, axis=0, prepend=deviation[:1]) + _after_report(surprise)
    jump = np.where(rng.random(shape) < 0.0015, 0.05 * student(rng, 3.0, shape), 0.0)
    gap = np.clip(jump + 0.022 * surprise, -0.35, 0.35)
    before_open = 0.35 * session + 0.3 * swing * rng.standard_normal(shape) + gap
    return session + gap, before_open, swing


def _after_report(surprise: Floats) -> Floats:
    """The drift that follows a surprise for 40 sessions, after Bernard and Thomas (1989); a few basis points in all."""
    steps = np.zeros_like(surprise)
    steps[1:] += surprise[:-1]
    steps[41:] -= surprise[:-41]
    return np.asarray(0.00012 * np.cumsum(steps, axis=0))


def _listed(cast: Cast, rows: int) -> Bools:
    row = np.arange(rows)[:, None]
    return np.asarray((row >= cast.first) & (row < cast.last))


def _dividend_yield(seed: int, cast: Cast, listed: Bools) -> Floats:
    """Share of the price paid on each ex-date, 0 elsewhere. Three names in five pay, never in their last year."""
    rng = stream(seed, "dividends")
    rows, count = listed.shape
    annual = np.where(rng.random(count) < 0.6, rng.uniform(0.008, 0.04, count), 0.0)
    phase = rng.integers(0, QUARTER, count)
    row = np.arange(rows)[:, None]
    healthy = (row < cast.last - DISTRESS) | ~(cast.bankrupt | cast.acquired)
    due = ((row + phase) % QUARTER == 0) & (row > cast.first + QUARTER) & listed & healthy
    return np.where(due, annual / 4.0, 0.0)


def _endings(seed: int, cast: Cast, day: Floats, night: Floats) -> tuple[Floats, Floats]:
    """Bankrupt names sink to a few cents over their last year; bought ones jump to the offer and then stand almost still."""
    rng = stream(seed, "endings")
    day, night = day.copy(), night.copy()
    for column in np.flatnonzero(cast.bankrupt):
        end = int(cast.last[column])
        sink = np.linspace(0.2, 1.8, DISTRESS) * rng.uniform(5.0, 6.5) / DISTRESS
        day[end - DISTRESS : end, column] = 1.5 * day[end - DISTRESS : end, column] - sink
        night[end - DISTRESS : end, column] = 1.5 * night[end - DISTRESS : end, column] - 0.5 * sink
    for column in np.flatnonzero(cast.acquired):
        end = int(cast.last[column])
        premium = rng.uniform(0.18, 0.36)
        day[end - DEAL, column] = premium + 0.1 * day[end - DEAL, column]
        night[end - DEAL, column] = premium
        day[end - DEAL + 1 : end, column] *= 0.08
        night[end - DEAL + 1 : end, column] *= 0.08
    return day, night


def _splits(seed: int, cast: Cast, value: Floats) -> Floats:
    """Split ratios ``(T, N)``: a month after the price has passed the level its board finds too high, or too low."""
    rng = stream(seed, "splits")
    split = np.ones(value.shape)
    style = rng.choice(np.arange(len(SPLIT_STYLES)), size=(value.shape[1],), p=(0.05, 0.22, 0.15, 0.08, 0.50))
    notice = rng.integers(15, 30, size=(value.shape[1],))
    for column in range(value.shape[1]):
        level, ratio = SPLIT_STYLES[style[column]]
        row, last = int(cast.first[column]) + QUARTER, int(cast.last[column]) - DISTRESS
        while row < last:
            price = value[row:last, column] / np.prod(split[:row, column])
            asked: list[int] = np.flatnonzero((price > level) | (price < REVERSE_BELOW)).tolist()
            if not asked or row + asked[0] + int(notice[column]) >= last:
                break
            low = float(price[asked[0]]) < REVERSE_BELOW
            row += asked[0] + int(notice[column])
            split[row, column] = REVERSE_RATIO if low else ratio
            row += YEAR
    return split


def _bars(seed: int, opening: Floats, close: Floats, swing: Floats) -> dict[str, NDArray[Any]]:
    """Whole cents, high and low never inside the body."""
    rng = stream(seed, "bars")
    opening, close = (np.maximum(np.round(price, 2), 0.01) for price in (opening, close))
    up, down = (np.exp(np.abs(rng.normal(0.0, 0.5, close.shape)) * swing) for _ in range(2))
    top, bottom = np.maximum(opening, close), np.minimum(opening, close)
    high = np.maximum(np.round(top * up, 2), top)
    low = np.maximum(np.minimum(np.round(bottom / down, 2), bottom), 0.01)
    return {"open": opening, "high": high, "low": low, "close": close}


def _volume(seed: int, cast: Cast, value: Floats, close: Floats, surprise: Floats) -> Floats:
    """Whole lots: a steady turnover of the company's size, more on days of large moves."""
    rng = stream(seed, "volume")
    turnover = np.exp(rng.normal(np.log(0.005), 0.4, value.shape[1]))
    mood = autoregressive(rng, 0.7, 0.3, value.shape) + 0.25 * rng.standard_normal(value.shape)
    shares = turnover * value * cast.shares / close * np.exp(mood + 0.22 * (np.minimum(np.abs(surprise), 8.0) - 0.8))
    return np.asarray(np.maximum(np.round(shares / 100.0), 1.0) * 100.0)


def _halts(seed: int, listed: Bools, split: Floats, yield_paid: Floats) -> Bools:
    """One day in ten thousand a name does not trade; never on the day of an action, nor beside the ends of its listing."""
    halted = stream(seed, "halts").random(listed.shape) < 1e-4
    beside = np.zeros_like(listed)
    beside[1:-1] = listed[:-2] & listed[2:]
    ahead = np.roll(yield_paid, -1, axis=0)
    return np.asarray(halted & beside & (split == 1.0) & (yield_paid == 0.0) & (ahead == 0.0))


def _delistings(seed: int, cast: Cast, close: Floats) -> dict[str, NDArray[Any]]:
    """Rows and values of delistings: the offer for bought companies, a cent or two for bankrupt ones."""
    rng = stream(seed, "delistings")
    last = close[cast.last - 1, np.arange(close.shape[1])]
    paid = np.where(cast.acquired, np.round(last * 1.004, 2), np.nan)
    paid = np.where(cast.bankrupt, np.minimum(np.round(rng.uniform(0.0, 0.03, close.shape[1]), 2), last), paid)
    return {"delisted": cast.last, "delisting_value": paid}
