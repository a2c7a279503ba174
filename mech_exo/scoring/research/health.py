"""Factor health: whether the rolling information coefficient is still above zero, and whether it is on its way there."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mech_exo.domain.errors import InputError
from mech_exo.kernels.newey_west import automatic_lag, error_of_mean, long_run_covariance
from mech_exo.scoring.research.comparison import usable
from mech_exo.scoring.research.factor_study import frame
from mech_exo.scoring.research.sample import Sample
from mech_exo.scoring.research.statistics import SIGNIFICANT
from mech_exo.utils.settings import FactorsConfig

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
WINDOW, HORIZON, STEP, YEAR = 252, 21, 21, 252
FULL = 0.8
"""Share of a window's sessions that must have an IC."""
RECENT = 3
"""Windows the trend is fitted over."""
FADED = 0.5
"""Of the mean IC before the last window; below it a factor is weakening."""


class State(StrEnum):
    """Where a factor stands."""

    HEALTHY = "healthy"
    WEAKENING = "weakening"
    ALARM = "alarm"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, eq=False)
class FactorHealth:
    """One factor's rolling IC as of the last session at which one was complete; NaN or None = unknown.

    Parameters
    ----------
    ic, low, high
        Mean rank IC of the last window in the configured direction and its 95 % band (Newey-West).
    before
        Mean rank IC of everything before that window.
    trend_ann, trend_t
        Change of the IC per 252 sessions over the last three windows, and its t-statistic (Newey-West).
    half_life
        Sessions in which it would halve if that trend went on; only where it falls, by 1.96 standard errors, from above zero.
    since
        From when on the lower band has been at or below zero without a break, where it is.
    history
        date, ic, low, high: a row a month. ``date`` is the session at which the window's last return was complete, so that the row
        was known then.
    """

    factor: str
    state: State
    reason: str
    as_of: date | None
    ic: float
    low: float
    high: float
    before: float
    trend_ann: float
    trend_t: float
    half_life: float
    since: date | None
    history: pl.DataFrame

    def as_dict(self) -> dict[str, object]:
        """Everything but the history."""
        return {name: value for name, value in asdict(self).items() if name != "history"}


def factor_health(sample: Sample, config: FactorsConfig, *, window: int = WINDOW, horizon: int = HORIZON) -> tuple[FactorHealth, ...]:
    """The health of every factor of ``config`` that has a weight, in order of the names.

    ``window`` sessions of rank ICs over ``horizon`` sessions. Raises InputError for a window that holds fewer than two horizons.
    """
    if window < 2 * horizon:
        raise InputError(f"the window must hold at least two horizons of {horizon} sessions; got {window}", remedy="--window 252")
    values, skipped = usable(sample, config)
    forward = sample.forward(horizon)
    found = {name: _judged(sample, name, one.correlation(forward, sample.eligible)[0], window, horizon) for name, one in values.items()}
    found |= {name: _unknown(name, reason) for name, reason in skipped.items()}
    return tuple(found[name] for name in config.weights())


def rolling_ic(sample: Sample, ic: Floats, window: int, horizon: int) -> pl.DataFrame:
    """date, ic, low, high of windows of ``ic`` ``(K,)``: see :class:`FactorHealth`.

    A month apart, counted from the first row so that another night moves none of them, and the last one.
    """
    size, step, overlap = max(2, window // sample.every), max(1, STEP // sample.every), sample.overlap(horizon)
    known = np.flatnonzero(np.isfinite(ic))
    last = int(known[-1]) if len(known) else -1
    ends = [*range(size - 1, last, step), last] if last >= size - 1 else []
    lines = []
    for end in ends:
        part = ic[end + 1 - size : end + 1]
        if np.isfinite(part).sum() >= FULL * size:
            mean, error = float(np.nanmean(part)), error_of_mean(part, overlap)[0]
            session = sample.panel.sessions[sample.rows[end] + sample.holding.delay + horizon].astype(object)
            lines.append({"date": session, "ic": mean, "low": mean - SIGNIFICANT * error, "high": mean + SIGNIFICANT * error})
    return frame(lines)


def _judged(sample: Sample, name: str, ic: Floats, window: int, horizon: int) -> FactorHealth:
    history = rolling_ic(sample, ic, window, horizon)
    if history.is_empty():
        return _unknown(name, f"not enough data: no {window} sessions with an IC over {horizon} sessions yet")
    size, last = window // sample.every, int(np.flatnonzero(np.isfinite(ic))[-1])
    earlier = ic[: last + 1 - size]
    before = float(np.nanmean(earlier)) if np.isfinite(earlier).sum() >= FULL * size else math.nan
    slope, t, level = _trend(ic[max(0, last + 1 - RECENT * size) : last + 1], sample.overlap(horizon))
    falling = t < -SIGNIFICANT
    halving = -0.5 * level / slope * sample.every if falling and level > 0.0 else math.nan
    now = history.row(-1, named=True)
    state, reason = _state(now["ic"], now["low"], before, falling)
    return FactorHealth(
        factor=name, state=state, reason=reason, as_of=now["date"], ic=now["ic"], low=now["low"], high=now["high"], before=before,
        trend_ann=slope * YEAR / sample.every, trend_t=t, half_life=halving,
        since=_since(history) if state is State.ALARM else None, history=history,
    )  # fmt: skip


def _state(ic: float, low: float, before: float, falling: bool) -> tuple[State, str]:
    if low <= 0.0:
        return State.ALARM, "the lower band is at or below zero"
    if ic < FADED * before:
        return State.WEAKENING, f"the IC is below half of the {before:.3f} it had before"
    return (State.WEAKENING, "the IC falls") if falling else (State.HEALTHY, "the lower band is above zero")


def _trend(ic: Floats, overlap: int) -> tuple[float, float, float]:
    """Slope per row, its t-statistic and the line's end of least squares on the finite ``ic``; NaN of fewer than three."""
    place = np.flatnonzero(np.isfinite(ic))
    if len(place) < 3:
        return math.nan, math.nan, math.nan
    x = place - place.mean()
    y = ic[place]
    spread = float(x @ x)
    slope = float(x @ (y - y.mean())) / spread
    left = (y - y.mean() - slope * x) * x
    lags = min(max(overlap, automatic_lag(len(place))), len(place) - 1)
    error = math.sqrt(max(0.0, len(place) * float(long_run_covariance(left[:, None], lags)[0, 0]))) / spread
    return slope, slope / error if error > 0.0 else math.nan, float(y.mean() + slope * x[-1])


def _since(history: pl.DataFrame) -> date:
    """The first date of the last unbroken run of rows whose lower band is not above zero."""
    rows = history.rows(named=True)
    above = [i for i, row in enumerate(rows) if row["low"] > 0.0]
    first: date = rows[above[-1] + 1 if above else 0]["date"]
    return first


def _unknown(name: str, reason: str) -> FactorHealth:
    import polars as pl

    empty = pl.DataFrame(schema={"date": pl.Date, "ic": pl.Float64, "low": pl.Float64, "high": pl.Float64})
    nan = math.nan
    return FactorHealth(name, State.UNKNOWN, reason, None, nan, nan, nan, nan, nan, nan, nan, None, empty)
