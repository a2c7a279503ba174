"""A seeded rectangular market for oracles and benchmarks: no missing bar, whole cents, real sessions, no corporate actions.

One common factor and each name's own noise, both a mixture of calm and wild days (fat tails); in four of a thousand
symbol-days the price gaps by 5 to 20 % before the open. A column is the same whatever the number of columns, so that a
small market is a part of the large one.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.domain.panel import BarPanel
from mech_exo.utils import calendar

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BLOCK = 100
FIRST, LAST = date(2004, 1, 2), date(2024, 12, 31)
FIELDS = ("open", "high", "low", "close", "volume")


def arrays(symbols: int, days: int = 2520, seed: int = 7) -> dict[str, Floats]:
    """``(days, symbols)`` read-only arrays of open, high, low, close (USD) and volume (shares)."""
    out = {name: np.empty((days, symbols)) for name in FIELDS}
    common = 0.0003 + 0.010 * _fat(np.random.default_rng([seed, 0]), (days, 1))
    for block in range(0, symbols, BLOCK):
        made = _block(np.random.default_rng([seed, 1, block]), common)
        width = min(BLOCK, symbols - block)
        for name in FIELDS:
            out[name][:, block : block + width] = made[name][:, :width]
    for array in out.values():
        array.flags.writeable = False
    return out


def panel(symbols: int, days: int = 2520, seed: int = 7) -> BarPanel:
    """The same as a panel of symbols S0000, S0001, … over the ``days`` sessions from 2004-01-02 on."""
    sessions = calendar.sessions(FIRST, LAST)[:days]
    names = [f"S{number:04d}" for number in range(symbols)]
    return BarPanel.from_arrays(sessions, names, dict(arrays(symbols, days, seed)), label="synthetic oracle market")


def _fat(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Unit variance; one day in ten is three times as wild as the others (kurtosis about 8)."""
    wild = np.where(rng.random(shape) < 0.1, 3.0, 1.0)
    return np.asarray(rng.standard_normal(shape) * wild / np.sqrt(0.9 + 0.1 * 9.0))


def _block(rng: np.random.Generator, common: Floats) -> dict[str, Floats]:
    """A hundred columns."""
    shape = (len(common), BLOCK)
    volatility = rng.uniform(0.15, 0.50, BLOCK) / np.sqrt(252)
    session = rng.uniform(0.5, 1.5, BLOCK) * common + volatility * _fat(rng, shape) - 0.5 * volatility**2
    gap = np.where(rng.random(shape) < 0.004, rng.uniform(0.05, 0.20, shape) * np.where(rng.random(shape) < 0.5, -1.0, 1.0), 0.0)
    level = np.log(40.0) + 0.6 * rng.standard_normal(BLOCK) + np.cumsum(session + gap, axis=0)
    close = _cents(np.exp(level))
    opening = _cents(np.exp(level - 0.7 * session))
    reach = [np.exp(0.6 * volatility * np.abs(rng.standard_normal(shape))) for _ in range(2)]
    high = np.maximum(_cents(np.maximum(opening, close) * reach[0]), np.maximum(opening, close))
    low = np.minimum(_cents(np.minimum(opening, close) / reach[1]), np.minimum(opening, close))
    volume = np.round(np.exp(np.log(2e6) + 0.4 * rng.standard_normal(shape))) + 500_000.0
    return {"open": opening, "high": high, "low": low, "close": close, "volume": volume}


def _cents(price: Floats) -> Floats:
    return np.maximum(np.round(price, 2), 1.0)
