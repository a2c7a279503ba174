"""The laws of a limit, tried on a small made-up book by the decision's own rule: asked of the user's own when they are loaded."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from mech_exo.domain.history import History, read_only
from mech_exo.domain.trial import same_bits, trial_market
from mech_exo.kernels import cache_folder, code_version
from mech_exo.kernels.records import Floats
from mech_exo.risk.own import LimitSight, SetLimit, caps, set_limits
from mech_exo.utils.plugin_verdicts import Verdicts, judged, require, tried
from mech_exo.utils.settings import RiskLimits

NAV = 100_000.0


def lawful_limits(limits: RiskLimits) -> tuple[SetLimit, ...]:
    """The limits of plug-ins that are on, in order of their names. Raises PluginError for the first law one of them breaks."""
    found = set_limits(limits)
    for one in found:
        require("limit", one.part, limit_verdicts(one))
    return found


def limit_verdicts(limit: SetLimit) -> Verdicts:
    """What the laws say of a limit at its figure, from the cache where its source and the program are unchanged."""
    return judged("limit", limit.part, code_version(), cache_folder(), lambda: _LimitTrial(limit).verdicts(), limit.figure)


class _LimitTrial:
    """A limit asked of a book with long, short, new, closing and unknown names."""

    def __init__(self, limit: SetLimit) -> None:
        self.limit = limit
        panel, universe = trial_market(300, 8)
        row = 199
        held = np.array([100.0, -50.0, 300.0, 0.0, 200.0, 0.0, -400.0, 10.0])
        wanted = np.array([400.0, -500.0, 150.0, 250.0, 0.0, 900.0, -100.0, -600.0])
        sector = tuple(universe.sector_name(row, j) for j in range(8))
        close = np.where(np.isnan(panel.close[row]), 30.0, panel.close[row])
        wanted, held, close, stop = (read_only(values) for values in (wanted, held, close, 0.85 * close))
        self.sight = LimitSight(panel.symbols, wanted, held, close, stop, sector, NAV, History.upto(panel, row))

    def verdicts(self) -> Verdicts:
        return tried((
            ("it gives the most shares of each symbol: float64, at least 0, NaN where unknown", self._answers),
            ("it never enlarges a position, and turns none", self._enlarges),
            ("a reduction always passes", self._blocks),
            ("what is unknown never allows more than what is known", self._invents),
            ("asked again with what it allowed, it allows that", self._changes_its_mind),
            ("permuting the symbols permutes what it allows", self._depends_on_order),
            ("the same book gets the same answer, to the last bit", self._is_random),
        ))

    def _approved(self, sight: LimitSight) -> Floats:
        """Targets after this limit alone, by the very rule of the decision."""
        return approved_by(self.limit, sight)

    def _answers(self) -> str:
        self.limit.allowed(self.sight)
        return ""

    def _enlarges(self) -> str:
        target, wanted = self._approved(self.sight), self.sight.wanted
        wrong = np.flatnonzero((np.abs(target) > np.abs(wanted)) | (target * wanted < 0.0))
        return f"of {wanted[wrong[0]]:g} shares wanted it makes {target[wrong[0]]:g}" if len(wrong) else ""

    def _blocks(self) -> str:
        for share in (0.0, 0.5):
            sight = replace(self.sight, wanted=read_only(np.trunc(share * self.sight.held)))
            target = self._approved(sight)
            wrong = np.flatnonzero(np.abs(target) > np.abs(sight.wanted))
            if len(wrong):
                return f"of {self.sight.held[wrong[0]]:g} shares held, {sight.wanted[wrong[0]]:g} wanted, it leaves {target[wrong[0]]:g}"
        return ""

    def _invents(self) -> str:
        known = self.limit.allowed(self.sight)
        blank = {name: _without(getattr(self.sight.history, name)) for name in ("open", "high", "low", "close", "volume")}
        history = History(**blank, split_ratio=self.sight.history.split_ratio, dividend=self.sight.history.dividend)
        unknown = read_only(np.full(len(known), math.nan))
        dark = replace(self.sight, close=unknown, sector=(None,) * len(known), history=history)
        for what, sight in (("price, sector and past are unknown", dark), ("NAV is unknown", replace(self.sight, nav=math.nan))):
            more = np.flatnonzero(self.limit.allowed(sight) > known)  # NaN is not more
            if len(more):
                return f"where {what} it allows {self.limit.allowed(sight)[more[0]]:g} shares, and {known[more[0]]:g} where all is known"
        return ""

    def _changes_its_mind(self) -> str:
        once = self._approved(self.sight)
        twice = self._approved(replace(self.sight, wanted=read_only(once)))
        wrong = np.flatnonzero(once != twice)
        return f"it cuts {once[wrong[0]]:g} shares, which it had allowed, to {twice[wrong[0]]:g}" if len(wrong) else ""

    def _depends_on_order(self) -> str:
        order = np.roll(np.arange(8), 3)[::-1]
        one = self.sight
        history = History(*(read_only(getattr(one.history, name)[:, order]) for name in History.__slots__))
        arrays: dict[str, Any] = {name: read_only(getattr(one, name)[order]) for name in ("wanted", "held", "close", "stop")}
        symbols, sector = tuple(one.symbols[j] for j in order), tuple(one.sector[j] for j in order)
        moved = replace(one, symbols=symbols, sector=sector, history=history, **arrays)
        same = np.isclose(self.limit.allowed(moved), self.limit.allowed(one)[order], rtol=1e-9, equal_nan=True)
        return "" if same.all() else "what it allows a name depends on the column it stands in"

    def _is_random(self) -> str:
        return "" if same_bits(self.limit.allowed(self.sight), self.limit.allowed(self.sight)) else "two calls give different answers"


def approved_by(limit: SetLimit, sight: LimitSight) -> Floats:
    """``(N,)`` signed shares that ``limit`` alone leaves of ``sight.wanted``: the decision's own rule with every other limit off."""
    from mech_exo.kernels.account import new_book
    from mech_exo.kernels.records import RiskState
    from mech_exo.risk.rules import BREACH, PLAN, Falls, LimitParams, Sight, approve

    count = len(sight.symbols)
    plan, book = np.zeros(count, PLAN), new_book(count)
    plan["wanted"], plan["stop"] = sight.wanted, math.nan
    book["shares"], book["mark"] = sight.held, sight.close
    seen = Sight(sight.close.copy(), np.zeros(count, np.int16), np.empty(0, np.int8), None, caps((limit,), sight))
    off = LimitParams.of(RiskLimits.off())
    approve(plan, np.arange(count), count, book, seen, sight.nav, int(RiskState.ACTIVE), Falls(0.0), 1.0, off, np.zeros(64, BREACH))
    target: Floats = plan["target"].copy()
    return target


def _without(values: Floats) -> Floats:
    return read_only(np.full_like(values, math.nan))
