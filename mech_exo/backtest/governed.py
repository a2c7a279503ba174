"""What the drawdown governor cost and saved: the same backtest once more without it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mech_exo.backtest.engine import EventBacktester
from mech_exo.decision.strategy import Strategy
from mech_exo.domain.errors import InputError
from mech_exo.performance.drawdowns import max_drawdown, trailing_drawdown
from mech_exo.performance.ratios import cagr, growth, sharpe
from mech_exo.performance.trading import account_returns, costs, turnover_ann

if TYPE_CHECKING:
    from mech_exo.backtest.result import BacktestResult


@dataclass(frozen=True, slots=True)
class Outcome:
    """A backtest in six figures: fractions, but for the Sharpe ratio (risk-free 0) and the costs (USD). NaN = unknown.

    ``trailing_drawdown`` is the worst fall from a peak of the trailing twelve months, ``max_drawdown`` the worst of all time.
    """

    trailing_drawdown: float
    max_drawdown: float
    cagr: float
    sharpe: float
    costs: float
    turnover_ann: float


@dataclass(frozen=True, slots=True)
class GovernorEffect:
    """``governed`` beside ``ungoverned``, and how often and how far exposure was held back in ``sessions`` closes.

    ``average_share`` is of full exposure over all closes; ``held_back`` counts closes below full, ``flat`` those at nothing.
    """

    sessions: int
    held_back: int
    flat: int
    average_share: float
    governed: Outcome
    ungoverned: Outcome

    def as_dict(self) -> dict[str, Any]:
        """What ``exo backtest governor --json`` prints."""
        return asdict(self)


def governor_effect(result: BacktestResult, without: BacktestResult) -> GovernorEffect:
    """Set ``result`` beside ``without``, which is :func:`ungoverned` of it."""
    scale = result.days["scale"]
    return GovernorEffect(
        sessions=len(scale),
        held_back=int((scale < 1.0).sum()),
        flat=int((scale == 0.0).sum()),
        average_share=float(scale.mean()),
        governed=outcome(result.days),
        ungoverned=outcome(without.days),
    )


def outcome(days: np.ndarray) -> Outcome:
    """The figures of the sessions ``days`` ``(T,)`` DAY."""
    returns = account_returns(days)
    grown = growth(returns)
    return Outcome(
        float(trailing_drawdown(grown).max()), max_drawdown(grown), cagr(returns), sharpe(returns), costs(days).total, turnover_ann(days)
    )


def ungoverned(result: BacktestResult) -> BacktestResult:
    """``result`` played again without its governor; the drawdown limit itself stays in force.

    Raises InputError for a run without a governor, one loaded without its bars, or a callable whose code is not at hand.
    """
    known, settings, risk = result.known, result.config.strategy, result.config.risk
    if risk.governor is None:
        raise InputError("the run must have been governed; its risk_limits.yml says governor: null", remedy="nothing was held back")
    if result.strategy is None:
        raise InputError("a callable must be at hand to be played again; its code is not saved with a run")
    risk = risk.model_copy(update={"governor": None})
    flows = np.zeros(len(known.panel.sessions))
    flows[result.first :] = result.days["flow"]
    if isinstance(result.strategy, Strategy):
        config = result.config.model_copy(update={"risk": risk})
        again = EventBacktester(known.panel, config, universe=known.universe, flows=flows)
    else:
        again = EventBacktester(
            known.panel, result.strategy, costs=settings.costs, initial_cash=settings.initial_cash, universe=known.universe,
            limits=risk, fractional=settings.sizing.fractional_shares, flows=flows,
        )  # fmt: skip
    first, last = (day.astype(object) for day in (result.sessions[0], result.sessions[-1]))
    return again.run(first, last)
