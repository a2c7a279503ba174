"""Plotly figures of an account, the same for a backtest, a live report and a notebook.

Every function takes the arrays the metrics take and returns a figure; Plotly is imported when one is drawn. NaN leaves a gap, never a 0.
"""

from mech_exo.performance.figures.account import account_figure
from mech_exo.performance.figures.book import (
    costs_figure,
    exposure_figure,
    gross_net_figure,
    limits_figure,
    pnl_figure,
    sectors_figure,
    turnover_figure,
)
from mech_exo.performance.figures.coverage import coverage_figure
from mech_exo.performance.figures.factors import rolling_ic_figure
from mech_exo.performance.figures.names import Levels, Trades, name_figure
from mech_exo.performance.figures.paths import paths_figure
from mech_exo.performance.figures.returns import equity_figure, monthly_figure, rolling_figure, underwater_figure
from mech_exo.performance.figures.risk import (
    components_figure,
    correlation_figure,
    falls_figure,
    sector_exposure_figure,
    uses_figure,
)
from mech_exo.performance.figures.runs import beside_figure
from mech_exo.performance.figures.scores import score_history_figure
from mech_exo.performance.figures.style import FEW_SESSIONS
from mech_exo.performance.figures.trades import exits_figure, holding_figure, trades_figure
from mech_exo.performance.figures.trials import luck_figure, out_of_sample_figure, windows_figure
from mech_exo.performance.figures.waterfall import waterfall_figure

__all__ = [
    "FEW_SESSIONS", "Levels", "Trades", "account_figure", "beside_figure", "components_figure", "correlation_figure", "costs_figure",
    "coverage_figure", "equity_figure", "exits_figure", "exposure_figure", "falls_figure", "gross_net_figure", "holding_figure",
    "limits_figure", "luck_figure", "monthly_figure", "name_figure", "out_of_sample_figure", "paths_figure", "pnl_figure",
    "rolling_figure", "rolling_ic_figure", "score_history_figure", "sector_exposure_figure", "sectors_figure", "trades_figure",
    "turnover_figure", "underwater_figure", "uses_figure", "waterfall_figure", "windows_figure",
]
