"""The laws of a sizing method, tried on a small made-up selection: asked of the user's own when they are loaded."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from mech_exo.domain.history import History, read_only
from mech_exo.domain.trial import same_bits, trial_market
from mech_exo.kernels import cache_folder, code_version
from mech_exo.sizing.own import Exposure, SetSizing, SizingSight, set_sizing
from mech_exo.utils.plugin_verdicts import Verdicts, judged, require, tried
from mech_exo.utils.settings import StrategyConfig

NAV = 100_000.0


def lawful_sizing(settings: StrategyConfig) -> SetSizing | None:
    """The sizing method of a plug-in that sizes, None where there is none. Raises PluginError for the first law it breaks."""
    found = set_sizing(settings)
    if found is not None:
        require("sizing method", found.part, sizing_verdicts(found))
    return found


def sizing_verdicts(sizing: SetSizing) -> Verdicts:
    """What the laws say of a sizing method with its parameters, from the cache where its source and the program are unchanged."""
    figures = sorted(sizing.params.items())
    return judged("sizing", sizing.part, code_version(), cache_folder(), lambda: _SizingTrial(sizing).verdicts(), figures)


class _SizingTrial:
    """A method asked for five names, three bought and two sold short, of which one has no data."""

    def __init__(self, sizing: SetSizing) -> None:
        self.sizing = sizing
        panel, _ = trial_market(300, 8)
        row, columns = 199, np.array([0, 4, 5, 6, 7])
        close = np.where(np.isnan(panel.close[row, columns]), 30.0, panel.close[row, columns])
        self.sight = SizingSight(
            symbols=tuple(panel.symbols[j] for j in columns),
            side=read_only(np.array([1.0, 1.0, 1.0, -1.0, -1.0])),
            close=read_only(close),
            score=read_only(np.array([2.0, 1.5, 0.5, -1.0, -2.0])),
            volatility=read_only(np.array([0.01, 0.02, 0.03, 0.015, 0.025])),
            atr=read_only(0.02 * close),
            standard=read_only(np.array([1.4, 1.0, 0.2, -0.9, -1.6])),
            nav=NAV,
            gross=1.0,
            count=5,
            trade_risk=0.02,
            columns=columns,
            history=History.upto(panel, row),
            params=sizing.params,
        )

    def verdicts(self) -> Verdicts:
        return tried((
            ("it gives shares of each selected symbol: float64, at least 0, NaN where no size is known", self._answers),
            ("its sizes are finite where everything is known, and not all 0", self._sizes),
            ("what is unknown has no size", self._invents),
            ("sizes that stand as they are do not exceed the gross exposure", self._exceeds),
            ("permuting the selected names permutes the sizes", self._depends_on_order),
            ("the same selection gets the same sizes, to the last bit", self._is_random),
        ))

    def _answers(self) -> str:
        self.sizing.sizes(self.sight)
        return ""

    def _sizes(self) -> str:
        shares = self.sizing.sizes(self.sight)
        if np.isinf(shares).any():
            return "one is infinite: divide by what can be 0 only where it is not"
        return "" if (shares > 0.0).any() else "not one name has a size although everything is known"

    def _invents(self) -> str:
        """A name whose price is unknown, and everything unknown of one that the method says it reads."""
        for what in ("close", *self.sizing.part.what.reads):
            values = getattr(self.sight, what).copy()
            values[2] = math.nan
            changed: dict[str, Any] = {what: read_only(values)}
            shares = self.sizing.sizes(replace(self.sight, **changed))
            if shares[2] > 0.0 and math.isfinite(shares[2]):
                return f"a name whose {what} is unknown gets {shares[2]:g} shares"
        shares = self.sizing.sizes(replace(self.sight, nav=math.nan))
        return "with an unknown NAV it gives sizes" if (np.isfinite(shares) & (shares > 0.0)).any() else ""

    def _exceeds(self) -> str:
        if self.sizing.part.what.exposure is not Exposure.AS_IS:
            return ""
        value = float(np.nansum(self.sizing.sizes(self.sight) * self.sight.close))
        return f"they add up to {value / NAV:.4g} × NAV where {self.sight.gross:g} is allowed" if value > NAV * (1.0 + 1e-9) else ""

    def _depends_on_order(self) -> str:
        order = [3, 0, 4, 1, 2]
        one = self.sight
        names = ("side", "close", "score", "volatility", "atr", "standard")
        arrays: dict[str, Any] = {name: read_only(getattr(one, name)[order]) for name in names}
        moved = replace(one, symbols=tuple(one.symbols[j] for j in order), columns=one.columns[order], **arrays)
        same = np.isclose(self.sizing.sizes(moved), self.sizing.sizes(one)[order], rtol=1e-9, equal_nan=True)
        return "" if same.all() else "a name's size depends on its place in the selection"

    def _is_random(self) -> str:
        return "" if same_bits(self.sizing.sizes(self.sight), self.sizing.sizes(self.sight)) else "two calls give different sizes"
