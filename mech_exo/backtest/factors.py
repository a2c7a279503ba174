"""The factor attribution of a run: its scores are computed again from the bars, so that no result carries them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mech_exo.decision.strategy import Strategy
from mech_exo.domain.errors import InputError
from mech_exo.kernels.records import Bars
from mech_exo.performance.factor_attribution import Exposures, FactorAttribution
from mech_exo.performance.factor_attribution import attribute as attribute_pnl
from mech_exo.performance.holdings import holdings

if TYPE_CHECKING:
    from mech_exo.backtest.result import BacktestResult
    from mech_exo.domain.panel import BarPanel


def attribute(result: BacktestResult) -> FactorAttribution:
    """See :attr:`mech_exo.backtest.result.BacktestResult.factors`."""
    if not result.configured:
        raise InputError(
            f"a factor attribution needs factor scores; {result.name} is a callable and has none",
            remedy="by_symbol, by_sector and by_exit_reason are there for every strategy",
        )
    known, first, strategy = result.known, result.first, Strategy(result.config)
    rows = strategy.decision_rows(known.panel, first, first, first + len(result.sessions))
    _, table = strategy.features(known.panel, known.universe, rows)
    values, contributions, kept = [], [], []
    for k, row in enumerate(rows):
        scores = table.scores(k)
        scored = ~np.isnan(scores.value)
        if scored.any():  # a night without one score decided nothing
            kept.append(row - first)
            values.append(np.where(scored[:, None], np.nan_to_num(scores.normalised, nan=0.0), np.nan))
            contributions.append(scores.contribution)
    exposures = Exposures(np.array(kept, np.int64), table.factors, tuple(values), tuple(contributions))
    held = holdings(result.events, Bars.of(result.panel))
    returns = session_returns(known.panel)[first:]
    return attribute_pnl(result.sessions, result.days, result.events, held, returns, result.panel.close, exposures)


def session_returns(panel: BarPanel) -> np.ndarray:
    """``(T, N)`` total return of each name from its last close to this one; NaN where it did not trade or never had before."""
    from mech_exo.scoring.inputs import FactorInputs

    value = FactorInputs(panel).total_return
    row = np.arange(len(value))[:, None]
    seen = np.maximum.accumulate(np.where(np.isnan(value), -1, row), axis=0)
    before = np.vstack([np.full((1, value.shape[1]), -1), seen[:-1]])
    last = np.where(before >= 0, np.take_along_axis(value, np.maximum(before, 0), 0), np.nan)
    result: np.ndarray = value / last - 1.0
    return result
