"""The laws of a factor, tried on a small made-up market: every factor of the program obeys them; the user's own are asked when loaded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mech_exo.domain.errors import MissingDataError, PluginError
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.domain.trial import GAPLESS, NEVER, permuted, poisoned, same_bits, trial_market
from mech_exo.scoring.factors.base import Factor, Floats, Ints
from mech_exo.scoring.inputs import BARS, FactorInputs
from mech_exo.utils.plugin_verdicts import Verdict, Verdicts

HISTORIES = (300, 800, 1600)
"""Sessions of the trial market; the longer ones are tried where the shorter holds no value yet."""


class _Watched(FactorInputs):
    """Inputs that remember what was read of them."""

    def __init__(self, panel: BarPanel, universe: Universe) -> None:
        super().__init__(panel, universe)
        self.read: set[str] = set()

    def __getattribute__(self, name: str) -> object:
        if name in BARS:
            object.__getattribute__(self, "read").add(name)
        return super().__getattribute__(name)

    def fact(self, name: str) -> object:  # type: ignore[override]
        self.read.add(name)
        return super().fact(name)


def factor_verdicts(factor: Factor) -> Verdicts:
    """One verdict a law; a factor that fails at work breaks the first one and is asked no more."""
    try:
        return _Trial(factor).verdicts()
    except PluginError as error:
        return (Verdict("it answers on the trial market", error.message),)


class _Trial:
    """A factor with its default parameters on the shortest trial market on which it has values."""

    def __init__(self, factor: Factor) -> None:
        self.factor, self.bound = factor, factor.bind({})
        for sessions in HISTORIES:
            self.panel, self.universe = trial_market(sessions, facts=factor.facts)
            self.rows = np.arange(sessions, dtype=np.int64)
            self.inputs = _Watched(self.panel, self.universe)
            self.broken = self._unreadable()
            if self.broken:
                return
            self.whole = self._values(self.panel, self.universe, self.inputs)
            if isinstance(self.whole, np.ndarray) and np.isfinite(self.whole).any():
                break

    def verdicts(self) -> Verdicts:
        if self.broken:
            return (Verdict("it declares the facts it reads in inputs", self.broken),)
        shape = _misshapen(self.whole, self.panel.shape)
        if shape:
            return (Verdict("its values are float64 (rows, symbols), NaN where it has no opinion", shape),)
        laws: tuple[tuple[str, Callable[[], str]], ...] = (
            ("its values are float64 (rows, symbols), NaN where it has no opinion", self._chosen_rows),
            ("it does not look ahead: f(panel[:t+1])[t] == f(panel)[t]", self._looks_ahead),
            ("what comes after a session changes nothing of it", self._is_poisoned),
            ("permuting the symbols permutes the values", self._depends_on_order),
            ("the same inputs give the same values, to the last bit", self._is_random),
            ("unknown is NaN: never infinite, and none for a name that never traded", self._invents),
            ("it has values, none before its warm-up", self._warms_up),
            ("it declares what it reads in inputs", self._undeclared),
        )
        return tuple(Verdict(law, check()) for law, check in laws)

    def _values(self, panel: BarPanel, universe: Universe, inputs: FactorInputs | None = None) -> Floats:
        return self.bound.values(inputs or FactorInputs(panel, universe), np.arange(len(panel.sessions), dtype=np.int64))

    def _unreadable(self) -> str:
        try:
            self._values(self.panel, self.universe, _Watched(self.panel, self.universe))
        except MissingDataError as error:
            return f"{error.message}; inputs names {', '.join(self.factor.inputs) or 'nothing'}"
        return ""

    def _chosen_rows(self) -> str:
        rows = self.rows[7 :: max(1, len(self.rows) // 9)]
        some = self.bound.values(FactorInputs(self.panel, self.universe), rows)
        differs = "" if same_bits(some, self.whole[rows]) else "asked for some rows it gives other values than for all of them"
        return _misshapen(some, (len(rows), self.panel.shape[1])) or differs

    def _looks_ahead(self) -> str:
        for t in _sessions(self.rows):
            cut = self._values(self.panel.upto(t), self.universe.rows(0, t + 1))
            if not same_bits(cut[t], self.whole[t]):
                return f"at session {t} it says {_pair(self.whole[t], cut[t])} once later sessions are cut off"
        return ""

    def _is_poisoned(self) -> str:
        for t in _sessions(self.rows)[1::4]:
            values = self._values(*poisoned(self.panel, self.universe, t))
            if not same_bits(values[: t + 1], self.whole[: t + 1]):
                return f"values up to session {t} change with what comes after it"
        return ""

    def _depends_on_order(self) -> str:
        order = np.roll(np.arange(self.panel.shape[1]), 3)[::-1]
        moved = self._values(*permuted(self.panel, self.universe, list(order)))
        close = np.isclose(moved, self.whole[:, order], rtol=1e-9, atol=1e-12, equal_nan=True)
        return "" if close.all() else "a name's value depends on the column it stands in"

    def _is_random(self) -> str:
        return "" if same_bits(self._values(self.panel, self.universe), self.whole) else "two calls give different values"

    def _invents(self) -> str:
        if np.isinf(self.whole).any():
            return f"infinite at session {int(np.argwhere(np.isinf(self.whole))[0][0])}"
        if not self.factor.facts and not np.isnan(self.whole[:, NEVER]).all():
            return "it has values for a name that never traded"
        return ""

    def _warms_up(self) -> str:
        known = np.flatnonzero(np.isfinite(self.whole).any(axis=1))
        if not len(known):
            return f"not one value in {len(self.rows)} sessions with its default parameters"
        gapless = np.flatnonzero(np.isfinite(self.whole[:, GAPLESS]))
        if self.factor.warmup is not None and len(gapless) and gapless[0] < self.bound.warmup:
            return f"its first value is at row {gapless[0]}, its warm-up says {self.bound.warmup}"
        return ""

    def _undeclared(self) -> str:
        more = sorted(self.inputs.read - set(self.factor.inputs) - ({"returns", "total_return", "close"} if self._derives() else set()))
        return f"it reads {', '.join(more)}, inputs names {', '.join(self.factor.inputs) or 'nothing'}" if more else ""

    def _derives(self) -> bool:
        """Inputs made of other inputs read those as well."""
        return bool({"returns", "total_return", "market_return"} & set(self.factor.inputs))


def _misshapen(values: object, shape: tuple[int, int]) -> str:
    if not isinstance(values, np.ndarray) or values.dtype != np.float64 or values.shape != shape:
        told = f"{values.dtype} {values.shape}" if isinstance(values, np.ndarray) else type(values).__name__
        return f"float64 {shape} is wanted; it gives {told}"
    return ""


def _sessions(rows: Ints) -> list[int]:
    """A dozen sessions over the whole history, the last but one among them: shifts by one are caught everywhere."""
    last = len(rows) - 1
    return sorted({0, *np.linspace(last // 10, last - 1, 11).astype(int).tolist()})


def _pair(whole: Floats, cut: Floats) -> str:
    differs = np.flatnonzero(~((whole == cut) | (np.isnan(whole) & np.isnan(cut))))
    j = int(differs[0]) if len(differs) else 0
    return f"{whole[j]:.6g} of a name, and {cut[j]:.6g}"

