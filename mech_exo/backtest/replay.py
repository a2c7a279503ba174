"""A recorded run played again up to one close, through the very functions that made it, and compared with the record on the way.

Rebuilding an account from events would be a second bookkeeping that could drift; this cannot: what differs by one bit is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.backtest.callables import CallableDriver
from mech_exo.backtest.stage import Stage, decisions
from mech_exo.decision.strategy import Strategy

if TYPE_CHECKING:
    from mech_exo.backtest.result import BacktestResult
    from mech_exo.decision.tickets import Answer, StrategyFunction
    from mech_exo.domain.panel import MarketView
    from mech_exo.domain.portfolio import Portfolio


@dataclass(frozen=True, eq=False)
class Stood:
    """The account as it stood right after deciding at a close.

    ``decided`` tells whether the book was decided anew that night; ``answer`` is what a callable gave then.
    """

    stage: Stage
    decided: bool
    answer: Answer = None


class _Heard:
    """A callable whose last answer is kept."""

    def __init__(self, function: StrategyFunction) -> None:
        self.function = function
        self.answer: Answer = None

    def __call__(self, view: MarketView, portfolio: Portfolio) -> Answer:
        self.answer = self.function(view, portfolio)
        return self.answer


def stand(result: BacktestResult, row: int) -> Stood | None:
    """Play ``result`` again up to session ``row`` (counted from its first), its decision included.

    None where it does not come out as recorded: the code is another one, or a callable does not answer the same way twice.
    """
    function = result.strategy
    again = _configured(result, row) if isinstance(function, Strategy) else None if function is None else _callable(result, function, row)
    return again if again is not None and _as_recorded(result, again.stage, row) else None


def _configured(result: BacktestResult, row: int) -> Stood:
    strategy, known, first = Strategy(result.config), result.known, result.first
    rows = strategy.decision_rows(known.panel, first, first, first + row + 1)
    features, _ = strategy.features(known.panel, known.universe, rows)
    decision_at = decisions(rows, len(known.panel.sessions))
    stage = _stage(result, strategy)
    for begin, end in ((first, first + row), (first + row, first + row + 1)):
        stage.night.breaches["rule"] = 0
        stage.decide(begin, end, decision_at, features)
    return Stood(stage, bool(decision_at[first + row] >= 0 and not np.isnan(features.score[decision_at[first + row]]).all()))


def _callable(result: BacktestResult, function: StrategyFunction, row: int) -> Stood:
    known, first, heard = result.known, result.first, _Heard(function)
    stage = _stage(result, Strategy(result.config))
    driver = CallableDriver(heard, known.panel, known.universe, stage.strategy)
    for begin, end in ((first, first + row), (first + row, first + row + 1)):
        stage.night.breaches["rule"] = 0
        stage.ask(begin, end, driver)
    return Stood(stage, heard.answer is not None, heard.answer)


def _stage(result: BacktestResult, strategy: Strategy) -> Stage:
    """A new account on the columns and rows of all that was read, with the run's deposits."""
    flows = np.zeros(len(result.known.panel.sessions))
    flows[result.first :] = result.days["flow"]
    return Stage.empty(result.known.panel, strategy, flows, result.known.universe)


def _as_recorded(result: BacktestResult, stage: Stage, row: int) -> bool:
    """Whether the sessions up to ``row`` came out as recorded, to the last bit."""
    happened = stage.happened.copy()
    happened["row"] -= result.first
    before = result.events[result.events["row"] <= row]
    days = stage.days[result.first : result.first + row + 1]
    return happened.tobytes() == before.tobytes() and days.tobytes() == result.days[: row + 1].tobytes()
