"""Where stops and targets rest. One formula, used at every close by backtest, paper and live, and by :class:`StopEngine`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np

from mech_exo.domain.errors import InputError
from mech_exo.kernels import lean
from mech_exo.kernels.account import drop_order
from mech_exo.kernels.records import Ints, Reason
from mech_exo.utils.settings import StopRules

HARD, TRAILING, VOLATILITY, TIME = int(Reason.HARD_STOP), int(Reason.TRAILING_STOP), int(Reason.VOLATILITY_STOP), int(Reason.TIME_STOP)


class StopParams(NamedTuple):
    """:class:`mech_exo.utils.settings.StopRules` as numbers: NaN (or -1 sessions) is "off"."""

    hard: float
    trailing: float
    target: float
    time_sessions: int
    volatility_atr: float
    active_on_entry: bool

    @classmethod
    def of(cls, rules: StopRules) -> StopParams:
        """The numbers of ``rules``."""
        off = math.nan
        return cls(
            hard=off if rules.hard is None else rules.hard,
            trailing=off if rules.trailing is None else rules.trailing,
            target=off if rules.target is None else rules.target,
            time_sessions=-1 if rules.time_sessions is None else rules.time_sessions,
            volatility_atr=off if rules.volatility_atr is None else rules.volatility_atr,
            active_on_entry=rules.active_on_entry,
        )


@lean
def stop_level(side: float, entry: float, best: float, atr: float, stops: StopParams) -> tuple[float, int]:
    """The nearest of the enabled stops, in USD, and the Reason of the one that binds; NaN when none is enabled.

    Long: max of entry × (1 − hard), best × (1 − trailing), entry − k × ATR; short: the mirror image. ``best`` is the
    highest high (lowest low) since entry, infinite before the first is seen; ``atr`` the ATR at entry in USD: NaN switches
    the volatility stop off.
    """
    level, reason = math.nan, 0
    candidate = entry * (1 - stops.hard) if side > 0.0 else entry * (1 + stops.hard)
    if not math.isnan(candidate):
        level, reason = candidate, HARD
    candidate = best * (1 - stops.trailing) if side > 0.0 else best * (1 + stops.trailing)
    if math.isfinite(candidate) and not (level * side >= candidate * side):
        level, reason = candidate, TRAILING
    candidate = entry - side * stops.volatility_atr * atr
    if not math.isnan(candidate) and not (level * side >= candidate * side):
        level, reason = candidate, VOLATILITY
    return level, reason


@lean
def target_level(side: float, entry: float, stops: StopParams) -> float:
    """The profit target in USD: entry × (1 + target) long, entry × (1 − target) short; NaN when off or not above 0."""
    level = entry * (1 + side * stops.target)
    return level if level > 0.0 else math.nan


@lean
def protect(book: np.ndarray, live: Ints, held: int, stops: StopParams) -> None:
    """At a close: set the resting levels of every held position for the next bar, and order time exits.

    A position whose age has reached ``time_sessions`` is sold (bought back) at the next open.
    """
    for i in range(held):
        position = book[live[i]]
        side = 1.0 if position.shares > 0.0 else -1.0
        position.stop, position.stop_reason = stop_level(side, position.entry, position.best, position.atr, stops)
        position.target = target_level(side, position.entry, stops)
        if stops.time_sessions > 0 and position.age >= stops.time_sessions:
            drop_order(position)
            position.order = -position.shares
            position.order_reason = TIME


@dataclass(frozen=True, slots=True)
class StopLevels:
    """Levels of one position in USD; None = that stop is off. ``binding`` is the nearest stop."""

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
    """A stop or target that a bar reached: why, and the price it fills at before costs."""

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
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} must be above 0 and finite; got {value}")
        given = math.nan if atr is None else float(atr)
        params = StopParams.of(self.rules)
        level, reason = stop_level(side, float(entry_price), float(best), given, params)
        singles = ("hard", "trailing", "volatility_atr")
        one = {name: _one(name, self.rules, side, float(entry_price), float(best), given) for name in singles}
        return StopLevels(
            hard_stop=one["hard"],
            trailing_stop=one["trailing"],
            volatility_stop=one["volatility_atr"],
            profit_target=_known(target_level(side, float(entry_price), params)),
            time_stop=self._time_stop(entry_date),
            stop=_known(level),
            binding=Reason(reason).name.lower(),
        )

    def update(
        self, levels: StopLevels, entry_price: float, best_price: float, position_type: str = "long", atr: float | None = None
    ) -> StopLevels:
        """Levels after the best price moved; the time stop stays."""
        moved = self.generate_stops(entry_price, position_type, atr, best_price=best_price)
        return replace(moved, time_stop=levels.time_stop)

    def check(self, levels: StopLevels, bar: tuple[float, float, float], position_type: str = "long") -> StopHit | None:
        """What a bar ``(open, high, low)`` in USD does to resting ``levels``; None when nothing is touched."""
        from mech_exo.kernels.matching import NO_EXIT, STOP_HIT, resting_exit

        level = math.nan if levels.stop is None else levels.stop
        target = math.nan if levels.profit_target is None else levels.profit_target
        open_, high, low = (float(price) for price in bar)
        which, price = resting_exit(_side(position_type), open_, high, low, level, target)
        if which == NO_EXIT:
            return None
        return StopHit(levels.binding if which == STOP_HIT else "profit_target", price)

    def _time_stop(self, entry_date: date | None) -> date | None:
        if self.rules.time_sessions is None or entry_date is None:
            return None
        from mech_exo.utils.calendar import sessions

        ahead = sessions(entry_date, entry_date + timedelta(days=2 * self.rules.time_sessions + 15))
        later = ahead[ahead > np.datetime64(entry_date, "D")]
        exit_day: date = later[self.rules.time_sessions - 1].astype(object)
        return exit_day


def _side(position_type: str) -> float:
    if position_type not in ("long", "short"):
        raise InputError(f"position_type must be 'long' or 'short'; got {position_type!r}")
    return 1.0 if position_type == "long" else -1.0


def _known(level: float) -> float | None:
    return None if math.isnan(level) else float(level)


def _one(name: str, rules: StopRules, side: float, entry: float, best: float, atr: float) -> float | None:
    """The level of a single stop: the same formula with the others switched off."""
    alone = StopRules.none().model_copy(update={name: getattr(rules, name)})
    level, _ = stop_level(side, entry, best, atr, StopParams.of(alone))
    return _known(level)


