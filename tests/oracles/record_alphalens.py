"""Ask alphalens-reloaded about 12-1 momentum on the real panel in 2009 and write ``tests/golden/alphalens.json``.

alphalens-reloaded 0.5.1 brings empyrical-reloaded, which holds peewee below the version this program is used with, so it cannot stand in
the same environment. Redo:

    python -m venv aside && aside/bin/pip install alphalens-reloaded==0.5.1 polars pyarrow
    aside/bin/python tests/oracles/record_alphalens.py ../shared/data/prices/us_sp500_members_2003_2016.parquet
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl

START, END, PERIODS, QUANTILES = "2009-01-02", "2009-12-31", (1, 5, 21), 5


def closes(path: str) -> pd.DataFrame:
    """Sane closes by session and symbol, NaN where there is no bar."""
    frame = pl.read_parquet(path).drop("exch")
    price = [pl.col(name) for name in ("open", "high", "low", "close")]
    sane = pl.min_horizontal(price) > 0
    for column in price:
        sane &= column.is_finite() & (column <= pl.col("high")) & (column >= pl.col("low"))
    kept = frame.filter(sane).unique(["symbol", "date"]).with_columns(pl.col("close").cast(pl.Float64), pl.col("symbol").cast(pl.String))
    wide = kept.pivot("symbol", index="date", values="close").sort("date")
    table = pd.DataFrame(wide.drop("date").to_numpy(), index=pd.DatetimeIndex(wide["date"].to_list()), columns=wide.drop("date").columns)
    return table.sort_index(axis=1)


def main(path: str) -> None:
    """Record every figure that is compared."""
    import alphalens
    from alphalens import performance, utils

    close = closes(path)
    momentum = (close.shift(21) / close.shift(252) - 1.0).where(close.notna())
    factor = momentum.loc[START:END].stack()
    factor.index.names = ["date", "asset"]
    data = utils.get_clean_factor_and_forward_returns(factor, close, quantiles=QUANTILES, periods=PERIODS, max_loss=0.5)
    names = utils.get_forward_returns_columns(data.columns)
    ic = performance.factor_information_coefficient(data)
    plain, _ = performance.mean_return_by_quantile(data, by_date=True, demeaned=False)
    excess, _ = performance.mean_return_by_quantile(data, by_date=False, demeaned=True)
    days = sorted(set(data.index.get_level_values("date")))
    body = {
        "made_by": f"alphalens-reloaded {alphalens.__version__}, pandas {pd.__version__}, numpy {np.__version__}",
        "dates": [str(day.date()) for day in days],
        "ic": {str(h): ic[name].loc[days].tolist() for h, name in zip(PERIODS, names, strict=True)},
        "quantiles": {
            str(h): [plain[name].xs(q, level="factor_quantile").loc[days].tolist() for q in range(1, QUANTILES + 1)]
            for h, name in zip(PERIODS, names, strict=True)
        },
        "excess": {str(h): excess[name].tolist() for h, name in zip(PERIODS, names, strict=True)},
        "turnover": {
            str(h): [_whole(performance.quantile_turnover(data["factor_quantile"], q, h), days) for q in range(1, QUANTILES + 1)] for h in (1, 5)
        },
        "autocorrelation": {str(h): _whole(performance.factor_rank_autocorrelation(data, h), days) for h in (1, 5)},
    }
    (Path(__file__).parents[1] / "golden/alphalens.json").write_text(json.dumps(body) + "\n")


def _whole(series: pd.Series, days: list[pd.Timestamp]) -> list[float | None]:
    """The series on the sessions; None where it is unknown."""
    return [None if pd.isna(value) else float(value) for value in series.reindex(days)]


if __name__ == "__main__":
    main(sys.argv[1])
