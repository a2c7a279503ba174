"""What a backtest says of the closes at which only reductions were allowed: the limits that may have been the reason, and no other."""

from __future__ import annotations

import pytest

from mech_exo.decision.strategy import reducing_warnings
from mech_exo.kernels.account import new_days
from mech_exo.kernels.records import RiskState
from mech_exo.utils.settings import PortfolioLimits, RiskLimits


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({}, "the drawdown limit (10% below the trailing-12-month peak) was passed"),
        ({"max_daily_loss": 0.025}, "the trailing-12-month peak) or that on a session's loss (2.5%) was passed"),
        ({"max_all_time_drawdown": 0.3}, "the trailing-12-month peak) or that from the peak of all time (30%) was passed"),
    ],
)
def test_the_limits_that_allowed_reductions_only_are_named(limits, said):
    days = new_days(4)
    days["state"][1:3] = RiskState.REDUCING
    (warning,) = reducing_warnings(days, RiskLimits(portfolio=PortfolioLimits(**limits)))
    assert warning.startswith("only reductions were allowed at 2 of 4 closes: ") and warning.endswith(said)
    assert reducing_warnings(days[:1], RiskLimits()) == ()
