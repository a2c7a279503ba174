"""A walk-forward's result in the shape a tear sheet reads: windows of a sample's own sessions, judged by its own returns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import polars as pl

from mech_exo.performance import metrics
from mech_exo.performance.trading import account_returns
from tests.reporting.sample import Sample

KEY = "strategy.selection.top"


@dataclass
class Walked:
    sample: Sample
    train: int = 252
    test: int = 126
    objective: str = "sharpe"
    candidates: int = 9

    @cached_property
    def returns(self):
        return self.sample.sessions[self.train :], account_returns(self.sample.days)[self.train :]

    @property
    def metrics(self):
        _, returns = self.returns
        growth = metrics.growth(returns)
        return {"cagr": metrics.cagr(returns), "volatility_ann": metrics.volatility_ann(returns), "sharpe": metrics.sharpe(returns),
                "max_drawdown": float(metrics.drawdown_series(growth).max())}  # fmt: skip

    @property
    def table(self):
        returns, dates, rows = account_returns(self.sample.days), self.sample.sessions, []
        for first in range(self.train, len(dates), self.test):
            last = min(first + self.test, len(dates)) - 1
            rows.append({"test_start": dates[first].astype(object), "test_end": dates[last].astype(object), KEY: "20",
                         "sharpe_in_sample": metrics.sharpe(returns[first - self.train : first]),
                         "sharpe_out_of_sample": metrics.sharpe(returns[first : last + 1])})  # fmt: skip
        return pl.DataFrame(rows)

    @property
    def stability(self):
        return {KEY: 1.0}
