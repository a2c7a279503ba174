"""The face of the stops for one position: :class:`StopEngine`. Every level and every hit comes from the rules the decision obeys."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np

from mech_exo.domain.errors import InputError
from mech_exo.kernels.records import Reason
from mech_exo.risk.stops import StopParams, stop_level, target_level
from mech_exo.utils.settings import StopRules

Bar = Mapping[str, float] | Sequence[float]
"""``open``, ``high``, ``low`` (and ``close``, which touches nothing) in USD, by name or in this order; NaN = no bar."""


@dataclass(frozen=True, slots=True)
class StopLevels:
    """Levels of one position in USD; None = that stop is off. ``stop`` is the nearest one and ``binding`` its name.

    ``time_stop`` is the session after whose close the position leaves, at the next open. What the levels hang on is remembered: ``side``
    (long or short), ``entry`` and ``best`` price since, the ``atr`` at entry.
    """

    side: str
    entry: float
    best: float
    atr: float | None
    hard_stop: float | None
    trailing_stop: float | None
    volatility_stop: float | None
    profit_target: float | None
    time_stop: date | None
    stop: float | None
    binding: str

    def __getitem__(self, name: str) -> float | date | str | None:
        value: float | date | str | None = getattr(self, name)
        return value


@dataclass(frozen=True, slots=True)
class StopHit:
    """A stop or target that a bar reached: which, and the price it fills at before costs."""

    reason: str
    price: float


class StopEngine:
    """Stops for one position at a time; the very rules of the strategy.

    Parameters
    ----------
    rules
        None: the defaults of ``risk_limits.yml`` (hard 15 %, trailing 25 %, target 30 %, time 60 sessions) with a
        volatility stop of ``atr_multiple`` ATRs where an ATR is given.
    """

    def __init__(self, rules: StopRules | None = None, *, atr_multiple: float = 3.0) -> None:
        self.rules = rules or StopRules(volatility_atr=atr_multiple)

    def generate_stops(
        self,
        entry_price: float,
        position_type: str = "long",
        atr: float | None = None,
        *,
        best_price: float | None = None,
        entry_date: date | None = None,
    ) -> StopLevels:
        """Levels for a position entered at ``entry_price`` USD; ``best_price`` since entry defaults to the entry.

        Raises InputError for a price or ATR that is not above 0 and finite, or a type other than long or short.
        """
        side = _side(position_type)
        best = entry_price if best_price is None else best_price
        for name, value in (("entry_price", entry_price), ("best_price", best), ("atr", atr)):
            if value is not None and not (isinstance(value, (int, float, np.number)) and math.isfinite(value) and value > 0):
                raise InputError(f"{name} must be above 0 and finite; got {value!r}")
        given = math.nan if atr is None else float(atr)
        params = StopParams.of(self.rules)
        level, reason = stop_level(side, float(entry_price), float(best), given, params)
        singles = ("hard", "trailing", "volatility_atr")
        one = {name: _one(name, self.rules, side, float(entry_price), float(best), given) for name in singles}
        return StopLevels(
            side=position_type,
            entry=float(entry_price),
            best=float(best),
            atr=None if atr is None else float(atr),
            hard_stop=one["hard"],
            trailing_stop=one["trailing"],
            volatility_stop=one["volatility_atr"],
            profit_target=_known(target_level(side, float(entry_price), params)),
            time_stop=self._time_stop(entry_date),
            stop=_known(level),
            binding=Reason(reason).name.lower(),
        )

    def update(self, levels: StopLevels, peak: float) -> StopLevels:
        """Levels once the price has been at ``peak`` USD: better than the best so far it moves the trailing stop, else nothing."""
        side = _side(levels.side)
        return self._again(levels, best=side * max(side * levels.best, side * peak))

    def adjust(self, levels: StopLevels, *, split_ratio: float = 1.0, dividend: float = 0.0) -> StopLevels:
        """Levels on the morning of a split (new shares per old) and of a cash dividend (USD per new share).

        A split divides everything; a dividend lowers entry and best price where ``adjust_for_dividends`` is on and both are above it.
        Unlike the resting levels of that very day, which are lowered by the dividend itself, these hang on the lowered entry already.
        """
        if not (math.isfinite(split_ratio) and split_ratio > 0.0 and math.isfinite(dividend) and dividend >= 0.0):
            raise InputError(f"a split ratio must be above 0 and a dividend at least 0; got {split_ratio} and {dividend}")
        entry, best = levels.entry / split_ratio, levels.best / split_ratio
        if self.rules.adjust_for_dividends and dividend < min(entry, best):
            entry, best = entry - dividend, best - dividend
        return self._again(levels, entry=entry, best=best, atr=None if levels.atr is None else levels.atr / split_ratio)

    def check(self, levels: StopLevels, bar: Bar, session: date | None = None) -> StopHit | None:
        """What a bar does to resting ``levels``; None when nothing is touched.

        A stop or target that the open has passed fills at the open, one that is touched later at its level; both touched: the stop. With
        the ``session`` of the bar, a position whose time stop lies before it leaves at the open.
        """
        from mech_exo.kernels.matching import NO_EXIT, STOP_HIT, resting_exit

        open_, high, low = _prices(bar)
        if session is not None and levels.time_stop is not None and session > levels.time_stop:
            return None if math.isnan(open_) else StopHit("time_stop", open_)
        level = math.nan if levels.stop is None else levels.stop
        target = math.nan if levels.profit_target is None else levels.profit_target
        which, price = resting_exit(_side(levels.side), open_, high, low, level, target)
        if which == NO_EXIT:
            return None
        return StopHit(levels.binding if which == STOP_HIT else "profit_target", price)

    def _again(self, levels: StopLevels, **moved: Any) -> StopLevels:
        on = {"entry": levels.entry, "best": levels.best, "atr": levels.atr} | moved
        again = self.generate_stops(on["entry"], levels.side, on["atr"], best_price=on["best"])
        return replace(again, time_stop=levels.time_stop)

    def _time_stop(self, entry_date: date | None) -> date | None:
        """The first session at whose close the position is old enough, in sessions or in calendar days."""
        rules = self.rules
        if entry_date is None or (rules.time_sessions is None and rules.time_days is None):
            return None
        from mech_exo.utils.calendar import sessions

        reach = max(2 * (rules.time_sessions or 0), rules.time_days or 0) + 15
        ahead = sessions(entry_date, entry_date + timedelta(days=reach))
        later = ahead[ahead > np.datetime64(entry_date, "D")]
        due = []
        if rules.time_sessions is not None:
            due.append(later[rules.time_sessions - 1])
        if rules.time_days is not None:
            due.append(later[np.searchsorted(later, np.datetime64(entry_date, "D") + rules.time_days)])
        exit_day: date = min(due).astype(object)
        return exit_day


def _side(position_type: str) -> float:
    if position_type not in ("long", "short"):
        raise InputError(f"position_type must be 'long' or 'short'; got {position_type!r}")
    return 1.0 if position_type == "long" else -1.0


def _prices(bar: Bar) -> tuple[float, float, float]:
    """Open, high and low of a bar."""
    if isinstance(bar, Mapping):
        missing = [name for name in ("open", "high", "low") if name not in bar]
        if missing:
            raise InputError(f"a bar needs open, high and low; {', '.join(missing)} is missing")
        return float(bar["open"]), float(bar["high"]), float(bar["low"])
    if len(bar) < 3:
        raise InputError(f"a bar needs open, high and low; got {len(bar)} prices")
    return float(bar[0]), float(bar[1]), float(bar[2])


def _known(level: float) -> float | None:
    return None if math.isnan(level) else float(level)


def _one(name: str, rules: StopRules, side: float, entry: float, best: float, atr: float) -> float | None:
    """The level of a single stop: the same formula with the others switched off."""
    alone = StopRules.none().model_copy(update={name: getattr(rules, name)})
    level, _ = stop_level(side, entry, best, atr, StopParams.of(alone))
    return _known(level)
