"""Ask empyrical-reloaded for its figures of one seeded account and write ``tests/golden/empyrical.json``.

empyrical-reloaded 0.7 holds peewee below the version this program is used with, so it cannot stand in the same environment. Redo:

    python -m venv aside && aside/bin/pip install empyrical-reloaded==0.7.1 && aside/bin/python tests/oracles/record_empyrical.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

SESSIONS, SEED, START, WINDOW = 400, 20261124, "2014-02-03", 126
OF_ONE = (
    "cum_returns_final", "cagr", "annual_volatility", "sharpe_ratio", "sortino_ratio", "max_drawdown", "calmar_ratio", "omega_ratio",
    "tail_ratio", "value_at_risk", "conditional_value_at_risk",
)  # fmt: skip
OF_TWO = ("alpha", "beta", "up_capture", "down_capture", "excess_sharpe")


def series() -> tuple[pd.Series, pd.Series]:
    """The account's and the benchmark's returns, five decimals."""
    rng = np.random.default_rng(SEED)
    market = np.round(rng.standard_t(4, SESSIONS) * 0.007 + 0.0004, 5)
    mine = np.round(0.6 * market + rng.standard_t(5, SESSIONS) * 0.005 + 0.0003, 5)
    days = pd.bdate_range(START, periods=SESSIONS)
    return pd.Series(mine, days), pd.Series(market, days)


def figures(r: pd.Series, b: pd.Series) -> dict[str, float | list[float]]:
    """Everything that is compared, by empyrical's names."""
    import empyrical as ep

    rate = 1.03 ** (1 / 252) - 1
    found = {name: getattr(ep, name)(r) for name in OF_ONE} | {name: getattr(ep, name)(r, b) for name in OF_TWO}
    found |= {"sharpe_ratio_rf": ep.sharpe_ratio(r, risk_free=rate), "sortino_ratio_rf": ep.sortino_ratio(r, required_return=rate)}
    found |= {"omega_ratio_8": ep.omega_ratio(r, required_return=0.08), "value_at_risk_99": ep.value_at_risk(r, 0.01)}
    found |= {"conditional_value_at_risk_99": ep.conditional_value_at_risk(r, 0.01)}
    through_time = {
        "roll_sharpe_ratio_126": ep.roll_sharpe_ratio(r, WINDOW),
        "roll_beta_126": ep.roll_beta(r, b, window=WINDOW),
        "roll_max_drawdown_126": ep.roll_max_drawdown(r, WINDOW),
        "monthly": ep.aggregate_returns(r, "monthly"),
        "yearly": ep.aggregate_returns(r, "yearly"),
    }
    return {name: float(value) for name, value in found.items()} | {name: [float(x) for x in values] for name, values in through_time.items()}


if __name__ == "__main__":
    import empyrical

    mine, market = series()
    made_by = f"empyrical-reloaded {empyrical.__version__}, numpy {np.__version__}, pandas {pd.__version__}"
    body = {"made_by": made_by, "start": START, "returns": mine.tolist(), "benchmark": market.tolist(), "figures": figures(mine, market)}
    (Path(__file__).parents[1] / "golden/empyrical.json").write_text(json.dumps(body) + "\n")
